"""Where a channel's books and ours differ: what is filed, and what agrees again.

Whoever files, heals or decides a refund that a channel made by itself first locks what its payment paid for, by asking
REFUND_FOUND, and only then what `settling` locks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Q, QuerySet

from core import audit
from payments import hooks
from payments.channels import ChannelRefund, Outcome
from payments.models import Difference, Payout
from payments.states import CLOSES_REFUND, PAID_THERE, DifferenceKind, DifferenceState, PayoutState

# A difference about which both books, or a person, have not said the last word.
UNRESOLVED = sorted(CLOSES_REFUND)


@dataclass(frozen=True)
class Candidate:
    """What a refund found at a channel may belong to. `request` where it can be the payout of one under review."""

    id: str
    label: str
    is_request: bool


@contextmanager
def certificates_follow(payment_id: int | None, *, at: datetime) -> Iterator[None]:
    """Lock what the payment paid for before anything else is, and tell it afterwards what has been found."""
    if payment_id is not None:
        hooks.refund_found(payment_id, at=at)
    yield
    if payment_id is not None:
        hooks.refund_found(payment_id, at=at)


# --- Filing ------------------------------------------------------------------------------------


def file(kind: DifferenceKind, channel: str, subject: str, *, at: datetime, day: date, **found: Any) -> Difference:
    """File what was found, in the caller's transaction. Found again it changes nothing.

    One that both books had agreed on is open again; what a person has decided stays. `found` is what the row keeps.
    """
    known = Difference.objects.filter(channel=channel, kind=kind, subject=subject).first()
    if known and not _has_news(known, found):
        return known
    payment_id = found.get("payment_id") if kind in PAID_THERE else None
    with certificates_follow(payment_id, at=at):
        difference, is_new = Difference.objects.select_for_update().get_or_create(
            channel=channel, kind=kind, subject=subject, defaults={**found, "day": day, "found_at": at}
        )
        if is_new:
            audit.record(difference, "found", by=None, at=at, detail=facts(difference))
        elif _has_news(difference, found):
            _update(difference, found, at=at)
    return difference


def file_missing_there(payout: Payout, *, at: datetime) -> Difference | None:
    """A payout that the channel's list of its day lacks. None where it is paid no more, or on another day."""
    now = Payout.objects.get(pk=payout.pk)
    if (now.state, now.booked_on) != (PayoutState.PAID, payout.booked_on) or now.booked_on is None:
        return None
    return file(
        DifferenceKind.MISSING_THERE,
        now.channel,
        str(now.key),
        at=at,
        day=now.booked_on,
        external_reference=now.external_reference,
        payment_id=now.payment_id,
        payout_id=now.pk,
        our_amount=now.amount,
        currency=now.currency,
    )


def _has_news(known: Difference, found: dict[str, Any]) -> bool:
    if known.state == DifferenceState.HEALED:
        return True
    return known.state in CLOSES_REFUND and any(getattr(known, name) != value for name, value in found.items())


def _update(difference: Difference, found: dict[str, Any], *, at: datetime) -> None:
    was_healed = difference.state == DifferenceState.HEALED
    if was_healed:
        difference.reopen()
        difference.resolved_at = difference.resolved_by = None
    for name, value in found.items():
        setattr(difference, name, value)
    difference.save()
    act = "found_again" if was_healed else "has_changed"
    audit.record(difference, act, by=None, at=at, detail=facts(difference))


def facts(difference: Difference) -> dict[str, Any]:
    """What an audit entry keeps of a difference."""
    return {
        "kind": difference.kind,
        "channel": difference.channel,
        "day": difference.day.isoformat(),
        "there": difference.amount,
        "here": difference.our_amount,
        "currency": difference.currency,
        "reference": difference.external_reference,
        "payment": str(difference.payment or ""),
        "payout": str(difference.payout or ""),
        "assigned_to": difference.assigned_to,
    }


# --- Agreeing again ----------------------------------------------------------------------------


def heal(found: QuerySet[Difference], *, at: datetime) -> None:
    """Both books say the same of these now, in the caller's transaction."""
    for difference in found.filter(state__in=UNRESOLVED).order_by("id"):
        payment_id = difference.payment_id if difference.kind in PAID_THERE else None
        with certificates_follow(payment_id, at=at):
            _heal(difference.pk, at=at)


def payment_it_frees(payout_id: int, external_reference: str) -> int | None:
    """The payment whose certificates follow when this reference is recorded for the payout; read before any lock."""
    payout = Payout.objects.get(pk=payout_id)
    is_found = _known_as(payout, external_reference).filter(state__in=UNRESOLVED).exists()
    return payout.payment_id if is_found else None


def is_of_another_payment(payout: Payout, external_reference: str) -> bool:
    """Whether the channel has a refund under this reference that is of another payment, and undecided."""
    found = Difference.objects.filter(
        channel=payout.channel, external_reference=external_reference, state__in=UNRESOLVED
    )
    return found.exclude(Q(payment=payout.payment_id) | Q(payment=None)).exists()


def of_other_amount(payout: Payout, external_reference: str) -> Difference | None:
    """What is undecided about a refund that the channel has under this reference, of another amount than the payout."""
    found = Difference.objects.filter(
        channel=payout.channel, external_reference=external_reference, state__in=UNRESOLVED, amount__isnull=False
    )
    return found.exclude(amount=payout.amount, currency=payout.currency).order_by("id").first()


def found_under_another(payout: Payout, external_reference: str) -> Difference | None:
    """What is undecided of the payout's payment at the channel where all of it has other references than this.

    Not what was assigned to one certificate, nor a refusal without a reference: a person who found out which refund
    that meant records the payout under the refund's reference.
    """
    found = Difference.objects.of_nobody_knows_which().filter(payment=payout.payment_id).exclude(external_reference="")
    by_reference = {each.external_reference: each for each in found.order_by("-id")}
    return None if external_reference in by_reference else next(iter(reversed(by_reference.values())), None)


def heal_by_reference(payout: Payout, external_reference: str, *, at: datetime) -> None:
    """What a channel has under this reference turned out to be this locked payout, inside `certificates_follow`."""
    for pk in _known_as(payout, external_reference).filter(state__in=UNRESOLVED).values_list("pk", flat=True):
        _heal(pk, at=at)


def found_as(payout: Payout, external_reference: str) -> Difference | None:
    """The refund of the payout's payment that was found at the channel under this reference and is undecided."""
    found = Difference.objects.filter(
        kind=DifferenceKind.MISSING_HERE,
        channel=payout.channel,
        payment=payout.payment_id,
        external_reference=external_reference,
        state__in=UNRESOLVED,
    )
    return found.order_by("id").first()


def _known_as(payout: Payout, external_reference: str) -> QuerySet[Difference]:
    """What was found of the payout, or of nobody's payment, and ends with its being paid under this reference."""
    refund = ChannelRefund(external_reference, Outcome.PAID, payout.amount, payout.currency, key=str(payout.key))
    return about(payout, refund).filter(Q(payment=payout.payment_id) | Q(payment=None)).order_by("id")


def about(payout: Payout, refund: ChannelRefund) -> QuerySet[Difference]:
    """The differences that end where the payout and this refund are one and the same."""
    of_refund = Q(channel=payout.channel, external_reference=refund.reference) if refund.reference else Q(pk=None)
    of_payout = Q(payout=payout.pk) & ~Q(kind=DifferenceKind.MISSING_HERE)
    return Difference.objects.filter(of_refund | of_payout)


def _heal(difference_id: int, *, at: datetime) -> bool:
    difference = Difference.objects.select_for_update().get(pk=difference_id)
    if difference.state not in CLOSES_REFUND:
        return False
    difference.heal()
    difference.resolved_at = at
    difference.save()
    audit.record(difference, "healed", by=None, at=at, detail=facts(difference))
    return True
