"""The lines of a file that the bank sends: read cell by cell, and all that's wrong with them told at once."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, repeat

from django.utils.translation import gettext as _

from core.csv_cells import damage_reason, day_reason, iso_day
from core.csv_files import LOST, CsvFile, UnreadableFile, encoding_reason
from core.money import AmountError, parse_amount

LONGEST_REFERENCE = 200
LONGEST_SHOWN = 200  # characters of a line that is shown again
FIRST_YEAR, LAST_YEAR = 1970, 2200
LARGEST_AMOUNT = 2**63 - 1  # minor units, as the database holds them


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
        if reason := damage_reason(word):
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


def lines_of(content: bytes, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Line]:
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
