"""The form of the Refund Application panel: the reason, and what it carries of what its reader was shown."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.utils.translation import gettext_lazy as _

from certificates.models import Certificate
from core import signed_forms
from core.forms import PanelForm
from refunds.models import LONGEST_REASON
from refunds.services.agreed import Summary
from refunds.states import Reason

SALT = "refunds.form"


class ReasonForm(PanelForm):
    """One of the service's reasons; *Other* with a text of 1 to 1,000 characters, not counting the space around it.

    What was typed beside another reason is kept for whoever goes back, and counts for nothing.
    """

    reason = forms.ChoiceField(
        choices=Reason.choices,
        error_messages={"required": _("Choose a reason."), "invalid_choice": _("Choose one of the reasons listed.")},
    )
    reason_text = forms.CharField(required=False, widget=forms.Textarea)

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("reason") != Reason.OTHER:
            self.errors.pop("reason_text", None)
            self.cleaned_data["reason_text"] = ""
        elif "reason_text" in self.cleaned_data:
            self._check_length(len(self.cleaned_data["reason_text"]))
        return self.cleaned_data

    def _check_length(self, length: int) -> None:
        if length == 0:
            self.add_error("reason_text", _("Say in a few words why you want the refund."))
        elif length > LONGEST_REASON:
            words = _("The text has %(length)d characters; at most %(most)d fit. Shorten it by %(over)d.")
            numbers = {"length": length, "most": LONGEST_REASON, "over": length - LONGEST_REASON}
            self.add_error("reason_text", words % numbers)


@dataclass(frozen=True)
class Form:
    """One form as it was handed out: to whom, for which certificate, showing what, under which key."""

    account_id: int
    instance_id: str
    key: UUID
    summary: Summary


def new_form(certificate: Certificate, summary: Summary) -> Form:
    return Form(certificate.account_id, certificate.instance_id, uuid4(), summary)


def sign(form: Form) -> str:
    """The form as a text that nobody can alter."""
    return signed_forms.sign(form, salt=SALT)


def read(token: str, certificate: Certificate) -> Form | None:
    """The form that was signed, or None if it isn't one of ours for this certificate and its account."""
    form = signed_forms.read(token, _form, salt=SALT, account_id=certificate.account_id)
    return form if form and form.instance_id == certificate.instance_id else None


def _form(data: dict[str, Any]) -> Form:
    summary = data["summary"]
    carried = {
        **summary,
        "channels": tuple((channel, amount) for channel, amount in summary["channels"]),
        "warnings": tuple(summary["warnings"]),
    }
    return Form(data["account_id"], data["instance_id"], data["key"], Summary(**carried))
