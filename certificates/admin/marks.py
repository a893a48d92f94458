"""How a certificate's state is shown on the desk."""

from datetime import datetime

from django.utils.safestring import SafeString

from certificates.models import Certificate
from certificates.states import shown_state
from certificates.wording import STATE_MARKS
from core.templatetags.console_format import chip


def certificate_chip(certificate: Certificate, at: datetime) -> SafeString:
    """The state a person reads at `at`."""
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return chip(shown.label, STATE_MARKS[shown])
