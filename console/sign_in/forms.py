"""allauth's forms, where this console does it differently: what's typed is tidied first, as in every other form."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.sign_in.resets import request_link
from core.email_fields import EmailFormField
from core.forms import TidyForm


class LoginForm(TidyForm, forms.LoginForm):
    """Signing in, by user name or email address; the adapter finds the account of either."""

    def user_credentials(self) -> dict[str, Any]:
        return {"username": self.cleaned_data["login"], "password": self.cleaned_data["password"]}


class ReauthenticateForm(TidyForm, forms.ReauthenticateForm):
    """One's own password, asked for once more."""


class ResetPasswordForm(TidyForm, forms.ResetPasswordForm):
    """Looks nothing up: the worker finds the account, so that the answer can't tell whether there is one."""

    email = EmailFormField(label=_("Email address"))

    def clean_email(self) -> str:
        return self.cleaned_data["email"]

    def save(self, request: HttpRequest, **_: Any) -> str:
        request_link(self.cleaned_data["email"], at=timezone.now())
        return self.cleaned_data["email"]


class ResetPasswordKeyForm(TidyForm, forms.ResetPasswordKeyForm):
    """A new password, set by that link."""


class ChangePasswordForm(TidyForm, forms.ChangePasswordForm):
    """Counts wrong passwords as sign-in does: an open session must not help to guess its password."""

    def clean_oldpassword(self) -> str:
        password = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password
