"""Alipay: refunds of its trades, by RSA2 over its gateway.

The payout's key is the number of the refund's request (`out_request_no`), under which Alipay refunds once at most,
however often it is asked. A payment's reference is Alipay's number of the trade, else the merchant's own.
https://opendocs.alipay.com/support/01rawa, https://docs.open.alipay.com/api_1/alipay.trade.fastpay.refund.query
"""

import logging
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.translation import gettext as _

from core.money import plain_amount
from payments.channels.alipay_answers import (
    ALREADY_REFUNDED,
    DONE,
    NO_BILL,
    NUMBER,
    REFUSALS,
    UNKNOWN_TRADE,
    Raw,
    business_error,
    read_found,
    read_made,
    reference_of,
    words_of,
)
from payments.channels.alipay_bills import BillLine, refunds_in
from payments.channels.alipay_gateway import Gateway
from payments.channels.alipay_notifications import check_age, fields_of, notification_in
from payments.channels.alipay_ours import our_keys, our_payments, our_payout, our_references, stored_as
from payments.channels.alipay_signing import Keys, signed_content
from payments.channels.base import AlreadyRefunded, ChannelRefund, Forged, Notification, Outcome, Refused, Unanswered
from payments.days import span_of
from payments.models import Payment, Payout
from payments.states import Channel, PayoutState

logger = logging.getLogger(__name__)

# Without these it is not connected.
SETTINGS = ("ALIPAY_APP_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY")

SANDBOX = "alipaydev.com"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# A bill is out at nine on the next day, usually.
BILL_IS_OUT_AFTER = timedelta(hours=12)
PAGE = 500

_ALIPAYS_NUMBER = re.compile(r"20[0-9]{26}")
# The `notify_type` of all notifications about a trade: paid, closed, refunded.
_ABOUT_TRADE = "trade_status_sync"


def from_settings() -> "AlipayChannel | None":
    """Raises ImproperlyConfigured for keys that can't be read, and for a gateway of real money in the demo."""
    if not all(getattr(settings, name) for name in SETTINGS):
        return None
    if settings.DEMO and not _moves_no_money(settings.ALIPAY_URL):
        raise ImproperlyConfigured(
            "The demo pays through Alipay's sandbox only: set ALIPAY_URL to "
            "https://openapi-sandbox.dl.alipaydev.com/gateway.do, or leave ALIPAY_APP_ID unset."
        )
    return AlipayChannel(
        settings.ALIPAY_APP_ID,
        private_key=settings.ALIPAY_PRIVATE_KEY,
        public_key=settings.ALIPAY_PUBLIC_KEY,
        url=settings.ALIPAY_URL,
        timeout=settings.CHANNEL_TIMEOUT,
    )


def _moves_no_money(url: str) -> bool:
    """Whether a gateway is Alipay's sandbox or a stand-in on this machine.

    Alipay has several production gateways, so those known to be harmless are listed instead.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host in LOOPBACK or host == SANDBOX or host.endswith(f".{SANDBOX}")


class AlipayChannel:
    """A connection to Alipay for one application. `timeout` in seconds, for each thing asked of it."""

    def __init__(self, app_id: str, *, private_key: str, public_key: str, url: str, timeout: float = 20) -> None:
        self._app_id = app_id
        self._keys = Keys(private_key, public_key)
        self._gateway = Gateway(url, app_id=app_id, keys=self._keys, timeout=timeout)

    # --- Paying --------------------------------------------------------------------------------

    def pay_back(self, payout: Payout) -> ChannelRefund:
        ends = self._gateway.deadline()
        answer = self._gateway.call("alipay.trade.refund", _wanted(payout), ends=ends)
        if answer.get("code") == DONE and answer.get("fund_change") == "Y":
            return read_made(answer, payout)
        error = business_error(answer)
        # This call has moved nothing. What an earlier one under the same number did, only a look tells.
        if answer.get("code") == DONE or error in REFUSALS - {UNKNOWN_TRADE}:
            found = self._find_own(payout, ends=ends)
            if found:
                return found
        if error in REFUSALS:
            raise (AlreadyRefunded if error in ALREADY_REFUNDED else Refused)(words_of(answer))
        raise Unanswered(_nothing_yet() if answer.get("code") == DONE else words_of(answer))

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        if not NUMBER.fullmatch(payout.payment.reference):
            return None
        return self._find_own(payout)

    def _find_own(self, payout: Payout, *, ends: float | None = None) -> ChannelRefund | None:
        return self._find(payout.payment.reference, str(payout.key), payout.currency, payout=payout, ends=ends)

    def _find(
        self, reference: str, number: str, currency: str, *, payout: Payout | None, ends: float | None = None
    ) -> ChannelRefund | None:
        """The refund under a number of a payment, `payout`'s own where it is one of ours; None where there is nothing.

        Alipay has nothing under a number that it has never seen, and under one whose refund did not come about, or has
        not yet. In each case the same number may be sent again: it is refunded once at most. Raises Unanswered.
        """
        wanted = {**_trade(reference), "out_request_no": number, "query_options": ["gmt_refund_pay"]}
        answer = self._gateway.call("alipay.trade.fastpay.refund.query", wanted, ends=ends)
        if answer.get("code") != DONE:
            raise Unanswered(words_of(answer))
        if not answer.get("refund_status"):
            return None
        refund = read_found(answer, reference, number, currency=currency, is_ours=payout is not None)
        return None if _is_over(refund, payout) else refund

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        """The one without a number of its own, which goes by the merchant's number of the trade.

        Alipay lists the others by day alone, on the next one: reconciliation finds those.
        """
        ends = self._gateway.deadline()
        number = self._order_number(payment, ends=ends)
        refund = self._find(payment.reference, number, payment.currency, payout=None, ends=ends) if number else None
        return [refund] if refund else []

    def _order_number(self, payment: Payment, *, ends: float) -> str:
        """The merchant's own number of a trade. Raises Unanswered."""
        if not _ALIPAYS_NUMBER.fullmatch(payment.reference):
            return payment.reference
        answer = self._gateway.call("alipay.trade.query", _trade(payment.reference), ends=ends)
        if answer.get("code") != DONE:
            raise Unanswered(words_of(answer))
        number = answer.get("out_trade_no")
        return number if isinstance(number, str) and NUMBER.fullmatch(number) else ""

    # --- Notifications -------------------------------------------------------------------------

    def read_notification(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Notification | None:
        fields = fields_of(body)
        signed = {name: value for name, value in fields.items() if name not in {"sign", "sign_type"}}
        is_signed = self._keys.has_signed(signed_content(signed), fields.get("sign", ""))
        if not (is_signed and fields.get("sign_type") == "RSA2" and fields.get("app_id") == self._app_id):
            raise Forged("the notification is not signed by Alipay for this application")
        kind = fields.get("notify_type") or fields.get("msg_method") or _ABOUT_TRADE
        if kind != _ABOUT_TRADE:
            # Before anything else of it is read: other kinds of notification have other fields.
            logger.info("ignored a notification from Alipay of the type %r", kind[:100])
            return None
        check_age(fields.get("notify_time", ""), at)
        if not fields.keys() & {"out_biz_no", "refund_fee", "gmt_refund"}:
            return None
        return notification_in(fields)

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        payment = our_payments(reference=notification.payment_reference).first()
        currency = payment.currency if payment else "CNY"
        payout = our_payout(payment, notification.key)
        refund = self._find(notification.payment_reference, notification.key, currency, payout=payout)
        return [refund] if refund else []

    # --- Lists ---------------------------------------------------------------------------------

    def refunds_on(self, day: date) -> Iterator[ChannelRefund]:
        """From the bill of that day, which is there on the next one."""
        wanted = {"bill_type": "trade", "bill_date": day.isoformat()}
        answer = self._gateway.call("alipay.data.dataservice.bill.downloadurl.query", wanted)
        if business_error(answer) in NO_BILL and _is_bill_out(day):
            return
        if answer.get("code") != DONE:
            raise Unanswered(words_of(answer))
        lines = _lines_of(self._gateway.download(str(answer.get("bill_download_url"))), day)
        for start in range(0, len(lines), PAGE):
            yield from _read_lines(lines[start : start + PAGE])


# --- Our side of it ----------------------------------------------------------------------------


def _wanted(payout: Payout) -> Raw:
    wanted = {
        **_trade(payout.payment.reference),
        "out_request_no": str(payout.key),
        "refund_amount": plain_amount(payout.amount, payout.currency),
        "refund_reason": payout.reference,
    }
    return wanted if payout.currency == "CNY" else {**wanted, "refund_currency": payout.currency}


def _trade(reference: str) -> dict[str, str]:
    """The parameter that names a payment. Raises Refused for a reference that cannot be one of Alipay's."""
    if not NUMBER.fullmatch(reference):
        raise Refused(_("The payment's reference is no number of a trade at Alipay: %s") % reference)
    return {"trade_no" if _ALIPAYS_NUMBER.fullmatch(reference) else "out_trade_no": reference}


def _nothing_yet() -> str:
    return _("Alipay says that this try moved no money, and that it has no refund under the number yet.")


def _is_over(refund: ChannelRefund, payout: Payout | None) -> bool:
    """Whether the refund is an attempt that has failed before, and the payout is on its way again."""
    is_repeated = payout is not None and payout.state != PayoutState.PAID and payout.refusals > 0
    return refund.outcome == Outcome.FAILED and is_repeated


# --- Bills -------------------------------------------------------------------------------------


def _is_bill_out(day: date) -> bool:
    """Whether "no bill" means that nothing was sold or refunded on a day, and not that its bill is still to come."""
    _begin, end = span_of(Channel.ALIPAY, day)
    return timezone.now() >= end + BILL_IS_OUT_AFTER


def _lines_of(bill: bytes, day: date) -> list[BillLine]:
    try:
        return refunds_in(bill)
    except Exception:
        raise Unanswered(_("Alipay's bill of %s cannot be read.") % day.isoformat()) from None


def _read_lines(lines: list[BillLine]) -> Iterator[ChannelRefund]:
    references = our_references({name for line in lines for name in (line.trade, line.order)})
    keys = our_keys({line.number for line in lines})
    for line in lines:
        payment = stored_as(line.trade, line.order, references)
        yield ChannelRefund(
            reference=reference_of(line.trade, line.number),
            outcome=Outcome.PAID,
            amount=line.amount,
            currency="CNY",
            at=line.at,
            key=line.number if (line.number, payment) in keys else "",
            payment_reference=payment,
        )
