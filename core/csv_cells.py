"""Cells of CSV files that no spreadsheet takes for a formula."""

import re

# What a spreadsheet skips before it looks whether a cell is a formula: blanks of every width, marks that show nothing.
_SKIPPED = r"[\s\u200b-\u200f\u2060\ufeff]*"
# East Asian editions read the full-width signs like the plain ones; tab and line breaks hide a sign behind them.
_ACTIVE = re.compile(rf"{_SKIPPED}[\t\r\n=+\-@＝＋－＠]")


def safe_cell(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet might run it; the rest of the world reads it as it is.

    For whatever people or other systems wrote. Numbers that the console itself writes need none: what goes out and
    what comes back is told by a column of its own and not by a sign.
    """
    return f"'{text}" if _ACTIVE.match(text) else text
