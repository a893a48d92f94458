"""The bank's answer to a file: every line is checked first, and nothing is recorded unless all are right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from core import audit
from core.models import User
from core.money import format_money
from payments.channels import ChannelRefund, Outcome
from payments.channels.bank import AnswerLine, payouts_named, read_answer
from payments.channels.bank_lines import BadFile, FileProblem
from payments.days import books_day
from payments.exceptions import (
    AmountsDiffer,
    FoundUnderAnother,
    MoreThanPaid,
    NotYours,
    PayoutMoved,
    ReferenceTaken,
    RefundFound,
)
from payments.models import BankBatch, Difference, Payout
from payments.services.already_refunded import record_paid_before
from payments.services.bank import lock_many
from payments.services.recording import can_be_recorded, is_involved, is_with_staff, record_failed, record_paid
from payments.states import Channel, PayoutState

ACT = "answer_imported"


@dataclass
class AnswerSummary:
    """What came of an answer: lines recorded as paid, failed and paid before, and those that were recorded already.

    `paid_amounts` in minor units by currency. `imported_at` where the same file was imported before.
    """

    paid: int = 0
    failed: int = 0
    # Transfers that the bank had made before: each is a difference that a person decides on.
    before: int = 0
    known: int = 0
    paid_amounts: dict[str, int] = field(default_factory=dict)
    imported_at: datetime | None = None

    @property
    def recorded(self) -> int:
        return self.paid + self.failed + self.before


def may_import_answer(by: User) -> bool:
    return by.is_active and by.has_perm("payments.record_payout")


@transaction.atomic
def import_answer(batch_id: int, content: bytes, *, by: User, at: datetime) -> AnswerSummary:
    """Record what the bank says of payouts of a batch, of all or of some. The same again changes nothing.

    Each line is checked against its payout under the payout's lock, so no page can be stale. Raises NotYours, and
    BadFile with every line that isn't right; nothing is recorded then.
    """
    batch = BankBatch.objects.defer("content").get(pk=batch_id)
    if not may_import_answer(by):
        raise NotYours(str(batch))
    digest = sha256(content).hexdigest()
    if imported_at := _imported_at(batch, digest):
        return AnswerSummary(imported_at=imported_at)
    lines, problems = read_answer(content)
    answer = _Answer(batch, lines, by=by, at=at)
    answer.check()
    if problems or answer.problems:
        raise BadFile([*problems, *answer.problems])
    summary = answer.record()
    if summary.recorded:
        counts = {"paid": summary.paid, "failed": summary.failed, "before": summary.before, "known": summary.known}
        told = {**counts, "digest": digest}
        audit.record(batch, ACT, by=by, at=at, detail=told)
    return summary


def _imported_at(batch: BankBatch, digest: str) -> datetime | None:
    imported = audit.history(batch).filter(act=ACT)
    return next((entry.at for entry in imported if entry.detail.get("digest") == digest), None)


class _Answer:
    """An answer's lines beside their locked payouts."""

    def __init__(self, batch: BankBatch, lines: Sequence[AnswerLine], *, by: User, at: datetime) -> None:
        self.batch, self.lines, self.by, self.at = batch, lines, by, at
        self.today = books_day(Channel.BANK, at)
        self.problems: list[FileProblem] = []
        named = payouts_named(line.payout for line in lines)
        here = set(batch.lines.values_list("payout_id", flat=True))
        self.elsewhere = {name for name, payout in named.items() if payout.pk not in here}
        locked = lock_many([payout.pk for payout in named.values() if payout.pk in here], at=at)
        self.payouts = {str(payout): payout for payout in locked}
        self.taken = _references_taken([line.reference for line in lines if line.is_paid or line.was_before])

    # --- Checking ------------------------------------------------------------------------------

    def check(self) -> None:
        for line in self.lines:
            payout = self.payouts.get(line.payout)
            found = self._stray(line) if payout is None else self._wrong(line, payout)
            self.problems += [line.problem(column, reason) for column, reason in found]

    def _stray(self, line: AnswerLine) -> list[tuple[str, str]]:
        if line.payout in self.elsewhere:
            return [("payout", _("is not in %(batch)s") % {"batch": self.batch})]
        return [("payout", _("is no payout of the bank's"))]

    def _wrong(self, line: AnswerLine, payout: Payout) -> list[tuple[str, str]]:
        """What is wrong with a line about a payout of the batch, column by column."""
        reasons = {"amount": _wrong_money(line, payout), "payout": self._not_theirs(payout)}
        if not _is_known(line, payout):
            reasons["result"] = _wrong_state(line, payout)
            reasons["reference"] = self._wrong_reference(line, payout)
            reasons["day"] = self._wrong_day(line)
        return [(column, reason) for column, reason in reasons.items() if reason]

    def _not_theirs(self, payout: Payout) -> str:
        if not is_involved(payout, self.by):
            return ""
        if payout.approved_by_id == self.by.pk:
            return _("was approved by you: somebody else imports this line")
        return _("goes to your own account: somebody else imports this line")

    def _wrong_reference(self, line: AnswerLine, payout: Payout) -> str:
        holder = self.taken.get(line.reference) if line.is_paid or line.was_before else None
        if holder is None or holder == payout.pk:
            return ""
        return _("is another payout's already")

    def _wrong_day(self, line: AnswerLine) -> str:
        if line.day and line.day > self.today:
            return _("is still to come: today is %(day)s") % {"day": self.today}
        if line.day and line.day < self.batch.day and not line.was_before:
            return _("is before the batch was made, on %(day)s") % {"day": self.batch.day}
        return ""

    # --- Recording -----------------------------------------------------------------------------

    def record(self) -> AnswerSummary:
        summary = AnswerSummary()
        for line in self.lines:
            payout = self.payouts[line.payout]
            if _is_known(line, payout):
                summary.known += 1
                continue
            self._record(line, payout)
            if line.was_before:
                summary.before += 1
            elif line.is_paid:
                summary.paid += 1
                summary.paid_amounts[line.currency] = summary.paid_amounts.get(line.currency, 0) + line.amount
            else:
                summary.failed += 1
        return summary

    def _record(self, line: AnswerLine, payout: Payout) -> None:
        """What only the services find out undoes the whole file. Raises BadFile."""
        told: dict[str, Any] = {"by": self.by, "at": self.at}
        try:
            if line.was_before:
                _record_before(line, payout, **told)
            elif line.is_paid:
                record_paid(payout.pk, line.reference, day=line.day, **told)
            else:
                record_failed(payout.pk, line.reason or _("The bank gave no reason."), **told)
        except ReferenceTaken as error:
            raise BadFile([line.problem("reference", _("is another payout's already"))]) from error
        except AmountsDiffer as error:
            reason = _("is undecided as %(difference)s, which is of another amount") % {"difference": error.difference}
            raise BadFile([line.problem("reference", reason)]) from error
        except FoundUnderAnother as error:
            told = {"reference": error.difference.external_reference, "difference": error.difference}
            reason = _(
                "is another transfer than %(reference)s, which the bank already made for this payment and which is "
                "undecided as %(difference)s"
            )
            raise BadFile([line.problem("reference", reason % told)]) from error
        except RefundFound as error:
            reason = _(
                "cannot be paid: the bank itself gave money of this payment back, and nobody has decided on that"
            )
            raise BadFile([line.problem("payout", reason)]) from error
        except MoreThanPaid as error:
            raise BadFile([line.problem("payout", _("cannot be paid: more would go back than was paid in"))]) from error
        except PayoutMoved as error:
            raise BadFile([line.problem("payout", _("reads “%(state)s”") % {"state": error})]) from error


def _record_before(line: AnswerLine, payout: Payout, *, by: User, at: datetime) -> None:
    """The transfer that the bank had made before is a refund found at the channel."""
    day = line.day or books_day(Channel.BANK, at)
    refund = ChannelRefund(line.reference, Outcome.PAID, line.amount, line.currency)
    record_paid_before(payout, refund, day, line.reason, by=by, at=at)


def _references_taken(references: Sequence[str]) -> dict[str, int]:
    taken: dict[str, int] = {}
    for start in range(0, len(references), 500):
        some = references[start : start + 500]
        of_bank = Payout.objects.exclude(external_reference="").filter(
            channel=Channel.BANK, external_reference__in=some
        )
        taken.update(of_bank.values_list("external_reference", "pk"))
    return taken


def _is_known(line: AnswerLine, payout: Payout) -> bool:
    """Whether the line says what is recorded already; what has come back since was paid as it says."""
    was_paid = payout.state in {PayoutState.PAID, PayoutState.RETURNED}
    if (line.is_paid or line.was_before) and was_paid and payout.external_reference == line.reference:
        return True
    if line.was_before:
        found = Difference.objects.filter(channel=Channel.BANK, external_reference=line.reference)
        return found.filter(payment=payout.payment_id).exists()
    return not line.is_paid and payout.state == PayoutState.FAILED


def _wrong_money(line: AnswerLine, payout: Payout) -> str:
    # What was transferred before may have been another amount; a person looks at it.
    amount = payout.amount if line.was_before and line.amount else line.amount
    if (amount, line.currency) == (payout.amount, payout.currency):
        return ""
    return _("is not %(money)s") % {"money": format_money(payout.amount, payout.currency)}


def _wrong_state(line: AnswerLine, payout: Payout) -> str:
    """Why what the line says cannot be recorded of a payout that stands elsewhere."""
    if payout.state in {PayoutState.PAID, PayoutState.RETURNED}:
        if line.is_paid or line.was_before:
            return _("is paid under another reference already: %(known)s") % {"known": payout.external_reference}
        return _("is recorded as paid: if the money came back, record that on the payout's page")
    if line.was_before:
        # Also of a refund that was given up: its customer has the money after all.
        return ""
    is_fit = can_be_recorded(payout) if line.is_paid else is_with_staff(payout)
    return "" if is_fit else _("cannot be recorded: the refund was given up")
