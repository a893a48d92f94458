"""How a certificate's state is shown on the desk."""

from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from certificates.models import Application, Certificate
from certificates.services.enrolling import running_enrollment
from certificates.states import shown_state
from certificates.wording import STATE_MARKS
from core.desk.marks import EMPTY, Fact, time_mark
from core.email_addresses import shown_email
from core.templatetags.console_format import chip
from core.text import isolated


def certificate_chip(certificate: Certificate, at: datetime) -> SafeString:
    """The state a person reads at `at`."""
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return chip(shown.label, STATE_MARKS[shown])


def application_facts(certificate: Certificate) -> list[Fact]:
    """What was handed in, as staff check it; no key material."""
    application = Application.objects.filter(pk=certificate.pk).first()
    if application is None:
        return []
    enrollment = running_enrollment(certificate)
    shown = [
        Fact(gettext("Domains"), ", ".join(domain.name for domain in certificate.domains.all()) or EMPTY),
        *_company(application),
        Fact(gettext("Contact"), application.contact_name or EMPTY),
        Fact(gettext("Contact's email address"), shown_email(application.contact_email) or EMPTY),
        Fact(gettext("Contact's telephone"), application.contact_phone or EMPTY),
        Fact(gettext("Key"), application.get_key_type_display()),
        Fact(gettext("Verification"), application.get_verification_display()),
    ]
    if enrollment:
        proven = time_mark(enrollment.proven_at) if enrollment.proven_at else gettext("Not yet")
        shown.append(Fact(gettext("Domains proven"), proven))
    return shown


def _company(application: Application) -> list[Fact]:
    if not application.company_name:
        return []
    return [
        Fact(gettext("Company"), application.company_name),
        Fact(gettext("Registration number"), application.company_number or EMPTY),
        Fact(gettext("Address"), f"{isolated(application.company_address)}, {isolated(application.company_city)}"),
        Fact(gettext("Country"), application.company_country),
    ]


def challenges_of(certificate: Certificate) -> list[dict[str, str]]:
    """What the customer was told to publish."""
    enrollment = running_enrollment(certificate)
    return enrollment.challenges if enrollment else []
