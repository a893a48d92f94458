"""The forms of the settings page."""

from typing import Any

from allauth.account import forms as allauth
from allauth.account.adapter import get_adapter
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.zones import ZoneSelect
from core.email_changes import EmailChangeError, PasswordReplaced, SameEmail, TooManyEmailChanges
from core.email_fields import EmailFormField
from core.forms import PanelForm, TidyForm
from core.models import User


class SettingsForm(TidyForm, forms.ModelForm):
    """What a person may change about their own account."""

    class Meta:
        model = User
        fields = ["language", "time_zone"]
        widgets = {"time_zone": ZoneSelect}

    def save(self, commit: bool = True) -> User:
        """Stores these fields alone. The rest of the account was read before, and may be another by now: someone at an
        open session must not undo an address that its owner restores at that moment."""
        account: User = super().save(commit=False)
        if commit:
            account.save(update_fields=self._meta.fields)
        return account


class ChangeEmailForm(PanelForm):
    """Another address for the account, and the password: an open session alone must not be enough."""

    new_email = EmailFormField(
        label=_("New email address"), error_messages={"required": _("Enter the new email address.")}
    )
    password = allauth.PasswordField(
        label=_("Current password"),
        autocomplete="current-password",
        error_messages={"required": _("Enter your current password.")},
    )

    def __init__(self, *args: Any, account: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account

    def clean_password(self) -> str:
        """Counted as a sign-in: after too many wrong ones it's refused. Raises ValidationError."""
        password = self.cleaned_data["password"]
        if not get_adapter().reauthenticate(self.account, password):
            raise ValidationError(_("This isn't your current password."))
        return password

    def refuse(self, error: EmailChangeError) -> None:
        """Say why it was refused, beside the field that it is about."""
        self.add_error("password" if isinstance(error, PasswordReplaced) else "new_email", _REFUSED[type(error)])


_REFUSED = {
    PasswordReplaced: _("This isn't your current password."),
    SameEmail: _("This is your address already."),
    TooManyEmailChanges: _("You have asked for too many changes today. Try again tomorrow."),
}
