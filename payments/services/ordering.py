"""Ordering payouts: an outbox, written in the transaction of whoever grants the money."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from core import jobs
from core.models import User
from payments import hooks
from payments.channels import connected
from payments.models import Difference, Payment, Payout
from payments.services import settling
from payments.states import UNDER_WAY, Cause, Channel, DifferenceState, LedgerKind


@dataclass(frozen=True)
class Part:
    """What one payment gets back, in minor units of its currency."""

    payment_id: int
    amount: int


def order_payouts(
    reference: str, parts: Iterable[Part], *, approved_by: User | None, at: datetime, found_to_staff: bool = False
) -> list[Payout]:
    """Order a payout per payment for `reference`, in the caller's transaction.

    Where the channel has given money of a payment back by itself RefundFound is raised; with `found_to_staff` a person
    gets that payout instead of the worker. Raises MoreThanPaid.
    """
    in_lock_order = sorted((part for part in parts if part.amount), key=lambda part: part.payment_id)
    return [
        _order_payout(reference, part, approved_by=approved_by, at=at, found_to_staff=found_to_staff)
        for part in in_lock_order
    ]


def _order_payout(
    reference: str, part: Part, *, approved_by: User | None, at: datetime, found_to_staff: bool
) -> Payout:
    payment = Payment.objects.select_for_update().get(pk=part.payment_id)
    is_for_staff = found_to_staff and settling.is_found(payment, part.amount)
    (settling.count_as_gone if is_for_staff else settling.order_back)(payment, part.amount)
    payout = create(payment, reference, part.amount, approved_by=approved_by, at=at)
    if is_for_staff:
        settling.give_to_staff(payout, settling.FOUND, at=at)
    else:
        queue(payout, at=at)
    return payout


def order_in_place_of(payout: Payout, *, at: datetime) -> Payout:
    """Order anew, under a new key, a locked payout that came back; nothing is queued yet. Raises as order_payouts."""
    settling.order_back(payout.payment, payout.amount)
    approver = payout.approved_by or _confirmer_of(payout)
    successor = create(payout.payment, payout.reference, payout.amount, approved_by=approver, at=at, follows=payout)
    hooks.payout_settled(successor, at=at)
    return successor


def _confirmer_of(payout: Payout) -> User | None:
    """Who confirmed a refund that the channel had made by itself has granted it: they do not send it anew."""
    confirmed = Difference.objects.filter(payout=payout, state=DifferenceState.CONFIRMED).select_related("resolved_by")
    return next((difference.resolved_by for difference in confirmed), None)


def create(
    payment: Payment,
    reference: str,
    amount: int,
    *,
    approved_by: User | None,
    at: datetime,
    follows: Payout | None = None,
) -> Payout:
    """Store a payout whose amount counts as gone already, and book its order."""
    payout = Payout.objects.create(
        payment=payment,
        reference=reference,
        channel=payment.channel,
        amount=amount,
        currency=payment.currency,
        approved_by=approved_by,
        ordered_at=at,
        follows=follows,
    )
    settling.book(payout, Cause.PAYOUT_ORDERED, LedgerKind.REFUNDS, LedgerKind.PENDING, at=at)
    return payout


def order_again(payout: Payout, *, at: datetime) -> None:
    """Order a locked payout that failed once more: the same record, the same key. Raises as order_payouts."""
    settling.order_back(payout.payment, payout.amount)
    payout.order_again()
    payout.failure, payout.settled_at, payout.external_reference = "", None, ""
    payout.save()
    settling.book(payout, Cause.PAYOUT_ORDERED, LedgerKind.REFUNDS, LedgerKind.PENDING, at=at)


# --- The worker's queue ------------------------------------------------------------------------


def queue(payout: Payout, *, at: datetime) -> None:
    """Give a locked or new payout to the worker, where its channel is connected; else it waits.

    A job that had ended, or was given up, begins anew under the same key. An amount that the channel can't refund goes
    to staff at once.
    """
    if not settling.is_in_steps(payout):
        settling.give_to_staff(payout, settling.not_in_steps(payout), at=at)
        return
    payout.is_queued = connected(payout.channel) is not None
    Payout.objects.filter(pk=payout.pk).update(is_queued=payout.is_queued)
    if payout.is_queued:
        jobs.enqueue_again("pay_payout", key=str(payout.key), payload={"payout": payout.pk})


def queue_waiting(*, at: datetime, limit: int = 500) -> int:
    """Queue the payouts that waited for their channel to be connected here; return how many."""
    channels = [channel for channel in Channel.values if connected(channel)]
    waiting = Payout.objects.filter(
        state__in=sorted(UNDER_WAY), channel__in=channels, is_queued=False, handed_over_at=None
    )
    # Read first without a transaction: on SQLite every transaction takes the one write lock.
    return sum(
        _queue_if_waiting(waiting, pk, at=at)
        for pk in list(waiting.order_by("id").values_list("pk", flat=True)[:limit])
    )


@transaction.atomic
def _queue_if_waiting(waiting: QuerySet[Payout], payout_id: int, *, at: datetime) -> bool:
    """Under the lock: a person may just be recording it."""
    payout = waiting.select_for_update().filter(pk=payout_id).first()
    if payout:
        queue(payout, at=at)
    return payout is not None
