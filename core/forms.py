"""Forms of the customers' panels."""

import unicodedata
from typing import Any

from django import forms

# Controls, halves of characters, separators of lines, and what turns the direction of the text around it.
_INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def has_invisible(text: str) -> bool:
    """Whether a line of text holds what nobody can see, and no certificate, mail or list may hold."""
    return any(unicodedata.category(each) in _INVISIBLE or each in _TURNING for each in text)


class PanelForm(forms.Form):
    """A form in the drawer or on a page of its own. Empty fields are answered in our words, not the browser's."""

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
