"""What a person says of a difference. Nobody who approved the payout behind it or receives its money does."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from core import audit
from core.models import User
from core.stale import require_current
from payments import hooks
from payments.exceptions import NotYours, PaymentsError
from payments.models import Difference, Payment, Payout
from payments.services import differences, ordering, settling
from payments.services.differences import certificates_follow
from payments.states import CLOSES_REFUND, PAID_THERE, DifferenceKind, DifferenceState


class DifferenceMoved(PaymentsError):
    """The difference is no longer what the act needs: decided, healed, or what was chosen does not fit it any more."""


class NoteMissing(PaymentsError):
    """A difference is explained in words."""


# --- Who, and when -----------------------------------------------------------------------------


def may_resolve(difference: Difference, by: User) -> bool:
    """Whether a person may decide on it: with the permission, and no part in its money. Superusers included."""
    return by.is_active and by.has_perm("payments.record_payout") and not has_part_in(difference, by)


def has_part_in(difference: Difference, by: User) -> bool:
    """Whether they receive the money, or approved the payout."""
    if difference.payment is None:
        return difference.payout is not None and difference.payout.approved_by_id == by.pk
    is_receiver = difference.payment.account_id == by.pk
    return is_receiver or Payout.objects.filter(payment=difference.payment_id, approved_by=by).exists()


def can_be_dismissed(difference: Difference) -> bool:
    return difference.state in CLOSES_REFUND


def can_be_confirmed(difference: Difference) -> bool:
    """Whether it is a refund made at the channel itself, of a payment that we know."""
    is_found = difference.kind == DifferenceKind.MISSING_HERE and difference.payment_id is not None
    return is_found and not difference.is_pending and difference.state in CLOSES_REFUND


def can_be_kept(difference: Difference) -> bool:
    """Whether it may stay as it is and go on closing the Refund action: money that went, and that no request fits.

    Not where nobody knows how much went: then it blocks every refund of the payment until it's explained.
    """
    is_money = difference.kind in PAID_THERE and difference.amount is not None
    return is_money and difference.state == DifferenceState.OPEN


def difference_token(difference: Difference) -> str:
    """What a page shows of a difference."""
    shown = (difference.state, difference.amount, difference.currency, difference.is_pending, difference.assigned_to)
    return ":".join(map(str, shown))


# --- Acts --------------------------------------------------------------------------------------
# `seen` is the `difference_token` of the page that was acted on; StalePage is raised where it is no longer so.


@transaction.atomic
def confirm_difference(
    difference_id: int, candidate: str, *, by: User, at: datetime, seen: str | None = None
) -> Difference:
    """Say that a refund made at the channel is the payout of a request: the `Candidate` of this id.

    Raises NotYours, StalePage, DifferenceMoved (decided meanwhile, or the request is no longer one it fits) and
    MoreThanPaid.
    """
    difference = _for(difference_id, by)
    with certificates_follow(difference.payment_id, at=at):
        # Whoever files, heals or decides it has locked these certificates before.
        difference = _for(difference_id, by)
        require_current(seen, difference_token(difference))
        # Takes the other locks in their order, and calls `take_as_payouts`.
        hooks.refund_confirmed(difference, candidate, by=by, at=at)
    return Difference.objects.get(pk=difference_id)


@transaction.atomic
def keep_difference(
    difference_id: int, *, by: User, at: datetime, assigned_to: str = "", note: str = "", seen: str | None = None
) -> Difference:
    """Say that a refund made at the channel has no request: it goes on closing the Refund action.

    Of the certificate `assigned_to` alone, a `Candidate` that is no request; empty where nobody knows which. Raises
    NotYours, StalePage and DifferenceMoved.
    """
    with _deciding(difference_id, "kept", by=by, at=at, note=note, seen=seen) as difference:
        if not can_be_kept(difference) or not _is_of_its_payment(difference, assigned_to):
            raise DifferenceMoved(difference.get_state_display())
        difference.keep()
        difference.assigned_to = assigned_to
    return difference


@transaction.atomic
def dismiss_difference(difference_id: int, note: str, *, by: User, at: datetime, seen: str | None = None) -> Difference:
    """Explain a difference: nothing follows from it any more.

    Raises NotYours, NoteMissing, StalePage and DifferenceMoved.
    """
    if not note.strip():
        raise NoteMissing
    with _deciding(difference_id, "dismissed", by=by, at=at, note=note, seen=seen) as difference:
        if not can_be_dismissed(difference):
            raise DifferenceMoved(difference.get_state_display())
        difference.dismiss()
    return difference


def take_as_payouts(difference_ids: Collection[int], reference: str, *, by: User, at: datetime) -> list[Payout]:
    """Make refunds that channels made by themselves the payouts for `reference`, one a payment.

    In the transaction of the caller, who holds what stands above the payments, and moves it. Raises NotYours,
    DifferenceMoved and MoreThanPaid.
    """
    payments = Payment.objects.filter(differences__in=difference_ids).values("pk")
    list(Payment.objects.select_for_update().filter(pk__in=payments).order_by("pk"))
    return [_take_as_payout(pk, reference, by=by, at=at) for pk in sorted(difference_ids)]


def _take_as_payout(difference_id: int, reference: str, *, by: User, at: datetime) -> Payout:
    difference = _lock(difference_id, by)
    if not can_be_confirmed(difference) or difference.payment is None or difference.amount is None:
        raise DifferenceMoved(difference.get_state_display())
    settling.count_as_gone(difference.payment, difference.amount)
    payout = ordering.create(difference.payment, reference, difference.amount, approved_by=None, at=at)
    _pay_by(payout, difference, by=by, at=at)
    difference.confirm()
    difference.payout = payout
    _resolve(difference, "confirmed", by=by, at=at, note=reference)
    return payout


def _pay_by(payout: Payout, difference: Difference, *, by: User, at: datetime) -> None:
    """It is paid already; whoever confirms moves the request."""
    reference = difference.external_reference
    if settling.others_under(reference, payout).exists():
        raise DifferenceMoved(reference)
    payout.recorded_by = by
    settling.pay(payout, None, external_reference=reference, by=by, at=at, day=difference.day, is_news=False)
    audit.record(payout, "record_paid", by=by, at=at, note=reference, detail=settling.facts(payout))


# --- Steps -------------------------------------------------------------------------------------


def _for(difference_id: int, by: User) -> Difference:
    difference = Difference.objects.select_related("payment", "payout").get(pk=difference_id)
    if not may_resolve(difference, by):
        raise NotYours(str(difference))
    return difference


def _lock(difference_id: int, by: User) -> Difference:
    Difference.objects.select_for_update().get(pk=difference_id)
    return _for(difference_id, by)


@contextmanager
def _deciding(
    difference_id: int, act: str, *, by: User, at: datetime, note: str, seen: str | None
) -> Iterator[Difference]:
    """A locked difference, to be moved; stored and recorded afterwards."""
    payment_id = _for(difference_id, by).payment_id
    with certificates_follow(payment_id, at=at):
        difference = _lock(difference_id, by)
        require_current(seen, difference_token(difference))
        yield difference
        difference.note = note.strip()
        _resolve(difference, act, by=by, at=at, note=difference.note)


def _resolve(difference: Difference, act: str, *, by: User, at: datetime, note: str) -> None:
    difference.resolved_by, difference.resolved_at = by, at
    difference.save()
    audit.record(difference, act, by=by, at=at, note=note, detail=differences.facts(difference))


def _is_of_its_payment(difference: Difference, certificate: str) -> bool:
    known = {candidate.id for candidate in hooks.refund_candidates(difference) if not candidate.is_request}
    return not certificate or certificate in known
