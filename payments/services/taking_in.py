"""What a channel says of one refund, compared with our books: settled, filed as a difference, or healed."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from core import audit
from payments.channels import ChannelRefund, Outcome
from payments.days import books_day, span_of
from payments.models import Difference, Payment, Payout
from payments.services.differences import UNRESOLVED, about, certificates_follow, file, heal
from payments.services.outcomes import is_reference_of_another, settle
from payments.states import UNDER_WAY, Channel, DifferenceKind, PayoutState

# Lists of what happened on a day; other channels list how that day's refunds stand now.
LISTS_EVENTS = frozenset({Channel.BALANCE, Channel.BANK})
KEY_LENGTH = 36  # of a payout's key; a channel's may have the number of a try behind it
LONGEST_SUBJECT = 200


def take_in(channel: str, refund: ChannelRefund, *, at: datetime, day: date | None = None) -> Difference | None:
    """Bring our books to what a channel says of one refund, in the caller's transaction.

    Returns the difference that is left, whatever a person has said of it already; None where both agree. `day` is that
    of the channel's books, by default the refund's. The same again changes nothing.
    """
    if refund.at is None and day is not None:
        refund = replace(refund, at=span_of(channel, day)[0])
    day = day or books_day(channel, refund.at or at)
    payout = payout_of(channel, refund)
    if payout is None:
        return _take_in_foreign(channel, refund, at=at, day=day)
    return None if agrees(payout, refund) else _take_in_ours(payout, refund, at=at, day=day)


def payout_of(channel: str, refund: ChannelRefund) -> Payout | None:
    """The payout that a channel's refund is: by our key, else by the channel's own number."""
    payouts = Payout.objects.filter(channel=channel)
    by_key = payouts.filter(key__in=_keys_in(refund)).first()
    if by_key or not refund.reference:
        return by_key
    return payouts.exclude(external_reference="").filter(external_reference=refund.reference).first()


def agrees(payout: Payout, refund: ChannelRefund) -> bool:
    """Whether there is nothing to settle, to file or to heal. Reads without locks."""
    is_paid = payout.state == PayoutState.PAID and refund.outcome == Outcome.PAID
    if is_paid and _day_to_correct(payout, refund):
        return False
    is_same = is_the_payouts(payout, refund) and _is_of_same_money(payout, refund)
    return is_paid and is_same and not about(payout, refund).filter(state__in=UNRESOLVED).exists()


def _day_to_correct(payout: Payout, refund: ChannelRefund) -> date | None:
    """The day of the channel's own books, where the console guessed another; what a person recorded stays."""
    if refund.at is None or payout.recorded_by_id or not is_the_payouts(payout, refund):
        return None
    day = books_day(payout.channel, refund.at)
    return day if payout.booked_on != day else None


def _correct_day(payout: Payout, refund: ChannelRefund, *, at: datetime) -> None:
    """An answer without a time was booked on the worker's day: around midnight the channel's may be another."""
    day = _day_to_correct(payout, refund)
    if payout.state == PayoutState.PAID and day:
        locked = Payout.objects.select_for_update().get(pk=payout.pk)
        before, locked.booked_on = locked.booked_on, day
        locked.save()
        audit.record(locked, "day_corrected", by=None, at=at, detail={"before": str(before), "after": str(day)})


def is_the_payouts(payout: Payout, refund: ChannelRefund) -> bool:
    """Whether the refund is the one that the payout was paid by, not another made under its key too."""
    ours, theirs = payout.external_reference, refund.reference
    is_known = payout.state in {PayoutState.PAID, PayoutState.RETURNED} and ours and theirs
    return not is_known or ours == theirs or theirs.startswith(str(payout.key))


def _take_in_ours(payout: Payout, refund: ChannelRefund, *, at: datetime, day: date) -> Difference | None:
    payment_id = None if payout.channel == Channel.BALANCE else payout.payment_id
    with certificates_follow(payment_id, at=at):
        if _can_be_settled(payout, refund):
            settle(payout.pk, refund, at=at)
        payout = Payout.objects.select_related("payment").get(pk=payout.pk)
        if refund.outcome == Outcome.PAID:
            _correct_day(payout, refund, at=at)
        kind = _difference_between(payout, refund, day)
        _heal_others(payout, refund, kind, at=at)
        return _file_of_ours(kind, payout, refund, at=at, day=day) if kind else None


def _can_be_settled(payout: Payout, refund: ChannelRefund) -> bool:
    return is_the_payouts(payout, refund) and not is_reference_of_another(payout, refund)


def _difference_between(payout: Payout, refund: ChannelRefund, day: date) -> DifferenceKind | None:
    """What is left between a settled payout and the channel's refund of it."""
    is_another = payout.state == PayoutState.PAID and not is_the_payouts(payout, refund)
    if refund.outcome == Outcome.FAILED:
        # Of the same amount it has been settled: the payout came back.
        return DifferenceKind.DIFFERENT_AMOUNT if payout.state == PayoutState.PAID and not is_another else None
    if is_another:
        # Under our key, yet not what we know of: paid twice, or written down wrongly by hand.
        return DifferenceKind.MISSING_HERE
    if not _is_of_same_money(payout, refund):
        return DifferenceKind.DIFFERENT_AMOUNT
    is_here = payout.state in UNDER_WAY | {PayoutState.PAID} or _came_back_later(payout, day)
    if not is_here or (payout.state in UNDER_WAY and is_reference_of_another(payout, refund)):
        return DifferenceKind.DIFFERENT_STATE
    return None


def _came_back_later(payout: Payout, day: date) -> bool:
    """Whether a list of that day's events rightly has a payout as paid that is with us again."""
    return (payout.state, payout.booked_on) == (PayoutState.RETURNED, day) and payout.channel in LISTS_EVENTS


def file_refund(
    kind: DifferenceKind, channel: str, refund: ChannelRefund, *, at: datetime, day: date, **fields: Any
) -> Difference:
    """File what a channel says of a refund, under its number and with its amount."""
    return file(
        kind,
        channel,
        subject_of(refund),
        at=at,
        day=day,
        external_reference=refund.reference,
        amount=refund.amount,
        currency=refund.currency,
        **fields,
    )


def _file_of_ours(
    kind: DifferenceKind, payout: Payout, refund: ChannelRefund, *, at: datetime, day: date
) -> Difference:
    return file_refund(
        kind,
        payout.channel,
        refund,
        at=at,
        day=day,
        payment_id=payout.payment_id,
        payout_id=payout.pk,
        our_amount=None if kind == DifferenceKind.MISSING_HERE else payout.amount,
    )


def _take_in_foreign(channel: str, refund: ChannelRefund, *, at: datetime, day: date) -> Difference | None:
    """A refund that we know nothing of. Taken on counts as made: the money is going."""
    if refund.outcome == Outcome.FAILED:
        heal(Difference.objects.filter(channel=channel, subject=subject_of(refund)), at=at)
        return None
    payments = Payment.objects.filter(channel=channel, reference=refund.payment_reference).exclude(reference="")
    return file_refund(
        DifferenceKind.MISSING_HERE,
        channel,
        refund,
        at=at,
        day=day,
        payment_id=payments.values_list("pk", flat=True).first(),
        is_pending=refund.outcome == Outcome.PENDING,
    )


def subject_of(refund: ChannelRefund) -> str:
    return (refund.reference or refund.key or refund.payment_reference)[:LONGEST_SUBJECT]


def _keys_in(refund: ChannelRefund) -> list[UUID]:
    """Our key in that of a refund, where it may be one."""
    try:
        return [UUID(refund.key[:KEY_LENGTH])]
    except ValueError:
        return []


def _is_of_same_money(payout: Payout, refund: ChannelRefund) -> bool:
    return (payout.amount, payout.currency) == (refund.amount, refund.currency)


def _heal_others(payout: Payout, refund: ChannelRefund, kind: DifferenceKind | None, *, at: datetime) -> None:
    """Heal what is no longer so, now that `kind` is what is left of the difference."""
    if is_the_payouts(payout, refund):
        heal(about(payout, refund).exclude(kind=kind or ""), at=at)
    elif refund.outcome == Outcome.FAILED:
        heal(Difference.objects.filter(channel=payout.channel, external_reference=refund.reference), at=at)
