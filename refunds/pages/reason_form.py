"""The Refund Reasons, as a form."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.forms import PanelForm
from refunds.models import LONGEST_REASON
from refunds.states import Reason


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
