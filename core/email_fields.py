"""Fields for email addresses. Each takes an address however it's written and keeps it in its one form."""

from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.email_addresses import form_or_text, normalize_email, shown_email


class EmailFormField(forms.CharField):
    """An email address: cleaned to its stored form, shown with its domain in its own script, kept as typed if bad."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("max_length", None)
        attrs = {"inputmode": "email", "autocomplete": "email", "autocapitalize": "none", "spellcheck": "false"}
        kwargs = {"label": _("Email address"), "widget": forms.TextInput(attrs=attrs), **kwargs}
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        text = super().to_python(value)
        return normalize_email(text) if text else ""

    def prepare_value(self, value: Any) -> Any:
        return shown_email(value) if isinstance(value, str) else value


class EmailModelField(models.EmailField):
    """A column that stores addresses in normalized form. Saving an invalid address raises BadEmail.

    A lookup takes an address however it's written.
    """

    default_validators = []

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        value = super().clean(value, model_instance)
        return normalize_email(value) if value else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if isinstance(value, str) and value:
            value = normalize_email(value)
            setattr(model_instance, self.attname, value)
        return value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, str) and value:
            value = normalize_email(value)
        return super().get_db_prep_save(value, connection)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return form_or_text(value) if isinstance(value, str) else value

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": EmailFormField, **kwargs})
