from typing import Any

from allauth.account import forms as allauth
from django import forms
from django.utils.translation import gettext_lazy as _

from core.accounts import forget_former_addresses
from core.email_addresses import BadEmail, normalize_email
from core.email_fields import EmailFormField
from core.models import User
from core.text import drop_invisible


class SettingsForm(forms.ModelForm):
    """What a person may change about their own account."""

    class Meta:
        model = User
        fields = ["email", "language", "time_zone"]

    def clean_email(self) -> str:
        return User.objects.require_free_email(self.cleaned_data["email"], self.instance)

    def save(self, commit: bool = True) -> Any:
        account = super().save(commit)
        forget_former_addresses(account)
        return account


class LoginForm(allauth.LoginForm):
    """Sign-in by user name or by email address, however the address is written."""

    def clean_login(self) -> str:
        return drop_invisible(self.cleaned_data["login"])

    def user_credentials(self) -> dict[str, Any]:
        """What is typed as a user name, and its stored form as an address if it's one."""
        login = self.cleaned_data["login"]
        credentials = {"username": login, "password": self.cleaned_data["password"]}
        try:
            return {**credentials, "email": normalize_email(login)}
        except BadEmail:
            return credentials


class ResetPasswordForm(allauth.ResetPasswordForm):
    email = EmailFormField(label=_("Email address"))
