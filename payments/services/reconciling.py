"""Comparing a channel's own list of a day with ours. A day is one of the channel's books (`payments.days`)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import transaction
from django.db.models import Count, QuerySet, Sum

from payments.channels import ChannelRefund, Outcome
from payments.models import Difference, Payout
from payments.services import differences, taking_in
from payments.services.differences import UNRESOLVED
from payments.services.taking_in import LISTS_EVENTS
from payments.states import DifferenceKind, PayoutState


@dataclass(frozen=True)
class Total:
    """How many of a currency, and what they sum to in its minor units."""

    count: int = 0
    amount: int = 0


@dataclass
class Comparison:
    """What came of comparing a day. Totals by currency; nothing that failed or is still on its way is in them."""

    channel: str
    day: date
    there: dict[str, Total] = field(default_factory=dict)
    here: dict[str, Total] = field(default_factory=dict)
    # All that is left, also what a person has explained.
    found: dict[int, Difference] = field(default_factory=dict)
    # Known on both sides, but written down here for another day.
    of_other_days: list[tuple[ChannelRefund, Payout]] = field(default_factory=list)

    @property
    def open(self) -> list[Difference]:
        return [difference for difference in self.found.values() if difference.state in UNRESOLVED]

    @property
    def explained(self) -> list[Difference]:
        return [difference for difference in self.found.values() if difference.state not in UNRESOLVED]


def reconcile(channel: str, day: date, listed: Iterable[ChannelRefund], *, at: datetime) -> Comparison:
    """Compare the channel's own list of a day with ours, settle what it knows better, file what then still differs.

    Called outside transactions: the list is read to its end first (what that raises, leaves nothing filed), then each
    refund is taken in in a transaction of its own, so that a long list locks nobody out.
    """
    # Before the list is read: what is paid meanwhile may not stand in it.
    ours = list(_booked_on(channel, day).filter(state=PayoutState.PAID).order_by("id"))
    refunds = list(listed)
    comparison = Comparison(channel, day)
    known = {_compare(comparison, refund, at=at) for refund in refunds}
    for payout in ours:
        if payout.pk not in known:
            _note(comparison, _file_missing_there(payout, at=at))
    _heal_paid_no_more(channel, day, at=at)
    comparison.there = _totals_there(refunds)
    comparison.here = _totals_here(channel, day)
    return comparison


def _compare(comparison: Comparison, refund: ChannelRefund, *, at: datetime) -> int | None:
    """Take one refund of the list in; return the payout that it turned out to be."""
    payout = taking_in.payout_of(comparison.channel, refund)
    if payout is None or not taking_in.agrees(payout, refund):
        with transaction.atomic():
            _note(comparison, taking_in.take_in(comparison.channel, refund, at=at, day=comparison.day))
        payout = taking_in.payout_of(comparison.channel, refund)
    if payout is None or not taking_in.is_the_payouts(payout, refund):
        return None
    is_paid = refund.outcome == Outcome.PAID and payout.booked_on is not None
    if is_paid and payout.booked_on != comparison.day:
        comparison.of_other_days.append((refund, payout))
    return payout.pk


def _note(comparison: Comparison, difference: Difference | None) -> None:
    if difference:
        comparison.found[difference.pk] = difference


@transaction.atomic
def _file_missing_there(payout: Payout, *, at: datetime) -> Difference | None:
    return differences.file_missing_there(payout, at=at)


@transaction.atomic
def _heal_paid_no_more(channel: str, day: date, *, at: datetime) -> None:
    """What the channel lacked is paid here no more either, or was written down for another day."""
    missing = Difference.objects.filter(channel=channel, day=day, kind=DifferenceKind.MISSING_THERE)
    differences.heal(missing.exclude(payout__state=PayoutState.PAID, payout__booked_on=day), at=at)


def _booked_on(channel: str, day: date) -> QuerySet[Payout]:
    return Payout.objects.filter(channel=channel, booked_on=day)


def _totals_there(refunds: Iterable[ChannelRefund]) -> dict[str, Total]:
    totals: dict[str, Total] = {}
    for refund in refunds:
        if refund.outcome == Outcome.PAID:
            before = totals.get(refund.currency, Total())
            totals[refund.currency] = Total(before.count + 1, before.amount + refund.amount)
    return totals


def _totals_here(channel: str, day: date) -> dict[str, Total]:
    """What was paid on that day; what came back since, only where the channel lists what happened on a day."""
    states = [PayoutState.PAID, PayoutState.RETURNED] if channel in LISTS_EVENTS else [PayoutState.PAID]
    booked = _booked_on(channel, day).filter(state__in=states).order_by().values("currency")
    sums = booked.annotate(count=Count("pk"), sum=Sum("amount"))
    return {each["currency"]: Total(each["count"], each["sum"]) for each in sums}
