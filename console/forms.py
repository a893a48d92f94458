from typing import Any

from django import forms

from core.accounts import forget_former_addresses, require_own_address
from core.models import User


class SettingsForm(forms.ModelForm):
    """What a person may change about their own account."""

    class Meta:
        model = User
        fields = ["email", "language", "time_zone"]

    def clean_email(self) -> str:
        return require_own_address(self.cleaned_data["email"], self.instance)

    def save(self, commit: bool = True) -> Any:
        account = super().save(commit)
        forget_former_addresses(account)
        return account
