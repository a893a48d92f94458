"""Text files that people export, CSV above all: their encoding, their delimiter, and their rows.

The beginning of the file decides: the byte order mark, a `sep=` line if there is one, and the header line.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from django.utils.translation import gettext as _

from core.csv_cells import cell_texts

LONGEST_LINE = 1_000_000  # characters
csv.field_size_limit(LONGEST_LINE)

DELIMITERS = (",", ";", "\t")
# With these as delimiters a comma inside a number can only be its decimal comma.
WITH_DECIMAL_COMMA = frozenset(";\t")
LOST = "\ufffd"  # stands for bytes that the file's encoding doesn't have

_SEP_LINE = re.compile(r'"?sep=(.?)"?[,;\t]*\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


class UnreadableFile(Exception):
    """The file can't be read from `line` on, counted from 1. `reason` fits "<place>: <reason>"."""

    def __init__(self, line: int, place: str, reason: str) -> None:
        super().__init__(f"line {line}: {place}: {reason}")
        self.line, self.place, self.reason = line, place, reason


def open_text(file: io.BufferedReader, *, newline: str) -> io.TextIOWrapper:
    """The file as text: UTF-16 where its byte order mark says so, else UTF-8. What can't be decoded becomes LOST."""
    is_utf_16 = file.peek(2)[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    return io.TextIOWrapper(file, "utf-16" if is_utf_16 else "utf-8-sig", errors="replace", newline=newline)


def encoding_reason() -> str:
    """What's wrong with text that holds LOST."""
    return _("is neither UTF-8 nor UTF-16 with a byte order mark: save the file as UTF-8 and import it again")


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """The physical lines, none longer than LONGEST_LINE. Raises UnreadableFile."""
    line = 0
    while content := text.readline(LONGEST_LINE + 1):
        line += 1
        if len(content) > LONGEST_LINE:
            reason = _("is longer than %(most)s characters; the rest was not read") % {"most": f"{LONGEST_LINE:,}"}
            raise UnreadableFile(line, "row", reason)
        yield content


class CsvFile:
    """A CSV file with a header, read as a stream.

    `header` lacks the blank columns that spreadsheets leave at the end. The constructor and `rows` raise
    UnreadableFile.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        lines = lines_of(open_text(file, newline=""))
        first = next(lines, "")
        named = _SEP_LINE.fullmatch(first)
        self._lines_before = 1 if named else 0
        header = next(lines, "") if named else first
        self.delimiter = _named_delimiter(named[1]) if named else _used_delimiter(header)
        self._reader = csv.reader(chain([header], lines), delimiter=self.delimiter, strict=True)
        self._records = self._read()
        self.header_line, cells = next(self._records, (1 + self._lines_before, []))
        self.header = _header(self.header_line, cells)

    @property
    def has_decimal_comma(self) -> bool:
        """Whether amounts may be written with a decimal comma."""
        return self.delimiter in WITH_DECIMAL_COMMA

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row that isn't blank, with the physical line it begins in; without blank cells beyond the header."""
        width = len(self.header)
        for line, cells in self._records:
            if any(cells):
                yield line, cells if any(cells[width:]) else cells[:width]

    def width_reason(self, cells: list[str]) -> str:
        """Why a row has other columns than the header; "" where it doesn't."""
        if len(cells) == len(self.header):
            return ""
        told = {"cells": len(cells), "header": len(self.header)}
        reason = _("has %(cells)s cells, the header has %(header)s") % told
        if self.delimiter == ";" and len(cells) > len(self.header):
            reason += _(": a cell that holds ; must be in double quotes")
        return reason

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line it begins in: quoted line breaks let it run over several."""
        while True:
            line = self._lines_before + self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = _("is not CSV (%(error)s); the rest was not read") % {"error": error}
                raise UnreadableFile(line, "row", reason) from error
            yield line, cell_texts(cells)


def _used_delimiter(header: str) -> str:
    """The one that the header line uses most; a comma where it uses none."""
    return max(DELIMITERS, key=_QUOTED.sub("", header).count)


def _named_delimiter(character: str) -> str:
    if character in DELIMITERS:
        return character
    raise UnreadableFile(1, "header", _("has a sep= line that names neither comma, semicolon nor tab"))


def _header(line: int, cells: Iterable[str]) -> list[str]:
    header = list(cells)
    while header and not header[-1]:
        header.pop()
    if not header:
        raise UnreadableFile(line, "header", _("is missing: the first line names the columns"))
    # NUL characters are the trace of UTF-16 or UTF-32 without a mark.
    if any(LOST in name or "\0" in name for name in header):
        raise UnreadableFile(line, "header", encoding_reason())
    return header
