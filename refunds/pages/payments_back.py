"""What goes back to which channel: before anything is ordered by a certificate's shares, then by its payouts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from certificates.models import Certificate
from core.money import format_money
from core.templatetags.console_format import day, moment
from payments.days import books_day
from payments.models import Payout
from payments.services import is_with_staff
from payments.states import Channel, PayoutState
from refunds.models import RefundRequest
from refunds.pages.progress import STILL_OWED, Standing, standing_of, standing_to_come
from refunds.services.agreed import channels_of
from refunds.states import RequestState
from refunds.wording import CAME_BACK_SHORT, PART_COMES, PART_COMES_TO_BALANCE, PART_STATES, PART_STATES_ANEW


@dataclass(frozen=True, slots=True)
class Part:
    """What goes back to one channel, minor units of `currency`. `since` is when it was paid, failed or came back.

    `came_back` has the moments at which it came back before it was ordered anew, oldest first.
    """

    channel: str
    amount: int
    currency: str
    standing: Standing
    since: datetime | None = None
    came_back: tuple[datetime, ...] = ()
    # The day on which it was paid, where that was recorded only later.
    booked: str = ""
    # Whether the console is at it right now.
    is_moving: bool = False

    @property
    def label(self) -> str:
        return str(Channel(self.channel).label)

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)

    @property
    def is_connected(self) -> bool:
        """Whether the console will pay it itself; else a person does."""
        return self.standing == Standing.TO_COME

    @property
    def is_paid(self) -> bool:
        return self.standing == Standing.PAID

    @property
    def is_owed(self) -> bool:
        """Whether it failed or came back, and somebody has to see to it."""
        return self.standing in STILL_OWED

    @property
    def states(self) -> list[str]:
        """How far it is: what came back, then what has become of it since. Empty until it is ordered."""
        if self.standing not in PART_STATES:
            return []
        before = [str(PART_STATES[Standing.CAME_BACK]) % {"when": moment(at)} for at in self.came_back]
        words = PART_STATES_ANEW.get(self.standing) if before else None
        return [*before, str(words or PART_STATES[self.standing]) % {"when": self.booked or moment(self.since)}]


def shares_of(certificate: Certificate) -> list[Part]:
    """The parts that a refund of this certificate would have."""
    return parts_from(channels_of(certificate), certificate.currency)


def parts_from(channels: Iterable[tuple[str, int]], currency: str) -> list[Part]:
    return [Part(channel, amount, currency, standing_to_come(channel)) for channel, amount in channels]


def parts_of(request: RefundRequest) -> list[Part]:
    """The parts of a request, each with how far it is. It comes with its certificate."""
    payouts = Payout.objects.filter(reference=request.reference).order_by("id")
    return parts_of_payouts(payouts) or shares_of(request.certificate)


def parts_of_payouts(payouts: Iterable[Payout]) -> list[Part]:
    """A part for each payment, whatever was ordered anew in place of what came back. Oldest first."""
    chains: dict[int | None, list[Payout]] = {}
    for payout in payouts:
        chains[payout.pk] = [*chains.pop(payout.follows_id, []), payout]
    return [_part(chain) for chain in sorted(chains.values(), key=lambda chain: chain[0].pk)]


def _part(chain: list[Payout]) -> Part:
    """The part of payouts of which each took the place of the one before it."""
    payout = chain[-1]
    standing = standing_of(payout)
    return Part(
        channel=payout.channel,
        amount=payout.amount,
        currency=payout.currency,
        standing=standing,
        since=payout.returned_at or payout.settled_at,
        came_back=tuple(before.returned_at for before in chain[:-1] if before.returned_at),
        booked=_booked(payout),
        is_moving=_is_moving(payout, standing),
    )


def _booked(payout: Payout) -> str:
    settled_at = payout.settled_at if payout.state == PayoutState.PAID else None
    is_another = settled_at is not None and payout.booked_on != books_day(payout.channel, settled_at)
    return day(payout.booked_on) if is_another else ""


def _is_moving(payout: Payout, standing: Standing) -> bool:
    """What the channel has taken on says by itself how it ended, and hours may pass before."""
    is_asked_now = standing == Standing.ON_ITS_WAY and not payout.external_reference and not is_with_staff(payout)
    return standing == Standing.ORDERED or is_asked_now


def came_back_among(requests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What of these requests came back and is still owed, in a few words by reference. Each is a state and a reference.

    One query, and none where no payment has failed.
    """
    failed = [reference for state, reference in requests if state == RequestState.PAYMENT_FAILED]
    if not failed:
        return {}
    back: dict[str, list[Payout]] = {}
    returned = Payout.objects.current().filter(reference__in=failed, state=PayoutState.RETURNED)
    for payout in returned.order_by("returned_at"):
        back.setdefault(payout.reference, []).append(payout)
    return {reference: _came_back(payouts) for reference, payouts in back.items()}


def _came_back(payouts: list[Payout]) -> str:
    amount = format_money(sum(payout.amount for payout in payouts), payouts[0].currency)
    return str(CAME_BACK_SHORT) % {"amount": amount, "when": moment(payouts[-1].returned_at)}


def payment(part: Part) -> str:
    """What comes next of a part, as a sentence: how it reaches its channel, and who sees to it; empty once it ended."""
    is_at_once = part.channel == Channel.BALANCE and part.standing in PART_COMES_TO_BALANCE
    words = (PART_COMES_TO_BALANCE if is_at_once else PART_COMES).get(part.standing, "")
    return str(words) % {"amount": part.money, "channel": in_a_sentence(part.channel)}


def in_a_sentence(channel: str) -> str:
    """A channel's name inside a sentence: "account balance", "Alipay account"."""
    return {
        Channel.BALANCE: _("account balance"),
        Channel.ALIPAY: _("Alipay account"),
        Channel.BANK: _("online bank account"),
        Channel.CARD: _("card"),
    }[Channel(channel)]
