"""What the panels share: whose certificate it is, how it looks, and where an act leads."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django_htmx.http import trigger_client_event

from certificates.exceptions import CertificateHeld, CertificatesError, TooManyLinks, WrongState
from certificates.models import Certificate
from certificates.states import shown_state
from certificates.wording import STATE_MARKS, kind_of
from core.requests import SignedInRequest, show_panel
from core.templatetags.console_format import chip

CONFLICT, UNPROCESSABLE = 409, 422


def owned(request: SignedInRequest, instance_id: str) -> Certificate:
    """The account's own certificate with order and product. Raises Http404 for another's, and for a deleted one."""
    mine = Certificate.objects.owned_by(request.user).select_related("order", "product", "account")
    return get_object_or_404(mine, instance_id=instance_id)


def subject(certificate: Certificate, at: datetime) -> dict[str, Any]:
    """What `certificates/_subject.html` shows at the head of a panel."""
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return {
        "certificate": certificate,
        "kind": kind_of(certificate),
        "certificate_state": chip(shown.label, STATE_MARKS[shown]),
    }


def to_panel(name: str, *args: Any, done: str = "") -> HttpResponseRedirect:
    """To the panel that says what was done: a page loaded again does no harm. `done` makes it tell the list too."""
    address = reverse(name, args=args)
    return redirect(f"{address}?{urlencode({'done': done})}" if done else address)


def announced(request: SignedInRequest, answer: HttpResponse) -> HttpResponse:
    """Where `?done=` says that something has changed, the list on the page fetches itself again."""
    return trigger_client_event(answer, "certificatesChanged") if request.GET.get("done") else answer


def show_refusal(
    request: SignedInRequest, certificate: Certificate, error: CertificatesError, title: str, at: datetime
) -> HttpResponse:
    """The panel for an act that the certificate's state, or a refund under way, does not allow (409)."""
    context = {**subject(certificate, at), "title": title, "why": why_refused(error, certificate, at)}
    return show_panel(request, "certificates/refused.html", title, context, status=CONFLICT)


def why_refused(error: CertificatesError, certificate: Certificate, at: datetime) -> str:
    """Why an act on a certificate was refused, and what to do now, for its owner."""
    if isinstance(error, CertificateHeld):
        return _(
            "A refund of this certificate is under way. Until it has ended, nothing else can be done with it; "
            "cancel the refund first if you want to go on using it."
        )
    if isinstance(error, TooManyLinks):
        return _("The contact was sent as many links today as they are. Try again tomorrow, or use the newest link.")
    if isinstance(error, WrongState) and certificate.closing_since:
        return _("The application is being closed at the certificate authority. Try again once that is done.")
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return _("The certificate is in the state “%(state)s”, in which this cannot be done.") % {"state": shown.label}
