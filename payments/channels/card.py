"""Cards, by Stripe's own SDK: refunds of payment intents (`pi_`) and charges (`ch_`, `py_`).

What we make carries the payout's key and the number of the attempt as metadata, by which it is found again: Stripe
keeps an idempotency key for 24 hours, and until then repeats its first answer, a refusal too. So an attempt after a
definite refusal has a key of its own.
https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/api/refunds
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

import stripe
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from payments.channels.base import AlreadyRefunded, ChannelRefund, Notification, Outcome, Refused, Unanswered
from payments.channels.card_notifications import read_event, signed_text
from payments.channels.card_ours import our_payouts, our_references, payment_of
from payments.channels.card_refunds import OUTCOMES, REFERENCE, Raw, checked, key_of, plain, read, to_stripe
from payments.days import span_of
from payments.models import Payment, Payout
from payments.states import Channel, PayoutState

# Without these it is not connected. STRIPE_WEBHOOK_SECRET is needed to be notified, not to pay.
SETTINGS = ("STRIPE_API_KEY",)

PAGE = 100

# At INFO the SDK repeats each address and what the API said, word for word; here it is told redacted.
logging.getLogger("stripe").setLevel(logging.WARNING)
# Else it tells Stripe about this machine, and keeps an id for that in the home folder.
stripe.enable_telemetry = False

_BEST_FIRST = [Outcome.PAID, Outcome.PENDING, Outcome.FAILED]

# Of these types Stripe says that nothing was done. Every other error, the keys' and the limits' too, is put right by
# waiting or in the settings.
_REFUSALS = {
    (400, "invalid_request_error"),
    (404, "invalid_request_error"),
    (402, "invalid_request_error"),
    (402, "card_error"),
}
# Refusals that say that money of the payment has gone back already. Stripe has a code for the first alone.
_REFUNDED = "charge_already_refunded"
_REFUNDED_IN_WORDS = ("already been refunded", "greater than unrefunded amount")
# Refusals by their type, and yet only of this moment.
_OF_THE_MOMENT = {"lock_timeout", "rate_limit", "idempotency_key_in_use"}

_KEY = re.compile(r"[sr]k_[!-~]+")
# Stripe moves no real money for these.
TEST_KEYS = ("sk_test_", "rk_test_")
_SECRET = re.compile(r"\b(?:sk|rk|whsec)_[^\s'\",]+")

T = TypeVar("T")


def from_settings() -> "CardChannel | None":
    """Raises ImproperlyConfigured for what can't be a key, and for a live key in the demo."""
    if not settings.STRIPE_API_KEY:
        return None
    if not _KEY.fullmatch(settings.STRIPE_API_KEY):
        raise ImproperlyConfigured("STRIPE_API_KEY must be a secret or a restricted key of Stripe: sk_… or rk_….")
    if settings.DEMO and not settings.STRIPE_API_KEY.startswith(TEST_KEYS):
        raise ImproperlyConfigured(
            "The demo never pays with a live key: set STRIPE_API_KEY to one that begins with sk_test_ or rk_test_, "
            "or leave it unset."
        )
    return CardChannel(
        settings.STRIPE_API_KEY,
        webhook_secret=settings.STRIPE_WEBHOOK_SECRET,
        url=settings.STRIPE_URL,
        timeout=settings.CHANNEL_TIMEOUT,
    )


class CardChannel:
    """A connection to one Stripe account. `timeout` in seconds, for each call."""

    def __init__(self, api_key: str, *, url: str, webhook_secret: str = "", timeout: float = 20) -> None:
        self._secrets = [secret for secret in (api_key, webhook_secret) if secret]
        self._webhook_secret = webhook_secret
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": url},
            # The worker tries again, and looks up first.
            max_network_retries=0,
            # A connection is there sooner than an answer is: both times, twice, stay below a job's lease.
            http_client=stripe.RequestsClient(timeout=(timeout / 6, timeout)),
        )
        self._refunds = client.v1.refunds

    # --- Paying --------------------------------------------------------------------------------

    def pay_back(self, payout: Payout) -> ChannelRefund:
        params: Any = {
            **_payment_parameter(payout.payment.reference),
            "amount": to_stripe(payout.amount, payout.currency),
            "metadata": {"payout": str(payout.key), "attempt": str(_attempt(payout))},
        }
        try:
            made = self._refunds.create(params, {"idempotency_key": _idempotency_key(payout)})
            return _read_made(checked(made.to_dict()), payout)
        except Exception as error:
            kind = _kind_of(error)
            raise kind(self._words_of(error)) from None

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        if not REFERENCE.fullmatch(payout.payment.reference):
            return None
        refunds = self._list(_payment_parameter(payout.payment.reference))
        found = self._understood(lambda: [_read_own(refund, payout) for refund in refunds if _decides(refund, payout)])
        return min(found, key=lambda refund: _BEST_FIRST.index(refund.outcome), default=None)

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        return self._read_all(self._list(_payment_parameter(payment.reference)))

    # --- Notifications -------------------------------------------------------------------------

    def read_notification(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Notification | None:
        """Here `key` is always Stripe's own number: a key of ours may have a refund for each of its attempts."""
        return read_event(signed_text(body, headers.get("Stripe-Signature", ""), self._webhook_secret, at=at))

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        if notification.key:
            told = self._understood(lambda: [checked(self._refunds.retrieve(notification.key).to_dict())])
        else:
            told = self._list(_payment_parameter(notification.payment_reference))
        return self._read_all(told)

    # --- Lists ---------------------------------------------------------------------------------

    def refunds_on(self, day: date) -> Iterator[ChannelRefund]:
        begin, end = (int(moment.timestamp()) for moment in span_of(Channel.CARD, day))
        for page in self._pages({"created": {"gte": begin, "lt": end}}):
            yield from self._read_all(page)

    def _list(self, params: Raw) -> list[Raw]:
        return [refund for page in self._pages(params) for refund in page]

    def _pages(self, params: Raw) -> Iterator[list[Raw]]:
        query: Any = {**params, "limit": PAGE}
        page = self._understood(lambda: self._refunds.list(query))
        while True:
            refunds, has_more = self._understood(partial(_content, page))
            yield refunds
            if not has_more:
                return
            page = self._understood(page.next_page)

    def _read_all(self, refunds: list[Raw]) -> list[ChannelRefund]:
        """What Stripe has, under our keys and references; without attempts that failed before the present one."""
        payouts, references = our_payouts(refunds), our_references(refunds)

        def known(refund: Raw) -> ChannelRefund | None:
            payout = payouts.get(key_of(refund))
            if payout and _is_over(refund, payout):
                return None
            return read(refund, key=key_of(refund) if payout else "", payment=payment_of(refund, references))

        return self._understood(lambda: [found for refund in refunds if (found := known(refund))])

    # --- What goes wrong -----------------------------------------------------------------------

    def _understood(self, ask: Callable[[], T]) -> T:
        """What `ask` brings. Whatever it raises, over the network or over the answer, is Unanswered."""
        try:
            return ask()
        except Exception as error:
            raise Unanswered(self._words_of(error)) from None

    def _words_of(self, error: Exception) -> str:
        """An error for staff, in printable characters and without secrets."""
        words = str(error)
        for secret in self._secrets:
            words = words.replace(secret, "…")
        return plain(_SECRET.sub("…", words)) or type(error).__name__


def _kind_of(error: Exception) -> type[Refused | Unanswered]:
    """What an error in answer to a request to refund means."""
    if not _is_refusal(error):
        return Unanswered
    words = str(error).lower()
    is_refunded = getattr(error, "code", None) == _REFUNDED or any(each in words for each in _REFUNDED_IN_WORDS)
    return AlreadyRefunded if is_refunded else Refused


def _is_refusal(error: Exception) -> bool:
    """Whether Stripe says for certain that it made no refund, for a reason that lies in the refund itself."""
    if not isinstance(error, stripe.InvalidRequestError | stripe.CardError) or error.error is None:
        return False
    kind = (error.http_status, getattr(error.error, "type", None))
    return kind in _REFUSALS and error.code not in _OF_THE_MOMENT


# --- Our side of it ----------------------------------------------------------------------------


def _payment_parameter(reference: str) -> dict[str, str]:
    """The parameter that names a payment. Raises Refused for a reference that is none of Stripe's."""
    if not REFERENCE.fullmatch(reference):
        raise Refused(_("The payment's reference is not one of Stripe's (pi_…, ch_… or py_…): %s") % reference)
    return {"payment_intent" if reference.startswith("pi_") else "charge": reference}


def _attempt(payout: Payout) -> int:
    return payout.refusals + 1


def _idempotency_key(payout: Payout) -> str:
    return f"{payout.key}-{_attempt(payout)}" if payout.refusals else str(payout.key)


def _decides(refund: Raw, payout: Payout) -> bool:
    """Whether the payout stands and falls with this refund of its payment."""
    if payout.state == PayoutState.PAID and payout.external_reference:
        return refund["id"] == payout.external_reference
    return key_of(refund) == str(payout.key) and not _is_over(refund, payout)


def _is_over(refund: Raw, payout: Payout) -> bool:
    """Whether the refund was an attempt at the payout that failed, and another one counts now."""
    if OUTCOMES.get(refund["status"]) != Outcome.FAILED:
        return False
    if payout.state == PayoutState.PAID:
        return refund["id"] != payout.external_reference
    return (refund.get("metadata") or {}).get("attempt") != str(_attempt(payout))


# --- The SDK's answers -------------------------------------------------------------------------


def _content(page: Any) -> tuple[list[Raw], bool]:
    return [checked(refund.to_dict()) for refund in page.data], page.has_more


def _read_made(refund: Raw, payout: Payout) -> ChannelRefund:
    """The answer to `pay_back`. Raises as `read`."""
    if key_of(refund) != str(payout.key):
        raise ValueError("the answer is another refund")
    return _read_own(refund, payout)


def _read_own(refund: Raw, payout: Payout) -> ChannelRefund:
    return read(refund, key=str(payout.key), payment=payout.payment.reference)
