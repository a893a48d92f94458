"""Every change of payments, payouts and ledger. Nobody else writes them.

Locks are taken in one order everywhere: account balance, what stands above (certificate, request), payment, payout.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from core import audit, jobs
from core.models import User
from payments import hooks
from payments.balances import house_account, lock_balance
from payments.channels import connected
from payments.exceptions import MoreThanPaid, NotYours, PayoutMoved, ReferenceMissing, ReferenceTaken
from payments.models import LedgerAccount, LedgerEntry, Payment, Payout
from payments.states import UNDER_WAY, Cause, Channel, LedgerKind, PayoutState


@dataclass(frozen=True)
class Part:
    """What one payment gets back, in minor units of its currency."""

    payment_id: int
    amount: int


def order_payouts(reference: str, parts: Iterable[Part], *, approved_by: User | None, at: datetime) -> list[Payout]:
    """Order one payout per payment for `reference`, in the caller's transaction. Raises MoreThanPaid."""
    in_lock_order = sorted(parts, key=lambda part: part.payment_id)
    return [_order_payout(reference, part, approved_by=approved_by, at=at) for part in in_lock_order if part.amount]


def _order_payout(reference: str, part: Part, *, approved_by: User | None, at: datetime) -> Payout:
    payment = Payment.objects.select_for_update().get(pk=part.payment_id)
    _order_back(payment, part.amount)
    payout = Payout.objects.create(
        payment=payment,
        reference=reference,
        channel=payment.channel,
        amount=part.amount,
        currency=payment.currency,
        approved_by=approved_by,
        ordered_at=at,
    )
    _book(payout, Cause.PAYOUT_ORDERED, LedgerKind.REFUNDS, LedgerKind.PENDING, at=at)
    _queue(payout)
    return payout


def _order_back(payment: Payment, amount: int) -> None:
    if payment.ordered_back + amount > payment.amount:
        raise MoreThanPaid(f"{payment}: {payment.ordered_back} of {payment.amount} are ordered back already")
    Payment.objects.filter(pk=payment.pk).update(ordered_back=F("ordered_back") + amount)


def _queue(payout: Payout) -> None:
    """Give the payout to the worker, where its channel is connected; else a person takes it up."""
    if connected(payout.channel):
        jobs.enqueue("pay_payout", key=str(payout.key), payload={"payout": payout.pk})


# --- The worker's way --------------------------------------------------------------------------


def pay_payout(payload: dict[str, Any], *, at: datetime) -> Callable[[], None]:
    """Job handler: take the payout up, ask its channel outside any transaction, return what settles the answer."""
    payout = _take_up(payload["payout"], at=at)
    if payout.state not in UNDER_WAY:
        # Settled already, by this job's earlier try or by a person: the channel must not be asked.
        return lambda: None
    channel = connected(payout.channel)
    if channel is None:
        raise PayoutMoved(f"the channel {payout.channel} is not connected")
    external_reference = channel.pay_back(payout)
    return partial(_settle_paid, payout.pk, external_reference, at=at)


def _take_up(payout_id: int, *, at: datetime) -> Payout:
    with transaction.atomic():
        payout = _lock(payout_id)
        if payout.state == PayoutState.ORDERED:
            payout.send()
            payout.save()
            hooks.payout_settled(payout, at=at)
        return payout


def _settle_paid(payout_id: int, external_reference: str, *, at: datetime) -> None:
    balance = _lock_balance_for(payout_id)
    payout = _lock(payout_id)
    if payout.state != PayoutState.PAID:
        _pay(payout, balance, external_reference=external_reference, by=None, at=at)


# --- A person's way ----------------------------------------------------------------------------


@transaction.atomic
def record_paid(payout_id: int, external_reference: str, *, by: User, at: datetime) -> Payout:
    """Record that a payout was made outside the console, under its unique outside reference.

    Raises NotYours, PayoutMoved (the worker pays this channel, or somebody was quicker), ReferenceMissing and
    ReferenceTaken.
    """
    payout = _lock_for_person(payout_id, by)
    external_reference = external_reference.strip()
    if not external_reference:
        raise ReferenceMissing
    if payout.state == PayoutState.FAILED:
        _order_again(payout, at=at)
    payout.recorded_by = by
    with _unique_reference(external_reference):
        _pay(payout, None, external_reference=external_reference, by=by, at=at)
    audit.record(payout, "record_paid", by=by, at=at, note=external_reference, detail=_facts(payout))
    return payout


@transaction.atomic
def record_failed(payout_id: int, reason: str, *, by: User, at: datetime) -> Payout:
    """Record that a payout failed outside; its amount may be ordered again. Raises NotYours and PayoutMoved."""
    payout = _lock_for_person(payout_id, by)
    if payout.state not in UNDER_WAY:
        raise PayoutMoved(payout.get_state_display())
    payout.fail()
    payout.recorded_by, payout.failure, payout.settled_at = by, reason, at
    payout.save()
    Payment.objects.filter(pk=payout.payment_id).update(ordered_back=F("ordered_back") - payout.amount)
    _book(payout, Cause.PAYOUT_FAILED, LedgerKind.PENDING, LedgerKind.REFUNDS, by=by, at=at)
    audit.record(payout, "record_failed", by=by, at=at, note=reason, detail=_facts(payout))
    hooks.payout_settled(payout, at=at)
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


def give_up(reference: str, *, by: User, at: datetime) -> None:
    """Close the payouts of a reference, all of which have failed, in the caller's transaction.

    Raises NotYours, and PayoutMoved when one of them was paid or is under way.
    """
    payouts = Payout.objects.filter(reference=reference).select_related("payment").order_by("payment_id")
    for payout in payouts.select_for_update(of=("self",)):
        if not may_record(payout, by):
            raise NotYours(str(payout))
        if payout.state != PayoutState.FAILED:
            raise PayoutMoved(payout.get_state_display())
        payout.given_up_at = at
        payout.save()


def _lock_for_person(payout_id: int, by: User) -> Payout:
    payout = _lock(payout_id)
    if not may_record(payout, by):
        raise NotYours(str(payout))
    may_change = payout.state in UNDER_WAY | {PayoutState.FAILED} and not payout.given_up_at
    if connected(payout.channel) or not may_change:
        raise PayoutMoved(payout.get_state_display())
    return payout


def may_record(payout: Payout, by: User) -> bool:
    """Whether a person may record this payout: with the permission, and neither its approver nor its receiver."""
    is_involved = by.pk in {payout.approved_by_id, payout.payment.account_id}
    return by.is_active and by.has_perm("payments.record_payout") and not is_involved


def _order_again(payout: Payout, *, at: datetime) -> None:
    payment = Payment.objects.select_for_update().get(pk=payout.payment_id)
    _order_back(payment, payout.amount)
    payout.order_again()
    payout.failure, payout.settled_at = "", None
    payout.save()
    _book(payout, Cause.PAYOUT_ORDERED, LedgerKind.REFUNDS, LedgerKind.PENDING, at=at)


# --- Both ways ---------------------------------------------------------------------------------


def _lock(payout_id: int) -> Payout:
    """Lock what stands above the payout, its payment, and itself, in this order."""
    reference, payment_id = Payout.objects.values_list("reference", "payment_id").get(pk=payout_id)
    hooks.payout_settling(reference)
    payment = Payment.objects.select_for_update().get(pk=payment_id)
    payout = Payout.objects.select_for_update().get(pk=payout_id)
    payout.payment = payment
    return payout


def _lock_balance_for(payout_id: int) -> LedgerAccount | None:
    payout = Payout.objects.select_related("payment").get(pk=payout_id)
    if payout.channel != Channel.BALANCE:
        return None
    return lock_balance(payout.payment.account_id, payout.currency)


def _pay(
    payout: Payout, balance: LedgerAccount | None, *, external_reference: str, by: User | None, at: datetime
) -> None:
    payout.pay()
    payout.external_reference, payout.settled_at = external_reference, at
    payout.save()
    credit = balance or house_account(LedgerKind.CHANNEL, payout.currency, payout.channel)
    _transfer(payout, Cause.PAYOUT_PAID, house_account(LedgerKind.PENDING, payout.currency), credit, by=by, at=at)
    if balance:
        LedgerAccount.objects.filter(pk=balance.pk).update(balance=F("balance") + payout.amount)
    hooks.payout_settled(payout, at=at)


def _book(
    payout: Payout, cause: Cause, debit: LedgerKind, credit: LedgerKind, *, at: datetime, by: User | None = None
) -> None:
    accounts = [house_account(kind, payout.currency) for kind in (debit, credit)]
    _transfer(payout, cause, *accounts, by=by, at=at)


def _transfer(
    payout: Payout, cause: Cause, debit: LedgerAccount, credit: LedgerAccount, *, by: User | None, at: datetime
) -> None:
    LedgerEntry.objects.create(
        at=at,
        debit=debit,
        credit=credit,
        amount=payout.amount,
        currency=payout.currency,
        cause=cause,
        payout=payout,
        by=by,
    )


def _facts(payout: Payout) -> dict[str, Any]:
    return {
        "amount": payout.amount,
        "currency": payout.currency,
        "channel": payout.channel,
        "key": str(payout.key),
        "request": payout.reference,
    }
