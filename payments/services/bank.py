"""Files for the bank: what goes into the next one, making it, and handing it out. Amounts are minor units.

A payout is in one file for ever. A file is made once and kept encrypted, so that it has the same bytes each time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import IntegrityError, models, transaction
from django.db.models import Case, CharField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum, Value, When

from core import audit
from core.encryption import WrongKey, decrypt, encrypt
from core.models import User
from payments import hooks
from payments.channels.bank import BatchRow, write_batch
from payments.days import books_day
from payments.exceptions import NotYours, PaymentsError
from payments.models import BankAccount, BankBatch, BatchLine, Difference, Payment, Payout
from payments.services import settling
from payments.services.bank_accounts import payer_of
from payments.states import Channel, PayoutState

# On SQLite nobody else writes while a file is made or answered: it lasts a few seconds at most.
MOST_LINES = 500


class NothingToSend(PaymentsError):
    """No payout can go into a file for the bank that this person makes."""


class BatchOvertaken(PaymentsError):
    """Other payouts would go into the file than the page showed."""


class BatchDamaged(PaymentsError):
    """What is stored of a file differs from its digest."""


class BatchUnreadable(PaymentsError):
    """None of KEY_ENCRYPTION_KEYS opens what is stored of a file."""


class LeftOut(models.TextChoices):
    """Why a bank payout that is ordered is not for this person's next file."""

    NO_ACCOUNT = "no_account"
    YOURS = "yours"
    # Who approved it also named the account: nobody sends money alone.
    ONE_HAND = "one_hand"
    FOUND = "found"


@dataclass(frozen=True)
class Plan:
    """What a file made now would hold, and what is left out of it. `rest` would go into the next one."""

    payouts: Sequence[Payout]
    rest: int
    left_out: dict[str, int]

    @property
    def totals(self) -> dict[str, int]:
        return totals_of(self.payouts)

    @property
    def token(self) -> str:
        """What a page shows, in short."""
        return sha256(",".join(str(payout.pk) for payout in self.payouts).encode()).hexdigest()[:32]


# --- What would go into it ---------------------------------------------------------------------


def waiting_for_file() -> QuerySet[Payout]:
    """The bank's payouts that are ordered and in no file."""
    in_file = BatchLine.objects.filter(payout=OuterRef("pk"))
    return Payout.objects.filter(~Exists(in_file), channel=Channel.BANK, state=PayoutState.ORDERED)


def judged(by: User) -> QuerySet[Any]:
    """Those, each with why it is not for this person's file: `left_out` is empty for what is."""
    found = Difference.objects.of_nobody_knows_which().filter(payment=OuterRef("payment"))
    named_by = F("payment__bank_account__recorded_by")
    reason = Case(
        When(Q(approved_by=by) | Q(payment__account=by), then=Value(LeftOut.YOURS)),
        When(payment__bank_account=None, then=Value(LeftOut.NO_ACCOUNT)),
        When(approved_by=named_by, then=Value(LeftOut.ONE_HAND)),
        When(Exists(found), then=Value(LeftOut.FOUND)),
        default=Value(""),
        output_field=CharField(),
    )
    return waiting_for_file().annotate(left_out=reason)


def plan_batch(by: User) -> Plan:
    """What a file would hold that this person makes now. Reads without locks."""
    payouts = list(_sendable(by)[:MOST_LINES])
    counted = dict(judged(by).order_by().values_list("left_out").annotate(number=Count("pk")))
    sendable = counted.pop("", 0)
    return Plan(payouts, max(0, sendable - len(payouts)), counted)


def _sendable(by: User) -> QuerySet[Any]:
    return judged(by).filter(left_out="").order_by("pk")


def totals_of(payouts: Iterable[Payout]) -> dict[str, int]:
    """Sums by currency, by the currencies' codes."""
    totals: dict[str, int] = {}
    for payout in payouts:
        totals[payout.currency] = totals.get(payout.currency, 0) + payout.amount
    return dict(sorted(totals.items()))


# --- Making it ---------------------------------------------------------------------------------


def may_make_batch(by: User) -> bool:
    return by.is_active and by.has_perm("payments.send_payout")


@transaction.atomic
def make_batch(*, by: User, at: datetime, seen: str | None = None) -> BankBatch:
    """Put every bank payout that this person may send, at most MOST_LINES of them, into a new file.

    `seen` is the token of the plan that a page showed. Raises NotYours, NothingToSend, BatchOvertaken, and
    AccountUnreadable.
    """
    if not may_make_batch(by):
        raise NotYours("bank batch")
    payouts = _lock_sendable(by, at=at)
    if not payouts:
        raise NothingToSend
    if seen not in {None, Plan(payouts, 0, {}).token}:
        raise BatchOvertaken
    batch = _store(payouts, by=by, at=at)
    lines = [BatchLine(batch=batch, position=n, payout=payout) for n, payout in enumerate(payouts, 1)]
    BatchLine.objects.bulk_create(lines)
    for payout in payouts:
        _send(payout, batch, by=by, at=at)
    told = {"payouts": len(payouts), "totals": totals_of(payouts), "day": batch.day.isoformat(), "digest": batch.digest}
    audit.record(batch, "made", by=by, at=at, detail=told)
    return batch


def _lock_sendable(by: User, *, at: datetime) -> list[Payout]:
    """Looked at again under the locks: somebody else may have sent or recorded some of them meanwhile."""
    locked = lock_many(_sendable(by).values_list("pk", flat=True)[:MOST_LINES], at=at)
    still = set(_sendable(by).filter(pk__in=[payout.pk for payout in locked]).values_list("pk", flat=True))
    return [payout for payout in locked if payout.pk in still]


def _store(payouts: Sequence[Payout], *, by: User, at: datetime) -> BankBatch:
    """The file under the next number. Two that are made at once ask for the same: the second waits, then counts on."""
    while True:
        number = (BankBatch.objects.aggregate(last=Max("number"))["last"] or 0) + 1
        try:
            with transaction.atomic():
                return _batch(number, payouts, by=by, at=at)
        except IntegrityError:
            if not BankBatch.objects.filter(number=number).exists():
                raise


def _batch(number: int, payouts: Sequence[Payout], *, by: User, at: datetime) -> BankBatch:
    batch = BankBatch(number=number, day=books_day(Channel.BANK, at), made_at=at, made_by=by)
    content = write_batch(str(batch), batch.day, _rows(payouts))
    batch.content, batch.digest = encrypt(content), sha256(content).hexdigest()
    batch.save()
    return batch


def _rows(payouts: Sequence[Payout]) -> list[BatchRow]:
    wanted = BankAccount.objects.filter(payment__in=[payout.payment_id for payout in payouts])
    payers = {account.payment_id: payer_of(account) for account in wanted.select_related("payment")}
    return [
        BatchRow(str(payout), payers[payout.payment_id], payout.amount, payout.currency, payout.reference)
        for payout in payouts
    ]


def _send(payout: Payout, batch: BankBatch, *, by: User, at: datetime) -> None:
    payout.first_sent_at = payout.first_sent_at or at
    payout.send()
    payout.save()
    hooks.payout_settled(payout, at=at)
    audit.record(payout, "put_in_batch", by=by, at=at, note=str(batch), detail=settling.facts(payout))


def lock_many(payout_ids: Iterable[int], *, at: datetime) -> list[Payout]:
    """Lock what stands above these payouts, their payments, and themselves: each floor as a whole before the next.

    One payout after the other would lock the second's certificate after the first's payment, against the order.
    """
    ids = list(payout_ids)
    above = list(Payout.objects.filter(pk__in=ids).order_by("pk").values_list("reference", "payment_id"))
    payment_ids = sorted({payment_id for _reference, payment_id in above})
    for payment_id in payment_ids:
        # Locks all that the payment paid for, in its order, and finds everything as it is.
        hooks.refund_found(payment_id, at=at)
    for reference in sorted({reference for reference, _payment_id in above}):
        hooks.payout_settling(reference)
    payments = Payment.objects.select_for_update().filter(pk__in=payment_ids).order_by("pk")
    by_id = {payment.pk: payment for payment in payments}
    payouts = list(Payout.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    for payout in payouts:
        payout.payment = by_id[payout.payment_id]
    return payouts


# --- Handing it out ----------------------------------------------------------------------------


def may_hand_out(batch: BankBatch, by: User) -> bool:
    """Whether a person may have the file: it sends every payout in it, so none of them may be theirs."""
    if not may_make_batch(by):
        return False
    theirs = Q(payout__approved_by=by) | Q(payout__payment__account=by)
    return not BatchLine.objects.filter(theirs, batch=batch.pk).exists()


@transaction.atomic
def hand_out(batch_id: int, *, by: User, at: datetime) -> bytes:
    """The file of a batch, the same bytes each time; who has had it stands in the audit trail.

    Raises NotYours, BatchUnreadable and BatchDamaged.
    """
    batch = BankBatch.objects.get(pk=batch_id)
    if not may_hand_out(batch, by):
        raise NotYours(str(batch))
    content = _content_of(batch)
    audit.record(batch, "downloaded", by=by, at=at, detail={"digest": batch.digest})
    return content


def _content_of(batch: BankBatch) -> bytes:
    try:
        content = decrypt(batch.content)
    except WrongKey as error:
        raise BatchUnreadable(str(batch)) from error
    if sha256(content).hexdigest() != batch.digest:
        raise BatchDamaged(str(batch))
    return content


# --- What became of it -------------------------------------------------------------------------


class Tally(NamedTuple):
    """How many lines of a batch stand in a state, in one currency, and what they sum to."""

    batch_id: int
    state: str
    currency: str
    number: int
    amount: int


def tallies_of(batch_ids: Iterable[int]) -> list[Tally]:
    """The tallies of these batches, in one query."""
    grouped = BatchLine.objects.filter(batch__in=list(batch_ids)).order_by().values("batch").values_list("batch")
    counted = grouped.annotate(
        state=F("payout__state"), currency=F("payout__currency"), number=Count("pk"), amount=Sum("payout__amount")
    )
    return [Tally(*row) for row in counted]
