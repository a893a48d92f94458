"""A person's way: what staff send again, record as made outside, or give up. The approver does none of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

from django.db import IntegrityError, transaction

from core import audit
from core.models import User
from core.stale import require_current
from payments import hooks
from payments.days import books_day
from payments.exceptions import (
    AmountsDiffer,
    DayImpossible,
    FoundUnderAnother,
    NotYours,
    PayoutMoved,
    ReferenceMissing,
    ReferenceTaken,
)
from payments.models import BatchLine, Difference, Payout
from payments.services import differences, ordering, settling
from payments.states import UNDER_WAY, Cause, Channel, DifferenceKind, DifferenceState, PayoutState

# --- Who, and when -----------------------------------------------------------------------------


def may_record(payout: Payout, by: User) -> bool:
    """Whether a person may record this payout: with the permission, and neither its approver nor its receiver."""
    return by.has_perm("payments.record_payout") and not is_involved(payout, by)


def may_send(payout: Payout, by: User) -> bool:
    """Whether a person may send this payout: with the permission, and neither its approver nor its receiver."""
    return by.has_perm("payments.send_payout") and not is_involved(payout, by)


def is_involved(payout: Payout, by: User) -> bool:
    """Whether a person has a part in the refund behind the payout, or is no longer active. Superusers included."""
    return not by.is_active or by.pk in {payout.approved_by_id, payout.payment.account_id}


def is_with_staff(payout: Payout) -> bool:
    """Whether a person and not the worker carries a payout on that is under way.

    What the worker was given counts, not what is connected here: a web process may lack the worker's settings.
    """
    return payout.state in UNDER_WAY and (not payout.is_queued or payout.handed_over_at is not None)


def is_to_make_good(payout: Payout) -> bool:
    """Whether its money is with us again and nobody has decided yet what becomes of it."""
    has_ended = payout.state in {PayoutState.FAILED, PayoutState.RETURNED} and not payout.given_up_at
    return has_ended and not Payout.objects.filter(follows=payout.pk).exists()


def can_be_recorded(payout: Payout) -> bool:
    """Whether it may have been made outside the console: the account balance is kept nowhere else."""
    return payout.channel != Channel.BALANCE and (is_with_staff(payout) or is_to_make_good(payout))


def can_have_come_back(payout: Payout) -> bool:
    """Whether a person may record it as returned: paid by hand, so that no connection says it, or unknown there."""
    if payout.state != PayoutState.PAID or payout.channel == Channel.BALANCE:
        return False
    lacking = Difference.objects.filter(payout=payout, kind=DifferenceKind.MISSING_THERE, state=DifferenceState.OPEN)
    return not payout.is_queued or payout.recorded_by_id is not None or lacking.exists()


def can_be_sent_again(payout: Payout) -> bool:
    """A bank payout that was in a file never is: it is in one for ever, and the bank may still act on it.

    Nor is an amount that its channel can't refund.
    """
    if not settling.is_in_steps(payout):
        return False
    if payout.state == PayoutState.RETURNED:
        return is_to_make_good(payout)
    if payout.channel == Channel.BANK and BatchLine.objects.filter(payout=payout).exists():
        return False
    return is_to_make_good(payout) or payout.handed_over_at is not None


def failures_of(payout: Payout) -> int:
    """How often it has failed, whoever said so."""
    return payout.entries.filter(cause=Cause.PAYOUT_FAILED).count()


def payout_token(payout: Payout) -> str:
    """What a page shows of a payout. Another failure, or another handing over, is not the one that it showed."""
    events = (payout.handed_over_at, payout.settled_at, payout.returned_at, payout.given_up_at)
    times = [f"{at.timestamp():.6f}" if at else "" for at in events]
    return ":".join([payout.state, str(failures_of(payout)), *times])


# --- Acts --------------------------------------------------------------------------------------
# `seen` is the `payout_token` of the page that was acted on; StalePage is raised where it is no longer so.


@transaction.atomic
def try_again(payout_id: int, *, by: User, at: datetime, seen: str | None = None) -> Payout:
    """Send a payout that failed, or that the worker gave up, once more: same record, same key.

    One that came back is made good by a new one, which is returned. Raises NotYours, StalePage, PayoutMoved,
    MoreThanPaid and RefundFound.
    """
    payout = settling.lock(payout_id)
    if not may_send(payout, by):
        raise NotYours(str(payout))
    require_current(seen, payout_token(payout))
    if not can_be_sent_again(payout):
        raise PayoutMoved(payout.get_state_display())
    sent = _ordered_anew(payout, at=at)
    ordering.queue(sent, at=at)
    audit.record(payout, "sent_again", by=by, at=at, detail={**settling.facts(payout), "as": str(sent)})
    return sent


def _ordered_anew(payout: Payout, *, at: datetime) -> Payout:
    """A locked payout as it is under way again."""
    if payout.state == PayoutState.RETURNED:
        return ordering.order_in_place_of(payout, at=at)
    if payout.state == PayoutState.FAILED:
        ordering.order_again(payout, at=at)
        hooks.payout_settled(payout, at=at)
        return payout
    settling.require_not_found(payout.payment)
    payout.handed_over_at, payout.trouble = None, ""
    payout.save()
    return payout


@transaction.atomic
def record_paid(
    payout_id: int, external_reference: str, *, by: User, at: datetime, day: date | None = None, seen: str | None = None
) -> Payout:
    """Record that a payout was made outside the console, under its unique outside reference.

    `day` is that of the channel's books, today's by default. One that came back is made good by a new one, which is
    returned. Raises NotYours, StalePage, PayoutMoved (the worker pays it, or somebody was quicker), ReferenceMissing,
    ReferenceTaken, AmountsDiffer (the channel's refund under it is of another amount), DayImpossible, MoreThanPaid and
    RefundFound (FoundUnderAnother where the channel gave money of the payment back under another reference).
    """
    external_reference = external_reference.strip()
    if not external_reference:
        raise ReferenceMissing
    payment_id = differences.payment_it_frees(payout_id, external_reference)
    with differences.certificates_follow(payment_id, at=at):
        return _record_paid(payout_id, external_reference, by=by, at=at, day=day, seen=seen)


def _record_paid(
    payout_id: int, external_reference: str, *, by: User, at: datetime, day: date | None, seen: str | None
) -> Payout:
    payout = _lock_for_record(payout_id, by, seen)
    if not can_be_recorded(payout):
        raise PayoutMoved(payout.get_state_display())
    found = differences.found_as(payout, external_reference)
    if found:
        # The channel's own day, even before the order: its books have it there.
        day = found.day
    else:
        _require_possible(day, payout, at=at)
    if settling.others_under(external_reference, payout).exists():
        # Of whatever channel: what was transferred once, has made one payout good.
        raise ReferenceTaken(external_reference)
    if differences.is_of_another_payment(payout, external_reference):
        raise ReferenceTaken(external_reference)
    if other := differences.of_other_amount(payout, external_reference):
        raise AmountsDiffer(other)
    if not found and (another := differences.found_under_another(payout, external_reference)):
        # Recorded now, the customer could have both refunds, with one of them in our books.
        raise FoundUnderAnother(another)
    differences.heal_by_reference(payout, external_reference, at=at)
    paid = payout if payout.state in UNDER_WAY else _ordered_anew(payout, at=at)
    paid.recorded_by = by
    with _unique_reference(external_reference):
        settling.pay(paid, None, external_reference=external_reference, by=by, at=at, day=day)
    audit.record(paid, "record_paid", by=by, at=at, note=external_reference, detail=settling.facts(paid))
    return paid


@transaction.atomic
def record_failed(payout_id: int, reason: str, *, by: User, at: datetime, seen: str | None = None) -> Payout:
    """Record that a payout failed outside; its amount may be ordered again.

    Raises NotYours, StalePage and PayoutMoved.
    """
    payout = _lock_for_record(payout_id, by, seen)
    if not is_with_staff(payout):
        raise PayoutMoved(payout.get_state_display())
    payout.recorded_by = by
    settling.fail(payout, reason, by=by, at=at)
    audit.record(payout, "record_failed", by=by, at=at, note=reason, detail=settling.facts(payout))
    return payout


@transaction.atomic
def record_returned(payout_id: int, reason: str, *, by: User, at: datetime, seen: str | None = None) -> Payout:
    """Record that money paid outside came back to us, as banks say days later; a connected channel says it itself.

    Raises NotYours, StalePage and PayoutMoved.
    """
    payout = _lock_for_record(payout_id, by, seen)
    if not can_have_come_back(payout):
        raise PayoutMoved(payout.get_state_display())
    settling.take_back(payout, reason, by=by, at=at)
    audit.record(payout, "record_returned", by=by, at=at, note=reason, detail=settling.facts(payout))
    return payout


@transaction.atomic
def not_possible(payout_id: int, reason: str, *, by: User, at: datetime, seen: str | None = None) -> Payout:
    """Say that the money cannot go back: what stands behind the payout fails, and its customer is told.

    Raises NotYours, StalePage, PayoutMoved (a part was paid or is under way) and RefundFound.
    """
    reference = Payout.objects.values_list("reference", flat=True).get(pk=payout_id)
    # Whoever moves a payout locks what stands above it first.
    hooks.payout_settling(reference)
    before = Payout.objects.select_related("payment").get(pk=payout_id)
    if not may_record(before, by):
        raise NotYours(str(before))
    require_current(seen, payout_token(before))
    # Takes all locks in their order, and closes every payout of the reference through `give_up`.
    hooks.payout_impossible(reference, reason=reason, by=by, at=at)
    payout = Payout.objects.select_related("payment").get(pk=payout_id)
    if payout.given_up_at != at:
        raise PayoutMoved(payout.get_state_display())
    audit.record(payout, "not_possible", by=by, at=at, note=reason, detail=settling.facts(payout))
    return payout


def give_up(reference: str, *, by: User, at: datetime) -> None:
    """Close the payouts of a reference, all of which have failed or came back, in the caller's transaction.

    Raises NotYours, PayoutMoved when one of them was paid or is under way, and RefundFound when the channel has given
    money back by itself: then it is not for us to say that none went.
    """
    payouts = Payout.objects.current().filter(reference=reference).select_related("payment").order_by("payment_id")
    for payout in payouts.select_for_update(of=("self",)):
        if not may_record(payout, by):
            raise NotYours(str(payout))
        if not is_to_make_good(payout):
            raise PayoutMoved(payout.get_state_display())
        settling.require_not_found(payout.payment)
        payout.given_up_at = at
        payout.save()


def _require_possible(day: date | None, payout: Payout, *, at: datetime) -> None:
    """A day of the channel's books from the order on, and not in the future. Raises DayImpossible."""
    first, last = (books_day(payout.channel, moment) for moment in (payout.ordered_at, at))
    if day and not first <= day <= last:
        raise DayImpossible(str(day))


def _lock_for_record(payout_id: int, by: User, seen: str | None) -> Payout:
    payout = settling.lock(payout_id)
    if not may_record(payout, by):
        raise NotYours(str(payout))
    require_current(seen, payout_token(payout))
    return payout


@contextmanager
def _unique_reference(external_reference: str) -> Iterator[None]:
    """Ask the database rather than look first: two people may record the same reference at once."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "external_reference" in str(error) or "payout_recorded_once" in str(error):
            raise ReferenceTaken(external_reference) from error
        raise
