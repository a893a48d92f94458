"""allauth's forms, where this console does it differently."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from django.http import HttpRequest
from django.utils import timezone

from console.sign_in.resets import request_link


class ResetPasswordForm(forms.ResetPasswordForm):
    """Looks nothing up: the worker finds the account, so that the answer can't tell whether there is one."""

    def clean_email(self) -> str:
        return self.cleaned_data["email"]

    def save(self, request: HttpRequest, **_: Any) -> str:
        request_link(self.cleaned_data["email"], at=timezone.now())
        return self.cleaned_data["email"]


class ChangePasswordForm(forms.ChangePasswordForm):
    """Counts wrong passwords as sign-in does: an open session must not help to guess its password."""

    def clean_oldpassword(self) -> str:
        password = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password
