"""The form that revokes a certificate."""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from certificates.models import Certificate
from certificates.names import shown
from certificates.states import RevocationReason
from core.forms import CodeField, PanelForm

# A name of 253 ASCII characters is never longer in Unicode.
LONGEST_TYPED = 255


class RevokeForm(PanelForm):
    """Why, and the certificate's name, typed so that nobody revokes another one by mistake; the service compares it."""

    reason = forms.ChoiceField(
        label=_("Reason"),
        choices=[("", _("Choose a reason")), *RevocationReason.choices],
        error_messages={
            "required": _("Choose the reason for the revocation."),
            "invalid_choice": _("Choose one of the reasons in the list."),
        },
    )
    domain = CodeField(
        label=_("Domain, to confirm"),
        max_length=LONGEST_TYPED,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        error_messages={"required": _("Type the certificate's domain to confirm the revocation.")},
    )

    def __init__(self, *args: Any, certificate: Certificate, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["domain"].help_text = format_html(
            str(_("Type {name}.")), name=format_html("<strong>{}</strong>", shown(certificate.name))
        )

    def refuse_domain(self) -> None:
        """Say beside the field that what was typed is not the certificate's name."""
        self.add_error("domain", str(_("This is not the domain of this certificate. Type it as it stands below.")))
