"""What staff type of accounts and of money, read and checked."""

from typing import Any

from babel.numbers import list_currencies
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core.desk.lists import accounts_named, ids_in
from core.forms import CodeField
from core.models import User
from core.money import AmountError, format_money, parse_amount

CURRENCIES = frozenset(list_currencies())
LONGEST_AMOUNT = 30  # characters
PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class AccountField(CodeField):
    """An account by its whole user name or email address; a list to choose from would name every customer."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = {"label": _("Account"), "help_text": _("The whole user name, or the email address."), **kwargs}
        super().__init__(max_length=254, widget=forms.TextInput(attrs=PLAIN), **kwargs)

    def clean(self, value: Any) -> User | None:
        """Raises ValidationError for nobody, and where a name of one is the address of another."""
        text = super().clean(value)
        found = accounts_named(text) if text else []
        if text and len(found) != 1:
            raise ValidationError(
                _("More than one account is meant by this. Enter the other of its names.")
                if found
                else _("No account has this user name or email address. Look for a typing error.")
            )
        return User.objects.get(pk=found[0]) if found else None


class RowsField(forms.ModelMultipleChoiceField):
    """Several rows by their ids, which are checked before the database is asked for them."""

    def clean(self, value: Any) -> Any:
        key = self.queryset.model._meta.pk  # type: ignore[union-attr]
        for text in value or ():
            try:
                ids_in([text], key)
            except ValidationError as error:
                words = self.error_messages["invalid_pk_value"]
                raise ValidationError(words, "invalid_pk_value", {"pk": text}) from error
        return super().clean(value)


class CurrencyField(CodeField):
    """A currency by its code."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = {"label": _("Currency"), "initial": "CNY", **kwargs}
        super().__init__(max_length=3, widget=forms.TextInput(attrs=PLAIN), **kwargs)

    def clean(self, value: Any) -> str:
        code = super().clean(value).upper()
        if code and code not in CURRENCIES:
            raise ValidationError(_("This is no currency's code: three letters of ISO 4217, as CNY or USD."))
        return code


class AmountField(CodeField):
    """An amount in major units, as text: only with its currency, which another field holds, is it an amount."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=LONGEST_AMOUNT, widget=forms.TextInput(attrs={**PLAIN, "inputmode": "decimal"}), **kwargs
        )


def amount_in(text: str, currency: str, *, most: int) -> int:
    """Minor units of an amount that was typed. Raises ValidationError, also above `most` minor units."""
    try:
        minor = parse_amount(text, currency)
    except AmountError as error:
        raise ValidationError(_("This %(fault)s.") % {"fault": error}) from error
    if minor > most:
        raise ValidationError(_("This is too much: at most %(most)s.") % {"most": format_money(most, currency)})
    return minor


def read_amount(form: forms.Form | forms.ModelForm, name: str, currency: str, *, most: int) -> int | None:
    """Minor units of an amount field, above 0 or None; what is wrong with it is said beside it."""
    text = form.cleaned_data.get(name)
    if not text or not currency:
        return None
    try:
        minor = amount_in(text, currency, most=most)
    except ValidationError as error:
        form.add_error(name, error)
        return None
    if not minor:
        form.add_error(name, _("Enter an amount above 0."))
    return minor or None
