from typing import Any

from allauth.account.models import EmailAddress
from django import forms
from django.utils.translation import gettext as _

from core.models import User


class SettingsForm(forms.ModelForm):
    """What a person may change about their own account."""

    class Meta:
        model = User
        fields = ["email", "language", "time_zone"]

    def clean_email(self) -> str:
        email = self.cleaned_data["email"]
        if email and User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("Another account uses this address."))
        return email

    def save(self, commit: bool = True) -> Any:
        user = super().save(commit)
        # allauth keeps addresses that proved themselves; one that is given up must not open the account any more.
        EmailAddress.objects.filter(user=user).exclude(email__iexact=user.email).delete()
        return user
