"""Cells of CSV files: written so that no spreadsheet runs them, and read in spite of what a spreadsheet does to them.

What a spreadsheet only writes differently is read as it was meant. Where it has lost something, the reasons here say
so; each fits "<column>: <reason>" and never repeats the cell.
"""

import re

from django.utils.translation import gettext as _

from core.text import drop_invisible

# What a spreadsheet skips before it looks whether a cell is a formula: blanks of every width, marks that show nothing.
_SKIPPED = r"[\s\u200b-\u200f\u2060\ufeff]*"
# East Asian editions read the full-width signs like the plain ones; tab and line breaks hide a sign behind them.
_ACTIVE = re.compile(rf"{_SKIPPED}[\t\r\n=+\-@＝＋－＠]")

# Nobody types or pastes these; where they occur the file is damaged, and dropping them would hide it.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# An apostrophe marks a cell as text. In 't Hooft and 's-Gravenhage it belongs to the name.
_MARKED_AS_TEXT = re.compile(r"""="((?:[^"]|"")*)"|'(?![nst][ -][A-Z])(.*)""", re.DOTALL)

# Spreadsheets write 1.23E+15 or, for few digits, 1E+15. An identifier such as 12E3 or 2026E-0012 isn't taken for one.
_EXPONENT = re.compile(r"[+-]?[0-9]++(?:[.,][0-9]*[Ee][+-]?|[Ee]\+)[0-9]+")
# What a spreadsheet writes where a formula failed or a column was too narrow for its number.
_ERROR = re.compile(r"#(?:NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!|N/A|SPILL!|CALC!|#+)", re.IGNORECASE)
_IN_GROUPS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_YEAR_FIRST = re.compile(r"([0-9]{4})([/-])([0-9]{1,2})\2([0-9]{1,2})(?![0-9])")
_YEAR_LAST = re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?![0-9])")
# Days since 1900, with the time of day as a fraction.
_SERIAL = re.compile(r"[0-9]{5}(?:[.,][0-9]+)?")


# --- Writing -----------------------------------------------------------------------------------


def safe_cell(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet might run it; the rest of the world reads it as it is.

    For whatever people or other systems wrote. Numbers that the console itself writes need none: what goes out and
    what comes back is told by a column of its own and not by a sign.
    """
    return f"'{text}" if _ACTIVE.match(text) else text


# --- Reading -----------------------------------------------------------------------------------


def cell_texts(cells: list[str]) -> list[str]:
    """What each cell of a row says."""
    row = "".join(cells)
    if row.isprintable() and "=" not in row and "'" not in row:  # most rows, and quickly told
        return [cell.strip() for cell in cells]
    return [cell_text(cell) for cell in cells]


def cell_text(cell: str) -> str:
    """What a cell says: visible text only, without the `="…"` or the apostrophe that marks it as text.

    Line breaks inside a cell stay, as `\\n`.
    """
    text = visible_text(cell)
    return _unmarked(text) if text.startswith(("=", "'")) else text


def visible_text(text: str) -> str:
    """`text` as `drop_invisible` leaves it, line breaks kept; but text with control characters only stripped."""
    if (text.isascii() and text.isprintable()) or _CONTROLS.search(text):
        return text.strip()
    return drop_invisible(text, keep_lines=True)


def _unmarked(text: str) -> str:
    match = _MARKED_AS_TEXT.fullmatch(text)
    if match is None:
        return text
    formula, marked = match.groups()
    return (marked if formula is None else formula.replace('""', '"')).strip()


def damage_reason(text: str) -> str:
    """Why this can't be the identifier that it was before a spreadsheet had it; "" where it may be one."""
    if _EXPONENT.fullmatch(text):
        return _(
            "is a number with an exponent, so a spreadsheet has cut its digits off: export it again with this column "
            "formatted as text"
        )
    if _ERROR.fullmatch(text):
        return _("is a spreadsheet's error value instead of what was there: export it again as text, without formulas")
    if _IN_GROUPS.fullmatch(text):
        return _("is a number with thousands separators: export it again with this column formatted as text")
    return ""


def iso_day(text: str) -> str:
    """`text` with the day that it begins with in ISO 8601: "2026-11-03" for "2026/11/3". Any other text unchanged."""
    match = _YEAR_FIRST.match(text)
    if match is None:
        return text
    year, _separator, month, day = match.groups()
    return f"{year}-{month:0>2}-{day:0>2}{text[match.end() :]}"


def day_reason(text: str) -> str:
    """Why nobody can say which day this is; "" where it doesn't look like a day that a spreadsheet has rewritten."""
    if _SERIAL.fullmatch(text):
        return _(
            "is a spreadsheet's serial number instead of a date: export it again with this column formatted as text"
        )
    if _YEAR_LAST.match(text):
        return _("doesn't begin with the year, so day and month could be confused: write 2026-11-03")
    return ""
