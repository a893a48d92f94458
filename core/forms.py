"""What every form does with the text that people type and paste, before a field judges it."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _

from core.text import drop_invisible, read_code

# Characters. More than a text area takes, it is neither read nor sent back.
LONGEST_TEXT = 64 * 1024
# More than anybody types into one line; a page with every field of a form as long as an area would be megabytes.
LONGEST_LINE = 4 * 1024
# Choices, numbers and days are shorter.
LONGEST_VALUE = 1000

_TOO_LONG = _("This is too long.")
_CUT = _("It has %(length)d characters; its end was cut off here.")
_OF_CHOICES = (forms.ChoiceField, forms.ModelChoiceField)
# Passwords may hold anything, and what a page hides was not typed.
_AS_SENT = (forms.PasswordInput, forms.HiddenInput)


class TidyForm(forms.BaseForm):
    """Drops what nobody can see, and refuses what's too long before anything looks into it.

    Numbers, days and fields with `is_code` take full-width characters as plain ones. Text areas keep their lines.
    `as_sent` names fields whose reader wants them as they came; too long they're refused all the same.
    """

    as_sent: frozenset[str] = frozenset()
    # A QueryDict, or a dict of what somebody else has read.
    data: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._too_long: dict[str, ValidationError] = {}
        if self.is_bound:
            self.data = self.data.copy()
            for name, field in self.fields.items():
                self._tidy(name, field)

    def _tidy(self, name: str, field: forms.Field) -> None:
        key = self.add_prefix(name)
        if key not in self.data or isinstance(field, forms.FileField):
            return
        if hasattr(self.data, "getlist"):
            self.data.setlist(key, [self._tidied(name, field, each) for each in self.data.getlist(key)])
        else:
            self.data[key] = self._tidied(name, field, self.data[key])

    def _tidied(self, name: str, field: forms.Field, sent: Any) -> Any:
        if not isinstance(sent, str):
            return sent
        is_choice = isinstance(field, _OF_CHOICES) or isinstance(field.widget, forms.Select)
        if is_choice or not isinstance(field, forms.CharField):
            if len(sent) > LONGEST_VALUE:
                self._too_long[name] = _none_such(field)
            return sent[:LONGEST_VALUE] if is_choice else read_code(sent[:LONGEST_VALUE])
        # A limit is the field's own. Where it's checked elsewhere, it is below the one for all.
        is_line = isinstance(field.widget, forms.TextInput)
        most = max(field.max_length or 0, LONGEST_LINE if is_line else LONGEST_TEXT)
        if len(sent) > most:
            cut = ValidationError(_CUT, code="cut", params={"length": len(sent)})
            self._too_long[name] = ValidationError([_beyond(field, sent), cut])
            return sent[:most]
        text = sent if name in self.as_sent or isinstance(field.widget, _AS_SENT) else _read(field, sent)
        if field.max_length and len(text.strip() if field.strip else text) > field.max_length:
            self._too_long[name] = _beyond(field, text)
        return text

    def _clean_fields(self) -> None:
        """What's too long is refused for that alone: no pattern, decoder or other rule sees it."""
        fields = self.fields
        self.fields = {name: field for name, field in fields.items() if name not in self._too_long}
        try:
            super()._clean_fields()  # type: ignore[misc]
        finally:
            self.fields = fields
        for name, error in self._too_long.items():
            self.add_error(name, error)


def _read(field: forms.Field, text: str) -> str:
    read = read_code if getattr(field, "is_code", False) else drop_invisible
    return read(text, keep_lines=isinstance(field.widget, forms.Textarea))


def _beyond(field: forms.CharField, text: str) -> ValidationError:
    """The field's own sentence about its length, where it has one."""
    if not field.max_length:
        return ValidationError(_TOO_LONG, code="max_length")
    params = {"limit_value": field.max_length, "show_value": len(text)}
    return ValidationError(field.error_messages.get("max_length", MaxLengthValidator.message), "max_length", params)


def _none_such(field: forms.Field) -> ValidationError:
    """The field's own sentence about a value that is none of its kind."""
    messages = field.error_messages
    words = messages.get("invalid_choice") or messages.get("invalid") or _TOO_LONG
    return ValidationError(words, "invalid", {"value": "…", "pk": "…"})


class CodeField(forms.CharField):
    """A value that machines read, such as a number or a code: full-width characters count as plain ones."""

    is_code = True


class PanelForm(TidyForm, forms.Form):
    """A form in the drawer or on a page of its own. Empty fields are answered in our words, not the browser's."""

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
