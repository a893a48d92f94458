"""Revoke, what became of it, and the page that its contact confirms it on."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from certificates import hooks, links
from certificates.exceptions import (
    CertificateHeld,
    CertificatesError,
    DeadLink,
    NoContact,
    NotNamed,
    NotYourCertificate,
    RevocationUnderWay,
    TooManyLinks,
    WrongState,
)
from certificates.forms.revoking import RevokeForm
from certificates.models import Certificate, Revocation
from certificates.names import shown
from certificates.services import revocations
from certificates.states import CertificateState, Source
from certificates.views import revocation_panel
from certificates.views.common import (
    CONFLICT,
    UNPROCESSABLE,
    announced,
    owned,
    show_refusal,
    subject,
    to_panel,
    why_refused,
)
from core.requests import SignedInRequest, show_panel, wants_fragment

GONE_ON = frozenset({CertificateState.REVOKING, CertificateState.REVOKED})


# --- Revoke ------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """The form on GET; a POST requests the revocation. What is requested already leads to where it stands."""
    certificate, at = owned(request, instance_id), timezone.now()
    if certificate.state in GONE_ON and not certificate.hold:
        return to_panel("revocation", instance_id)
    try:
        revocations.check_revocable(certificate, at=at)
    except CertificatesError as error:
        return _refuse(request, certificate, error, at)
    if request.method != "POST":
        return _show_form(request, certificate, RevokeForm(certificate=certificate), at)
    form = RevokeForm(request.POST, certificate=certificate)
    if not form.is_valid():
        return _show_form(request, certificate, form, at, status=UNPROCESSABLE)
    return _request(request, certificate, form, at)


def _request(request: SignedInRequest, certificate: Certificate, form: RevokeForm, at: datetime) -> HttpResponse:
    reason, typed = form.cleaned_data["reason"], form.cleaned_data["domain"]
    try:
        revocations.request_revocation(certificate.pk, reason=reason, typed=typed, by=request.user, at=at)
    except NotYourCertificate as error:
        raise Http404 from error
    except NotNamed:
        form.refuse_domain()
        return _show_form(request, certificate, form, at, status=UNPROCESSABLE)
    except WrongState as error:
        certificate = owned(request, certificate.instance_id)
        if certificate.state in GONE_ON:  # the same form again: a double click, or the back button
            return to_panel("revocation", certificate.instance_id)
        return _refuse(request, certificate, error, at)
    except CertificatesError as error:
        return _refuse(request, certificate, error, at)
    return to_panel("revocation", certificate.instance_id, done=revocation_panel.REQUESTED)


def _show_form(
    request: SignedInRequest, certificate: Certificate, form: RevokeForm, at: datetime, *, status: int = 200
) -> HttpResponse:
    context = {
        **subject(certificate, at),
        "form": form,
        "prospects": hooks.refund_prospects(certificate, at=at),
        "contact": revocations.contact_of(certificate) if revocations.is_confirmed_by_mail(certificate) else "",
        "days": revocations.LINK_LIFETIME.days,
    }
    return show_panel(request, "certificates/revoke.html", _("Revoke"), context, status=status)


def _refuse(request: SignedInRequest, certificate: Certificate, error: CertificatesError, at: datetime) -> HttpResponse:
    context = {**subject(certificate, at), "title": _("Revoke"), "why": _why(error, certificate, at)}
    return show_panel(request, "certificates/refused.html", _("Revoke"), context, status=CONFLICT)


def _why(error: CertificatesError, certificate: Certificate, at: datetime) -> str:
    if isinstance(error, NoContact):
        return _(
            "The revocation must be confirmed by email, and neither the application's contact nor your account has an "
            "email address. Enter yours in Settings first."
        )
    if isinstance(error, RevocationUnderWay):
        return _("A revocation of this certificate was requested already. One certificate takes one request.")
    if isinstance(error, CertificateHeld):
        return why_refused(error, certificate, at)
    if certificate.source == Source.UPLOADED:
        return _("This certificate was bought elsewhere. Ask for its revocation where you bought it.")
    if certificate.expires_at <= at:
        return _("The certificate has expired. Nobody trusts it any more, so there is nothing to revoke.")
    return why_refused(error, certificate, at)


# --- What became of it -------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def revocation(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Where the revocation stands. A POST sends the link again or withdraws the request.

    While it moves it asks for itself again: `since` is the version that a page shows, 204 while it is still so.
    """
    certificate, at = owned(request, instance_id), timezone.now()
    newest = revocation_panel.newest_of(certificate)
    if newest is None and certificate.state not in GONE_ON:
        return show_refusal(request, certificate, WrongState(certificate), _("Revocation"), at)
    if request.method == "POST":
        return _act(request, certificate, at)
    context = revocation_panel.context_of(certificate, newest, at)
    if wants_fragment(request) and "since" in request.GET:
        return _refreshed(request, context)
    done = request.GET.get("done", "")
    context["done"] = done if revocation_panel.may_say(done, newest) else ""
    return announced(request, show_panel(request, "certificates/revocation.html", _("Revocation"), context))


def _refreshed(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    if request.GET["since"] == context["version"]:
        return HttpResponse(status=204)
    return trigger_client_event(render(request, "certificates/revocation_refresh.html", context), "certificatesChanged")


_ACTS: dict[str, tuple[Callable[..., Revocation], str]] = {
    "resend": (revocations.send_link_again, revocation_panel.SENT),
    "withdraw": (revocations.withdraw_revocation, revocation_panel.WITHDRAWN),
}


def _act(request: SignedInRequest, certificate: Certificate, at: datetime) -> HttpResponse:
    if request.POST.get("action") not in _ACTS:
        return _show_problem(request, certificate, _("Choose what is to be done."), at, status=UNPROCESSABLE)
    act, done = _ACTS[request.POST["action"]]
    try:
        act(certificate.pk, by=request.user, at=at)
    except NotYourCertificate as error:
        raise Http404 from error
    except CertificateHeld as error:
        return show_refusal(request, certificate, error, _("Revocation"), at)
    except TooManyLinks as error:
        return _show_problem(request, certificate, _too_many(error), at)
    except WrongState:
        return _show_problem(request, certificate, _("Nothing was done: the request no longer waits for this."), at)
    return to_panel("revocation", certificate.instance_id, done=done)


def _too_many(error: TooManyLinks) -> str:
    if error.wait:
        return _("A link was sent less than a minute ago. Wait until the mail is there, then try again.")
    words = _(
        "%(most)d links were sent already, so no more are. If none of them arrives, withdraw the request and write to "
        "the people who run this console: they see what became of the mails."
    )
    return words % {"most": revocations.MOST_LINKS}


def _show_problem(
    request: SignedInRequest, certificate: Certificate, problem: str, at: datetime, *, status: int = CONFLICT
) -> HttpResponse:
    """The panel as things are now, and above it why nothing was done."""
    certificate = owned(request, certificate.instance_id)
    context = revocation_panel.context_of(certificate, revocation_panel.newest_of(certificate), at)
    context["problem"] = problem
    return show_panel(request, "certificates/revocation.html", _("Revocation"), context, status=status)


# --- The contact's page ------------------------------------------------------------------------


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_revocation(request: HttpRequest, token: str) -> HttpResponse:
    """For whoever has the link. GET shows what will happen and changes nothing: programs open links in mails, too."""
    at, link = timezone.now(), links.read(token)
    found = (
        link
        and Revocation.objects.select_related("certificate__order", "certificate__product")
        .filter(pk=link.revocation)
        .first()
    )
    if link is None or not found:
        return _contact_page(request, {"standing": "unknown"}, status=404)
    if request.method == "POST":
        return _confirm(request, link, found, at)
    return _contact_page(request, _contact_context(link, found, at))


def _confirm(request: HttpRequest, link: links.Link, found: Revocation, at: datetime) -> HttpResponse:
    try:
        revocations.confirm_revocation(link, at=at)
    except CertificateHeld:
        return _contact_page(request, {"standing": "held"}, status=CONFLICT)
    except DeadLink as dead:
        if dead.standing != links.Standing.USED:
            found.refresh_from_db()
            return _contact_page(request, _contact_context(link, found, at), status=CONFLICT)
    return redirect(request.path)


def _contact_context(link: links.Link, found: Revocation, at: datetime) -> dict[str, Any]:
    certificate = found.certificate
    return {
        **subject(certificate, at),
        "standing": links.standing_of(link, found, at),
        "revocation": found,
        "allowance": hooks.revocation_allowance(certificate),
        "domains": [shown(name) for name in certificate.domains.values_list("name", flat=True)],
    }


def _contact_page(request: HttpRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    answer = render(request, "certificates/confirm_revocation.html", context, status=status)
    answer["X-Robots-Tag"] = "noindex, nofollow"
    return answer
