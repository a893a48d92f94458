"""Text as people type and paste it, without what nobody can see; and text as it's shown to others."""

import re
import unicodedata

# Format characters, controls, halves of characters and code points that aren't assigned to any character.
_UNSEEN = {"Cf", "Cc", "Cs", "Cn"}
# Invisible although Unicode counts them among letters, marks and symbols: fillers of Korean and Khmer, and joiners.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_BLANK_BRAILLE = "\u2800"
# Persian and Indic words, and emoji, change when these two disappear from between their characters.
_JOINERS = re.compile("(?<=([^\x00-\x7f\u200c\u200d]))([\u200c\u200d])[\u200c\u200d]*(?=[^\x00-\x7f])|[\u200c\u200d]+")
# They choose between two looks of the character before them; after anything else there's nothing to choose.
_STRAY_SELECTORS = re.compile("(?<![^\x00-\x22\x24-\x29\x2b-\x2f\x3a-\x7f])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_LINES = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# What changes the direction of the text around it.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Kept(dict[int, str]):
    """A table for `str.translate`, filled as characters come up; rare ones aren't kept, so that it stays small."""

    def __missing__(self, code: int) -> str:
        kept = self._kept(chr(code))
        if code <= 0xFFFF:
            self[code] = kept
        return kept

    @staticmethod
    def _kept(char: str) -> str:
        if char in "\n\u200c\u200d":
            return char
        if char == "\t" or unicodedata.category(char) == "Zs" or char == _BLANK_BRAILLE:
            return " "
        return "" if is_invisible(char) else char


_KEPT = _Kept()


def is_invisible(char: str) -> bool:
    """Whether nobody can see this character, and it's no space either. Controls that break lines count as invisible."""
    return unicodedata.category(char) in _UNSEEN or char in _FILLERS


def drop_invisible(text: str, *, keep_lines: bool = False) -> str:
    """`text` without invisible characters, every kind of space as a plain one, and none around it.

    Line breaks become spaces unless `keep_lines`, which keeps them as `\\n`.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    seen = _LINES.sub("\n" if keep_lines else " ", text).translate(_KEPT)
    seen = _STRAY_SELECTORS.sub("", _JOINERS.sub(r"\2", seen))
    return "\n".join(line.rstrip() for line in seen.split("\n")).strip()


def read_code(text: str, *, keep_lines: bool = False) -> str:
    """A value that machines read, such as a number, a code or a domain name: full-width characters as plain ones."""
    seen = drop_invisible(text, keep_lines=keep_lines)
    return drop_invisible(unicodedata.normalize("NFKC", seen), keep_lines=keep_lines)


def read_search(text: str, *, limit: int) -> str:
    """What a search box was given, at most `limit` characters: a code where it can be one, else as it was typed."""
    typed = text[: 4 * limit]
    code = read_code(typed)
    return (code if code.isascii() else drop_invisible(typed))[:limit].strip()


def drop_turning(text: str) -> str:
    """`text` without the characters that turn the direction of what follows, for places that know no markup."""
    return _TURNING.sub("", text)


def isolated(text: str) -> str:
    """A person's text inside plain words, such as a sentence or an email: it can't turn what stands beside it."""
    if text.isascii():
        return text
    return "\n".join(_isolated_line(line) for line in drop_turning(text).split("\n"))


def _isolated_line(line: str) -> str:
    """An isolation ends with its line. Where nothing is written from right to left, there's nothing to isolate."""
    is_turned = any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in line)
    return f"\u2068{line}\u2069" if is_turned else line
