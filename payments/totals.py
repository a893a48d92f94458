"""What went out and what came back on a day of the channels' books. Only reads; amounts are minor units.

A day is a day of each channel's own books (`payments.days`): a payout counts on the day on which the channel booked it,
and once more, the other way, on the day on which it came back. So what is said of a day that is over stays as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from django.db.models import Count, Q, QuerySet, Sum

from payments.days import span_of
from payments.models import Payout
from payments.states import Channel, PayoutState

CHUNK = 1000  # rows


class Direction(StrEnum):
    OUT = "out"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Total:
    """A day of one channel in one currency."""

    channel: str
    currency: str
    paid_count: int = 0
    paid: int = 0
    back_count: int = 0
    back: int = 0

    @property
    def net(self) -> int:
        """What left and stayed away; below 0 where more came back than went out."""
        return self.paid - self.back


@dataclass(frozen=True, slots=True)
class Movement:
    """One payout that went out, or came back, on the day. `amount` is above 0 in both directions."""

    direction: Direction
    channel: str
    payout: str
    reference: str
    external_reference: str
    amount: int
    currency: str


def paid_on(day: date, channel: str | None = None) -> QuerySet[Payout]:
    """The payouts that the channels booked on the day, those that came back later included."""
    # All channels are named: the index of days begins with them.
    channels = [channel] if channel else Channel.values
    return Payout.objects.filter(channel__in=channels, booked_on=day)


def back_on(day: date, channel: str | None = None) -> QuerySet[Payout]:
    """The payouts that came back on the day."""
    came_back = Q(pk__in=[])
    for each in [channel] if channel else Channel.values:
        begin, end = span_of(each, day)
        came_back |= Q(channel=each, returned_at__gte=begin, returned_at__lt=end)
    return Payout.objects.filter(came_back, state=PayoutState.RETURNED)


def totals_of(day: date) -> list[Total]:
    """A total for each channel and currency in which anything moved, in the order of the channels."""
    totals: dict[tuple[str, str], Total] = {}
    for channel, currency, number, amount in _sums(paid_on(day)):
        totals[channel, currency] = Total(channel, currency, paid_count=number, paid=amount)
    for channel, currency, number, amount in _sums(back_on(day)):
        known = totals.get((channel, currency)) or Total(channel, currency)
        totals[channel, currency] = replace(known, back_count=number, back=amount)
    return sorted(totals.values(), key=lambda total: (Channel.values.index(total.channel), total.currency))


def _sums(payouts: QuerySet[Payout]) -> Iterator[tuple[str, str, int, int]]:
    grouped = payouts.order_by().values("channel", "currency").annotate(number=Count("pk"), sum=Sum("amount"))
    yield from grouped.values_list("channel", "currency", "number", "sum")


def movements(day: date, channel: str | None = None) -> Iterator[Movement]:
    """Every movement of the day, of one channel or of all: first what went out, then what came back.

    Read piece by piece, so that a large day takes no more memory than a small one.
    """
    yield from _moved(Direction.OUT, paid_on(day, channel))
    yield from _moved(Direction.BACK, back_on(day, channel))


def _moved(direction: Direction, payouts: QuerySet[Payout]) -> Iterator[Movement]:
    fields = ("channel", "pk", "reference", "external_reference", "amount", "currency")
    rows = payouts.order_by("channel", "pk").values_list(*fields)
    for channel, number, reference, external_reference, amount, currency in rows.iterator(chunk_size=CHUNK):
        yield Movement(direction, channel, f"{reference}/{number}", reference, external_reference, amount, currency)
