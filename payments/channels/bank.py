"""The bank: the file it is given, and what comes back from it, its answer to a batch and its statement of a day.

It has no connection: people carry these files. All are CSV; `core.csv_files` says how what comes in may be written.
Days are days of the bank's books (`payments.days`).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from django.utils.translation import gettext as _

from core.csv_cells import safe_cell
from core.money import plain_amount
from payments.channels.bank_lines import BadFile, FileProblem, Line, lines_of
from payments.channels.base import ChannelRefund, Outcome
from payments.days import span_of, zone_name
from payments.models import Payout
from payments.payers import Payer
from payments.states import Channel

LARGEST_ANSWER = 1_000_000  # bytes
MOST_ANSWER_LINES = 5000

DAY_COLUMN = f"day ({zone_name(Channel.BANK)})"
COLUMNS = ("batch", "line", "payout", "holder", "account", "amount", "currency", DAY_COLUMN, "purpose")
ANSWER_COLUMNS = ("payout", "result", "reference", "amount", "currency", "day", "reason")
RESULTS = PAID, FAILED, PAID_BEFORE = ("paid", "failed", "paid_before")
STATEMENT_COLUMNS = ("reference", "payout", "amount", "currency", "day")
# Of a refund that the bank made without us: the reference of the payment it gave back.
OPTIONAL_COLUMNS = ("payment",)


# --- What the bank is given --------------------------------------------------------------------


class BatchRow(NamedTuple):
    """One transfer as the file says it. `amount` in minor units."""

    payout: str
    payer: Payer
    amount: int
    currency: str
    purpose: str


def write_batch(name: str, day: date, rows: Iterable[BatchRow]) -> bytes:
    """The file: UTF-8 with a byte order mark, without which spreadsheets read names in another encoding."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for position, row in enumerate(rows, 1):
        money = plain_amount(row.amount, row.currency), row.currency
        cells = (row.payout, row.payer.holder, row.payer.number, *money, day.isoformat(), row.purpose)
        writer.writerow(map(safe_cell, (name, str(position), *cells)))
    return text.getvalue().encode("utf-8-sig")


# --- Its answer to a batch ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """What the bank says of one payout. `amount` in minor units; `day` None where it is not said."""

    number: int
    payout: str
    is_paid: bool
    reference: str
    amount: int
    currency: str
    day: date | None
    reason: str
    text: str
    # The bank did nothing now, since it had made this transfer before: the rest says which one that was.
    was_before: bool = False

    def problem(self, column: str, reason: str) -> FileProblem:
        return FileProblem(self.number, column, reason, self.text)


def read_answer(content: bytes) -> tuple[list[AnswerLine], list[FileProblem]]:
    """The lines of an answer that are right in themselves, and what is wrong with the others.

    Raises BadFile for a file that cannot be read as one.
    """
    if len(content) > LARGEST_ANSWER:
        raise BadFile([FileProblem(1, "", _("The file is larger than 1 MB."))])
    answers: list[AnswerLine] = []
    problems: list[FileProblem] = []
    for count, line in enumerate(lines_of(content, ANSWER_COLUMNS), 1):
        if count > MOST_ANSWER_LINES:
            reason = _("The file has more than %(most)s lines.") % {"most": MOST_ANSWER_LINES}
            raise BadFile([FileProblem(line.number, "", reason)])
        answer = None if line.problems else _answer(line)
        if answer is None or line.problems:
            problems += line.problems
        else:
            answers.append(answer)
    if not answers and not problems:
        raise BadFile([FileProblem(1, "", _("The file has no line below its header."))])
    return answers, problems + _twice(answers)


def _answer(line: Line) -> AnswerLine:
    result = line.word("result", is_needed=True).lower()
    if result and result not in RESULTS:
        line.note("result", _("must be one of %(results)s") % {"results": ", ".join(RESULTS)})
    is_paid, was_before = result == PAID, result == PAID_BEFORE
    amount, currency = line.money()
    return AnswerLine(
        number=line.number,
        payout=line.identifier("payout", is_needed=True).upper(),
        is_paid=is_paid,
        reference=line.identifier("reference", is_needed=is_paid or was_before),
        amount=amount,
        currency=currency,
        day=line.day(is_needed=is_paid or was_before),
        reason=line.word("reason", is_needed=False, longest=500),
        text=line.text,
        was_before=was_before,
    )


def _twice(answers: Iterable[AnswerLine]) -> list[FileProblem]:
    """What only one line of a file may have."""
    first: dict[tuple[str, str], int] = {}
    problems = []
    for answer in answers:
        has_reference = answer.is_paid or answer.was_before
        named = {"payout": answer.payout, "reference": answer.reference if has_reference else ""}
        for column, word in named.items():
            before = first.setdefault((column, word), answer.number) if word else answer.number
            if before != answer.number:
                problems.append(answer.problem(column, _("is that of line %(line)s already") % {"line": before}))
    return problems


# --- Its statement of a day --------------------------------------------------------------------


def read_statement(content: bytes) -> list[ChannelRefund]:
    """The refunds of a bank's statement. A `payout` that is none of ours, or blank, is a refund we know nothing of.

    Raises BadFile with everything that is wrong with it.
    """
    refunds: list[tuple[str, ChannelRefund]] = []
    problems: list[FileProblem] = []
    seen: dict[str, int] = {}
    for line in lines_of(content, STATEMENT_COLUMNS, OPTIONAL_COLUMNS):
        if not line.problems:
            refunds.append(_transfer(line, seen))
        problems += line.problems
    if problems:
        raise BadFile(problems)
    return _with_keys(refunds)


def _transfer(line: Line, seen: dict[str, int]) -> tuple[str, ChannelRefund]:
    """The payout that a line names, and what it says."""
    reference = line.identifier("reference", is_needed=True)
    before = seen.setdefault(reference, line.number)
    if reference and before != line.number:
        line.note("reference", _("is that of line %(line)s already") % {"line": before})
    amount, currency = line.money()
    day = line.day(is_needed=True)
    at = span_of(Channel.BANK, day)[0] if day and not line.problems else None
    payout = line.identifier("payout", is_needed=False).upper()
    payment = line.identifier("payment", is_needed=False) if "payment" in line.cells else ""
    return payout, ChannelRefund(reference, Outcome.PAID, amount, currency, at=at, payment_reference=payment)


def _with_keys(refunds: Sequence[tuple[str, ChannelRefund]]) -> list[ChannelRefund]:
    """The refunds, those that name a payout of ours with its key."""
    ours = payouts_named(name for name, _refund in refunds)
    return [_with_key(refund, ours.get(name)) for name, refund in refunds]


def _with_key(refund: ChannelRefund, payout: Payout | None) -> ChannelRefund:
    if payout is None:
        return refund
    return replace(refund, key=str(payout.key))


def payouts_named(names: Iterable[str]) -> dict[str, Payout]:
    """The bank's payouts among these names, as the file gives them: "RF-…/12"."""
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(r".+/([0-9]{1,18})", name, re.ASCII))]
    wanted: dict[str, Payout] = {}
    for start in range(0, len(numbers), 500):
        found_here = Payout.objects.filter(channel=Channel.BANK, pk__in=numbers[start : start + 500])
        wanted.update((str(payout), payout) for payout in found_here)
    return wanted
