"""Verify: what must be published to prove the domains, and whether it is."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from certificates.exceptions import CertificateHeld, CertificatesError, NotYourCertificate, WrongState
from certificates.models import Certificate, Enrollment
from certificates.services import verifying
from certificates.services.verifying import Looked
from certificates.states import APPLICATION_RUNNING, CertificateState, EnrollmentState
from certificates.views import proofs
from certificates.views.common import announced, owned, show_refusal, subject, to_panel
from core.requests import SignedInRequest, show_panel, wants_fragment

PROVEN = "proven"


@require_http_methods(["GET", "HEAD", "POST"])
def verify(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Shows what must be published on GET; a POST looks at once. While something is awaited it asks for itself again.

    `since` is the version that a page shows: 204 while it is still so.
    """
    certificate, at = owned(request, instance_id), timezone.now()
    if request.method == "POST":
        return _look(request, certificate, at)
    enrollment = _shown_enrollment(certificate)
    if error := _obstacle(certificate, enrollment):
        return show_refusal(request, certificate, error, _("Verify"), at)
    version = proofs.version_of(enrollment, certificate)
    if wants_fragment(request) and request.GET.get("since") == version:
        return HttpResponse(status=204)
    return announced(request, _show(request, certificate, enrollment, at))


def _look(request: SignedInRequest, certificate: Certificate, at: datetime) -> HttpResponse:
    try:
        looked = verifying.verify_now(certificate.pk, by=request.user, at=at)
    except NotYourCertificate as error:
        raise Http404 from error
    except CertificatesError as error:
        certificate = owned(request, certificate.instance_id)
        enrollment = _shown_enrollment(certificate)
        if enrollment and enrollment.proven_at:  # the worker was quicker, or the same button was pressed twice
            return to_panel("verify", certificate.instance_id, done=PROVEN)
        return show_refusal(request, certificate, error, _("Verify"), at)
    if looked.is_proven:
        return to_panel("verify", certificate.instance_id, done=PROVEN)
    certificate = owned(request, certificate.instance_id)
    return _show(request, certificate, _shown_enrollment(certificate), at, looked)


def _shown_enrollment(certificate: Certificate) -> Enrollment | None:
    """The newest order, unless it has ended without a certificate."""
    newest = Enrollment.objects.filter(certificate=certificate).order_by("-id").first()
    ended = {EnrollmentState.CLOSED, EnrollmentState.REFUSED, EnrollmentState.REVOKED}
    return newest if newest and newest.state not in ended else None


def _obstacle(certificate: Certificate, enrollment: Enrollment | None) -> CertificatesError | None:
    """Why there is nothing to show. An issued certificate may have a re-issue that waits for proof."""
    if certificate.hold:
        return CertificateHeld(certificate.hold)
    is_issued = certificate.state == CertificateState.ISSUED and enrollment is not None
    is_fit = not certificate.closing_since and (certificate.state in APPLICATION_RUNNING or is_issued)
    return None if is_fit else WrongState(certificate)


def _show(
    request: SignedInRequest,
    certificate: Certificate,
    enrollment: Enrollment | None,
    at: datetime,
    looked: Looked | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        **subject(certificate, at),
        **proofs.context_of(certificate, enrollment, looked),
        "done": request.GET.get("done", ""),
    }
    return show_panel(request, "certificates/verify.html", _("Verify"), context)
