"""What goes back to which channel: before anything is ordered by a certificate's shares, then by its payouts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from certificates.models import Certificate
from core.money import format_money
from payments.channels import connected
from payments.models import Payout
from payments.states import Channel, PayoutState
from refunds.models import RefundRequest
from refunds.summary import channels_of
from refunds.wording import PAYOUT_GIVEN_UP, PAYOUT_STATES


@dataclass(frozen=True, slots=True)
class Part:
    """What goes back to one channel, minor units of `currency`. `state` is a word, empty until it is ordered."""

    channel: str
    amount: int
    currency: str
    state: str | Promise = ""
    is_paid: bool = False
    is_moving: bool = False
    settled_at: datetime | None = None

    @property
    def label(self) -> str:
        return str(Channel(self.channel).label)

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)

    @property
    def is_connected(self) -> bool:
        """Whether the console pays it itself; else a person does."""
        return connected(self.channel) is not None


def shares_of(certificate: Certificate) -> list[Part]:
    """The parts that a refund of this certificate would have."""
    return parts_from(channels_of(certificate), certificate.currency)


def parts_from(channels: Iterable[tuple[str, int]], currency: str) -> list[Part]:
    return [Part(channel, amount, currency) for channel, amount in channels]


def parts_of(request: RefundRequest) -> list[Part]:
    """The parts of a request, each with how far it is. It comes with its certificate."""
    payouts = Payout.objects.filter(reference=request.reference).order_by("id")
    return [_part(payout) for payout in payouts] or shares_of(request.certificate)


def _part(payout: Payout) -> Part:
    state = PayoutState(payout.state)
    return Part(
        channel=payout.channel,
        amount=payout.amount,
        currency=payout.currency,
        state=PAYOUT_GIVEN_UP if payout.given_up_at else PAYOUT_STATES[state],
        is_paid=state == PayoutState.PAID,
        is_moving=state in {PayoutState.ORDERED, PayoutState.SENT},
        settled_at=payout.settled_at,
    )


def payment(part: Part) -> str:
    """How a part reaches its channel, as a sentence."""
    if part.is_connected:
        words = _("%(amount)s goes to your %(channel)s.")
    else:
        words = _("%(amount)s goes to your %(channel)s: our staff transfer it, and the record says when it is done.")
    return words % {"amount": part.money, "channel": in_a_sentence(part.channel)}


def in_a_sentence(channel: str) -> str:
    """A channel's name inside a sentence: "account balance", "Alipay account"."""
    return {
        Channel.BALANCE: _("account balance"),
        Channel.ALIPAY: _("Alipay account"),
        Channel.BANK: _("online bank account"),
        Channel.CARD: _("card"),
    }[Channel(channel)]
