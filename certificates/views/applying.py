"""Apply for Certificate, and Cancel Application."""

from datetime import datetime

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from certificates.exceptions import (
    CertificateHeld,
    CertificatesError,
    KeyInUse,
    NotYourCertificate,
    StillClosing,
    WrongState,
)
from certificates.forms.applying import ApplyForm
from certificates.models import Certificate
from certificates.services import applications
from certificates.states import CertificateState
from certificates.views.common import (
    CONFLICT,
    UNPROCESSABLE,
    announced,
    owned,
    show_refusal,
    subject,
    to_panel,
)
from core.requests import SignedInRequest, show_panel, wants_fragment

SUBMITTED, CANCELLED = "submitted", "cancelled"
# What a cancelling has led to: the application is a draft again, or the authority was quicker.
OUTCOMES = frozenset({CertificateState.PENDING_APPLICATION, CertificateState.ISSUED})

# --- Apply for Certificate ---------------------------------------------------------------------


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def apply(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """The form on GET, filled with the draft; a POST hands the application in, and leads to what is to be proven."""
    certificate, at = owned(request, instance_id), timezone.now()
    if error := _obstacle(certificate, at):
        return _refuse_apply(request, certificate, error, at)
    if request.method != "POST":
        return _show_form(request, certificate, ApplyForm(certificate=certificate), at)
    form = ApplyForm(request.POST, certificate=certificate)
    if not form.is_valid():
        return _show_form(request, certificate, form, at, status=UNPROCESSABLE)
    return _submit(request, certificate, form, at)


def _submit(request: SignedInRequest, certificate: Certificate, form: ApplyForm, at: datetime) -> HttpResponse:
    try:
        applications.submit_application(certificate.pk, form.submission(), by=request.user, at=at)
    except NotYourCertificate as error:
        raise Http404 from error
    except KeyInUse:
        form.refuse_key()
        return _show_form(request, certificate, form, at, status=UNPROCESSABLE)
    except CertificatesError as error:
        return _refuse_apply(request, owned(request, certificate.instance_id), error, at)
    return to_panel("verify", certificate.instance_id, done=SUBMITTED)


def _obstacle(certificate: Certificate, at: datetime) -> CertificatesError | None:
    """Why no application can be handed in now, before anything is typed; the service looks again, under its lock."""
    if certificate.hold:
        return CertificateHeld(certificate.hold)
    if certificate.closing_since or not applications.can_apply(certificate, at):
        return WrongState(certificate)
    return StillClosing(str(certificate)) if applications.is_closing_former(certificate) else None


def _refuse_apply(
    request: SignedInRequest, certificate: Certificate, error: CertificatesError, at: datetime
) -> HttpResponse:
    title = _("Apply for Certificate")
    if isinstance(error, StillClosing):
        return show_panel(request, "certificates/apply_later.html", title, subject(certificate, at), status=CONFLICT)
    return show_refusal(request, certificate, error, title, at)


def _show_form(
    request: SignedInRequest, certificate: Certificate, form: ApplyForm, at: datetime, *, status: int = 200
) -> HttpResponse:
    context = {**subject(certificate, at), "form": form, **form.groups()}
    return show_panel(request, "certificates/apply.html", _("Apply for Certificate"), context, status=status)


# --- Cancel Application ------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def cancel_application(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Asks once on GET, a POST cancels. Then it says how far that is, and asks for itself until it is done."""
    certificate, at = owned(request, instance_id), timezone.now()
    if request.method == "POST":
        return _cancel(request, certificate, at)
    if _is_closing(certificate):
        return _show_closing(request, certificate, at)
    if "done" in request.GET and certificate.state in OUTCOMES and applications.draft_of(certificate):
        return _show_outcome(request, certificate, at)
    if certificate.hold or not applications.can_cancel(certificate):
        error = CertificateHeld(certificate.hold) if certificate.hold else WrongState(certificate)
        return show_refusal(request, certificate, error, _("Cancel Application"), at)
    return _show_cancel(request, "certificates/cancel_application.html", certificate, at)


def _cancel(request: SignedInRequest, certificate: Certificate, at: datetime) -> HttpResponse:
    try:
        applications.cancel_application(certificate.pk, by=request.user, at=at)
    except NotYourCertificate as error:
        raise Http404 from error
    except CertificatesError as error:
        certificate = owned(request, certificate.instance_id)
        if not _is_closing(certificate):
            return show_refusal(request, certificate, error, _("Cancel Application"), at)
        # Else the same form again: a double click.
    return to_panel("cancel_application", certificate.instance_id, done=CANCELLED)


def _is_closing(certificate: Certificate) -> bool:
    """A refund closes a running application too, and says so itself."""
    return certificate.closing_since is not None and not certificate.hold


def _show_closing(request: SignedInRequest, certificate: Certificate, at: datetime) -> HttpResponse:
    """The authority is asked; 204 for the panel that asks whether it has answered."""
    if wants_fragment(request) and "since" in request.GET:
        return HttpResponse(status=204)
    return announced(request, _show_cancel(request, "certificates/cancel_application_closing.html", certificate, at))


def _show_outcome(request: SignedInRequest, certificate: Certificate, at: datetime) -> HttpResponse:
    return announced(request, _show_cancel(request, "certificates/cancel_application_done.html", certificate, at))


def _show_cancel(request: SignedInRequest, template: str, certificate: Certificate, at: datetime) -> HttpResponse:
    return show_panel(request, template, _("Cancel Application"), subject(certificate, at))
