"""The bank: the file it is given, and what comes back from it, its answer to a batch and its statement of a day.

It has no connection: people carry these files. All are CSV; `core.csv_files` says how what comes in may be written.
Days are days of the bank's books (`payments.days`).
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, repeat
from typing import NamedTuple

from django.utils.translation import gettext as _

from core.csv_cells import day_reason, exponent_reason, iso_day, safe_cell
from core.csv_files import LOST, CsvFile, UnreadableFile, encoding_reason
from core.money import AmountError, parse_amount, plain_amount
from payments.channels.base import ChannelRefund, Outcome
from payments.days import span_of, zone_name
from payments.models import Payout
from payments.payers import Payer
from payments.states import Channel

LARGEST_ANSWER = 1_000_000  # bytes
MOST_ANSWER_LINES = 5000
LONGEST_REFERENCE = 200
LONGEST_SHOWN = 200  # characters of a line that is shown again
FIRST_YEAR, LAST_YEAR = 1970, 2200
LARGEST_AMOUNT = 2**63 - 1  # minor units, as the database holds them

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


# --- What comes back ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Something wrong with one line of a file, counted from 1; `text` is what the line says."""

    line: int
    column: str
    reason: str
    text: str = ""

    def __str__(self) -> str:
        place = _("line %(line)s") % {"line": self.line}
        return ": ".join(filter(None, [place, self.column, self.reason]))


class BadFile(Exception):
    """A file is not taken, and all that is wrong with it, by line."""

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__(*map(str, self.problems))


class Line:
    """One line under its header, read cell by cell; what does not fit is noted."""

    def __init__(self, number: int, cells: dict[str, str], *, has_decimal_comma: bool = False) -> None:
        self.number, self.cells, self.has_decimal_comma = number, cells, has_decimal_comma
        self.problems: list[FileProblem] = []

    @property
    def text(self) -> str:
        return ",".join(self.cells.values())[:LONGEST_SHOWN]

    def note(self, column: str, reason: str) -> None:
        self.problems.append(FileProblem(self.number, column, reason, self.text))

    def word(self, column: str, *, is_needed: bool, longest: int = LONGEST_REFERENCE) -> str:
        word = self.cells[column]
        if is_needed and not word:
            self.note(column, _("is missing"))
        elif len(word) > longest:
            self.note(column, _("is longer than %(most)s characters") % {"most": longest})
        elif LOST in word:
            self.note(column, encoding_reason())
        elif not word.isprintable():
            self.note(column, _("holds a character that cannot be printed"))
        return word

    def identifier(self, column: str, *, is_needed: bool) -> str:
        """A word that names one thing, so that not a digit of it may be lost."""
        word = self.word(column, is_needed=is_needed)
        if reason := exponent_reason(word):
            self.note(column, reason)
        return word

    def money(self) -> tuple[int, str]:
        """Minor units and currency."""
        currency = self.word("currency", is_needed=True).upper()
        if currency and not re.fullmatch("[A-Z]{3}", currency):
            self.note("currency", _("is no currency's code"))
        try:
            word = self.word("amount", is_needed=True) or "0"
            amount = parse_amount(word, currency, decimal_comma=self.has_decimal_comma)
        except AmountError as error:
            self.note("amount", str(error))
            return 0, currency
        if not 0 <= amount <= LARGEST_AMOUNT:
            self.note("amount", _("is too large"))
        return amount, currency

    def day(self, *, is_needed: bool) -> date | None:
        """A day as YYYY-MM-DD, YYYYMMDD or YYYY/M/D."""
        word = iso_day(self.word("day", is_needed=is_needed))
        if not word:
            return None
        try:
            if not re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", word):
                raise ValueError(word)
            day = date.fromisoformat(word)
        except ValueError:
            self.note("day", day_reason(word) or _("is no day, YYYY-MM-DD"))
            return None
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.note("day", _("is not in the years %(first)s to %(last)s") % {"first": FIRST_YEAR, "last": LAST_YEAR})
        return day


def _lines(content: bytes, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Line]:
    """The lines of a file below its header, whatever the order of its columns. Raises BadFile where it cannot go on."""
    if not content.strip():
        raise BadFile([FileProblem(1, "", _("The file is empty."))])
    try:
        table = CsvFile(io.BufferedReader(io.BytesIO(content)))
        header = _header(table, columns, optional)
        for number, cells in table.rows():
            line = Line(number, _by_name(header, cells), has_decimal_comma=table.has_decimal_comma)
            if reason := table.width_reason(cells):
                line.note("", reason)
            yield line
    except UnreadableFile as error:
        raise BadFile([FileProblem(error.line, "", error.reason)]) from error


def _header(table: CsvFile, columns: Sequence[str], optional: Sequence[str]) -> list[str]:
    header = [name.lower() for name in table.header]
    reasons = [(name, _("the column is missing")) for name in columns if name not in header]
    unknown = [name for name in dict.fromkeys(header) if name not in {*columns, *optional}]
    reasons += [(name[:50] or "–", _("is no column of this file")) for name in unknown]
    reasons += [(name, _("the column is there twice")) for name in (*columns, *optional) if header.count(name) > 1]
    if reasons:
        raise BadFile([FileProblem(table.header_line, name, reason) for name, reason in reasons])
    return header


def _by_name(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """The cells of a line, blank where it lacks some."""
    return dict(zip(header, chain(cells, repeat("")), strict=False))


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
    for count, line in enumerate(_lines(content, ANSWER_COLUMNS), 1):
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
    for line in _lines(content, STATEMENT_COLUMNS, OPTIONAL_COLUMNS):
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
