"""From a file's bytes to rows of raw values, each with the physical line that it begins in."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from certificates.importing.problems import BadRow, BrokenFile, Problem, Unfit

REQUIRED = (
    *("order_number", "account", "paid_at", "currency", "list_amount", "voucher_amount", "paid_amount", "payments"),
    *("brand", "level", "domain_type"),
)
OPTIONAL = (
    *("email", "policy", "price", "free", "domains", "service_days", "instance_id", "certificate"),
    *("submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at"),
    *("bank_holder", "bank_account"),
)
COLUMNS = frozenset({*REQUIRED, *OPTIONAL})

LONGEST_LINE = 1_000_000  # characters
csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the file gives it: texts without surrounding blanks, in JSON Lines also lists, objects and booleans."""

    line: int
    values: dict[str, Any]


def read_csv(file: BinaryIO) -> Iterator[RawRow | BadRow]:
    """The rows of a CSV file with a header. Raises BrokenFile."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_lines(text), strict=True)
    header = _header(reader)
    for line, cells in _records(reader):
        if any(cells):
            yield _csv_row(line, header, cells)


def read_json_lines(file: BinaryIO) -> Iterator[RawRow | BadRow]:
    """The rows of a file of one JSON object a line. Raises BrokenFile."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    for line, content in enumerate(_lines(text), 1):
        if content.strip():
            yield _json_row(line, content)


READERS = {".csv": read_csv, ".jsonl": read_json_lines, ".ndjson": read_json_lines}


def reader_for(path: Path) -> Any:
    """The reader for a file's ending, or None."""
    return READERS.get(path.suffix.lower())


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    line = 0
    while content := text.readline(LONGEST_LINE + 1):
        line += 1
        if len(content) > LONGEST_LINE:
            reason = f"is longer than {LONGEST_LINE:,} characters; the rest was not read"
            raise BrokenFile([Problem(line, "row", reason)])
        yield content


def _records(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins in: quoted line breaks let it run over several."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BrokenFile([Problem(line, "row", f"is not CSV ({error}); the rest was not read")]) from error
        yield line, [cell.strip() for cell in cells]


def _header(reader: Any) -> list[str]:
    line, header = next(_records(reader), (1, []))
    if not all(map(_is_utf8, header)):
        raise BrokenFile([Problem(line, "header", "is not UTF-8: save the file as UTF-8 and import it again")])
    reasons = list(_header_reasons(header)) if any(header) else ["is missing: the first line names the columns"]
    if reasons:
        raise BrokenFile([Problem(line, "header", reason) for reason in reasons])
    return header


def _is_utf8(text: str) -> bool:
    """Whether no byte of it was carried along unread."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _header_reasons(header: list[str]) -> Iterator[str]:
    for name in REQUIRED:
        if name not in header:
            yield f"has no column {name}"
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            yield f"has an unknown column {name!a}"
        elif header.count(name) > 1:
            yield f"has the column {name} {header.count(name)} times"


def _csv_row(line: int, header: list[str], cells: list[str]) -> RawRow | BadRow:
    if len(cells) != len(header):
        number = dict(zip(header, cells, strict=False)).get("order_number", "")
        return BadRow([Problem(line, "row", f"has {len(cells)} cells, the header has {len(header)}")], number)
    return RawRow(line, dict(zip(header, cells, strict=True)))


def _json_row(line: int, content: str) -> RawRow | BadRow:
    try:
        row = _JSON.decode(content.rstrip())
    except (ValueError, RecursionError) as error:
        return BadRow([Problem(line, "row", _json_reason(error))])
    if not isinstance(row, dict):
        return BadRow([Problem(line, "row", "is not a JSON object")])
    return RawRow(line, {name: _plain(value) for name, value in row.items()})


def _json_reason(error: Exception) -> str:
    if isinstance(error, Unfit):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON ({error.msg} at character {error.colno})"
    return "is not JSON (too deeply nested)"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else value


def _each_key_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name in row:
            raise Unfit(f"has the key {name!a} twice")
        row[name] = value
    return row


def _no_number(text: str) -> None:
    raise Unfit(f"is not JSON ({text})")


# Numbers stay the text that they are: an amount may not pass through a float.
_JSON = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_int=str, parse_float=str, parse_constant=_no_number)
