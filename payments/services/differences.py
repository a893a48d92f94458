"""Where a channel's books and ours differ: what is taken in, what is filed then, and what agrees again.

Whoever files, heals or decides a refund that a channel made by itself first locks what its payment paid for, by asking
REFUND_FOUND, and only then what `settling` locks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from core import audit
from payments import hooks
from payments.channels import ChannelRefund, Outcome
from payments.days import books_day, span_of
from payments.models import Difference, Payment, Payout
from payments.services.outcomes import is_reference_of_another, settle
from payments.states import CLOSES_REFUND, PAID_THERE, UNDER_WAY, Channel, DifferenceKind, DifferenceState, PayoutState

# A difference about which both books, or a person, have not said the last word.
UNRESOLVED = sorted(CLOSES_REFUND)
# Lists of what happened on a day; other channels list how that day's refunds stand now.
LISTS_EVENTS = frozenset({Channel.BALANCE, Channel.BANK})
KEY_LENGTH = 36  # of a payout's key; a channel's may have the number of a try behind it
LONGEST_SUBJECT = 200


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


# --- What a channel says -----------------------------------------------------------------------


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
    return is_paid and is_same and not _about(payout, refund).filter(state__in=UNRESOLVED).exists()


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


def _file_of_ours(
    kind: DifferenceKind, payout: Payout, refund: ChannelRefund, *, at: datetime, day: date
) -> Difference:
    return file(
        kind,
        payout.channel,
        subject_of(refund),
        at=at,
        day=day,
        external_reference=refund.reference,
        payment_id=payout.payment_id,
        payout_id=payout.pk,
        amount=refund.amount,
        our_amount=None if kind == DifferenceKind.MISSING_HERE else payout.amount,
        currency=refund.currency,
    )


def _take_in_foreign(channel: str, refund: ChannelRefund, *, at: datetime, day: date) -> Difference | None:
    """A refund that we know nothing of. Taken on counts as made: the money is going."""
    if refund.outcome == Outcome.FAILED:
        heal(Difference.objects.filter(channel=channel, subject=subject_of(refund)), at=at)
        return None
    payments = Payment.objects.filter(channel=channel, reference=refund.payment_reference).exclude(reference="")
    return file(
        DifferenceKind.MISSING_HERE,
        channel,
        subject_of(refund),
        at=at,
        day=day,
        external_reference=refund.reference,
        payment_id=payments.values_list("pk", flat=True).first(),
        amount=refund.amount,
        currency=refund.currency,
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
    return _about(payout, refund).filter(Q(payment=payout.payment_id) | Q(payment=None)).order_by("id")


def _about(payout: Payout, refund: ChannelRefund) -> QuerySet[Difference]:
    """The differences that end where the payout and this refund are one and the same."""
    of_refund = Q(channel=payout.channel, external_reference=refund.reference) if refund.reference else Q(pk=None)
    of_payout = Q(payout=payout.pk) & ~Q(kind=DifferenceKind.MISSING_HERE)
    return Difference.objects.filter(of_refund | of_payout)


def _heal_others(payout: Payout, refund: ChannelRefund, kind: DifferenceKind | None, *, at: datetime) -> None:
    """Heal what is no longer so, now that `kind` is what is left of the difference."""
    if is_the_payouts(payout, refund):
        heal(_about(payout, refund).exclude(kind=kind or ""), at=at)
    elif refund.outcome == Outcome.FAILED:
        heal(Difference.objects.filter(channel=payout.channel, external_reference=refund.reference), at=at)


def _heal(difference_id: int, *, at: datetime) -> bool:
    difference = Difference.objects.select_for_update().get(pk=difference_id)
    if difference.state not in CLOSES_REFUND:
        return False
    difference.heal()
    difference.resolved_at = at
    difference.save()
    audit.record(difference, "healed", by=None, at=at, detail=facts(difference))
    return True
