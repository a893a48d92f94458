"""Forms of the customers' panels."""

from typing import Any

from django import forms


class PanelForm(forms.Form):
    """A form in the drawer or on a page of its own. Empty fields are answered in our words, not the browser's."""

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
