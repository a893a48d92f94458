"""Text as people type and paste it, without what nobody can see."""

import unicodedata

# Format characters, controls, halves of characters and code points that aren't assigned to any character.
_UNSEEN = {"Cf", "Cc", "Cs", "Cn"}
# Persian and Indic words, and emoji, change when these two disappear from between their characters.
_JOINERS = "\u200c\u200d"


def drop_invisible(text: str, *, keep_lines: bool = False) -> str:
    """`text` without invisible characters, every kind of space as a plain one, and none around it.

    Line breaks become spaces unless `keep_lines`, which keeps them as `\\n`.
    """
    seen = (_seen(text, index, keep_lines=keep_lines) for index in range(len(text)))
    joined = "".join(seen)
    return "\n".join(line.rstrip() for line in joined.split("\n")).strip() if keep_lines else joined.strip()


def _seen(text: str, index: int, *, keep_lines: bool) -> str:
    """What stays of one character."""
    char = text[index]
    if char == "\r":
        return "" if text[index + 1 : index + 2] == "\n" else ("\n" if keep_lines else " ")
    if char in "\n\v\f\u0085\u2028\u2029":
        return "\n" if keep_lines else " "
    if char == "\t" or unicodedata.category(char) == "Zs":
        return " "
    if char in _JOINERS:
        return char if _joins(text, index) else ""
    return "" if unicodedata.category(char) in _UNSEEN else char


def _joins(text: str, index: int) -> bool:
    """Whether a joiner has a character of another script than ours on both sides."""
    before, after = text[index - 1 : index] if index else "", text[index + 1 : index + 2]
    return before > "\u007f" and after > "\u007f"
