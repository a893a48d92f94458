"""The choice of a time zone."""

from functools import cache
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from core.models import zone_names


class ZoneSelect(forms.Select):
    """A list of every time zone, whose options are written once for a process.

    They're the same for everyone, so for each page only the chosen one is marked. Django renders a template for each
    of the 600 options.
    """

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options, option = _options(), _option(str(value or ""))
        if option in options:
            options = options.replace(option, option.replace("<option>", "<option selected>"), 1)
        else:
            # Else a browser would choose the first zone without being asked.
            options = f'<option value="" selected>\n{options}'
        attributes = flatatt(self.build_attrs(self.attrs, {**(attrs or {}), "name": name}))
        return format_html("<select{}>\n{}</select>", attributes, mark_safe(options))  # noqa: S308 - escaped below


@cache
def _options() -> str:
    return "".join(_option(name) for name, _label in zone_names())


def _option(zone: str) -> str:
    # HTML needs neither a value that repeats the text nor an end tag.
    return f"<option>{escape(zone)}\n"
