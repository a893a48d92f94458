"""Delete, and the panel after it: the certificate's own pages are gone by then."""

from datetime import datetime

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from certificates.exceptions import CertificatesError, NotYourCertificate, RefundPossible, WrongState
from certificates.models import Certificate
from certificates.services import deleting
from certificates.states import Source
from certificates.views.common import CONFLICT, announced, owned, subject, to_panel, why_refused
from core.requests import SignedInRequest, show_panel


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Asks once on GET, deletes on POST."""
    certificate, at = owned(request, instance_id), timezone.now()
    try:
        deleting.check_deletable(certificate, at=at)
        if request.method == "POST":
            deleting.delete_certificate(certificate.pk, by=request.user, at=at)
            return to_panel("deleted", done="deleted")
    except NotYourCertificate as error:  # deleted meanwhile
        raise Http404 from error
    except CertificatesError as error:
        return _refuse(request, certificate, error, at)
    context = {**subject(certificate, at), "is_uploaded": certificate.source == Source.UPLOADED}
    return show_panel(request, "certificates/delete.html", _("Delete"), context)


@require_safe
def deleted(request: SignedInRequest) -> HttpResponse:
    """What a deletion leads to. It names no certificate: there is none to be seen any more."""
    return announced(request, show_panel(request, "certificates/deleted.html", _("Deleted"), {}))


def _refuse(request: SignedInRequest, certificate: Certificate, error: CertificatesError, at: datetime) -> HttpResponse:
    context = {**subject(certificate, at), "title": _("Delete"), "why": _why(error, certificate, at)}
    may_refund = isinstance(error, RefundPossible) and error.until is not None
    return show_panel(
        request, "certificates/delete_refused.html", _("Delete"), {**context, "may_refund": may_refund}, status=CONFLICT
    )


def _why(error: CertificatesError, certificate: Certificate, at: datetime) -> str:
    if isinstance(error, RefundPossible) and error.until is not None:
        words = _(
            "What you paid can still come back: a refund can be requested until %(day)s. Request it first, or delete "
            "the certificate after that day."
        )
        return words % {"day": error.until}
    if isinstance(error, RefundPossible):
        return _("A refund of this certificate is under way. It can be deleted once that has ended.")
    if isinstance(error, WrongState) and not certificate.closing_since:
        return _("Only expired, revoked and uploaded certificates can be deleted.")
    return why_refused(error, certificate, at)
