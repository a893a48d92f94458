"""From a file's bytes to rows of raw values, each with the physical line that it begins in."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from certificates.importing.problems import BadRow, BrokenFile, Problem, Unfit
from core.csv_cells import visible_text
from core.csv_files import CsvFile, UnreadableFile, encoding_reason, lines_of, open_text
from payments.states import Channel

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
_CHANNELS = frozenset(Channel.values)


class Number(str):
    """A JSON number as the text that it is: an amount may not pass through a float."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the file gives it: texts without surrounding blanks, in JSON Lines also lists, objects and booleans."""

    line: int
    values: dict[str, Any]
    # Whether its amounts may have a decimal comma.
    has_decimal_comma: bool = False


def read_csv(file: BufferedReader) -> Iterator[RawRow | BadRow]:
    """The rows of a CSV file with a header. Raises BrokenFile."""
    with _broken_file():
        table = CsvFile(file)
        if reasons := list(_header_reasons(table.header)):
            raise BrokenFile([Problem(table.header_line, "header", reason) for reason in reasons])
        for line, cells in table.rows():
            yield _csv_row(table, line, cells)


def read_json_lines(file: BufferedReader) -> Iterator[RawRow | BadRow]:
    """The rows of a file of one JSON object a line. Raises BrokenFile."""
    with _broken_file():
        for line, content in enumerate(lines_of(open_text(file, newline="\n")), 1):
            if content.strip():
                yield _json_row(line, content)


READERS = {".csv": read_csv, ".jsonl": read_json_lines, ".ndjson": read_json_lines}


def reader_for(path: Path) -> Any:
    """The reader for a file's ending, or None."""
    return READERS.get(path.suffix.lower())


@contextmanager
def _broken_file() -> Iterator[None]:
    try:
        yield
    except UnreadableFile as error:
        raise BrokenFile([Problem(error.line, error.place, error.reason)]) from error


def _header_reasons(header: list[str]) -> Iterator[str]:
    for name in REQUIRED:
        if name not in header:
            yield f"has no column {name}"
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            yield f"has an unknown column {name!a}"
        elif header.count(name) > 1:
            yield f"has the column {name} {header.count(name)} times"


def _csv_row(table: CsvFile, line: int, cells: list[str]) -> RawRow | BadRow:
    row = dict(zip(table.header, cells, strict=False))
    reason = _split_reason(table, cells) or table.width_reason(cells)
    if reason:
        return BadRow([Problem(line, "row", reason)], row.get("order_number", ""))
    return RawRow(line, row, table.has_decimal_comma)


def _split_reason(table: CsvFile, cells: list[str]) -> str:
    """Why a payments cell with several payments has become several cells.

    Blank columns at the end may hide that from the row's width.
    """
    if table.delimiter != ";":
        return ""
    after = table.header.index("payments") + 1
    channel, colon, _rest = cells[after].partition(":") if after < len(cells) else ("", "", "")
    if not colon or channel.strip() not in _CHANNELS:
        return ""
    return "has a payments cell that holds ; and isn't quoted: put it in double quotes, or it becomes several cells"


def _json_row(line: int, content: str) -> RawRow | BadRow:
    if "\0" in content:  # the trace of UTF-16 without a mark
        return BadRow([Problem(line, "row", encoding_reason())])
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
    """A value without what nobody can see, at any depth; null is blank."""
    if isinstance(value, str):
        return value if isinstance(value, Number) else visible_text(_whole(value))
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return "" if value is None else value


def _whole(text: str) -> str:
    """With LOST for each half of a surrogate pair, which JSON can hold and no database takes."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _each_key_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name in row:
            raise Unfit(f"has the key {name!a} twice")
        row[name] = value
    return row


def _no_number(text: str) -> None:
    raise Unfit(f"is not JSON ({text})")


_JSON = json.JSONDecoder(
    object_pairs_hook=_each_key_once, parse_int=Number, parse_float=Number, parse_constant=_no_number
)
