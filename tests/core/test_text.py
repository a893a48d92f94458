"""What stays of pasted text: everything that somebody can see, and nothing else."""

import pytest

from core.text import drop_invisible


@pytest.mark.parametrize(
    ("pasted", "kept"),
    [
        ("\u202d+86 138 0000 0000\u202c", "+86 138 0000 0000"),
        ("a\u00a0b\u2009c\u3000d", "a b c d"),
        ("\ufeffcas-sg-1\u200b", "cas-sg-1"),
        ("soft\u00adhyphen", "softhyphen"),
        ("one\r\ntwo\rthree\u2028four", "one two three four"),
        ("half\ud800", "half"),
        ("nul\x00bell\x07", "nulbell"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("ascii\u200djoiner", "asciijoiner"),
        ("\u200d", ""),
        ("", ""),
    ],
)
def test_drops_what_nobody_can_see(pasted: str, kept: str) -> None:
    assert drop_invisible(pasted) == kept


def test_keeps_lines_where_they_mean_something() -> None:
    assert drop_invisible(" one \r\n\r\n two\t\u2028three\u202e\n", keep_lines=True) == "one\n\n two\nthree"


def test_leaves_visible_text_alone() -> None:
    text = "Zoë O'Neill, 张伟, 5 % — “quoted” é"
    assert drop_invisible(text) == text
