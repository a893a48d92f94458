"""The pages that join the apps, and the answers that are no page."""

import logging

from django.contrib import messages
from django.db import connection
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from certificates.models import Certificate
from console import details as details_page
from console.forms import ChangeEmailForm, SettingsForm
from console.overview import Filters, cards_of, counts_of, page_of, status_options, version_of
from core import email_changes
from core.clock import zone_label
from core.email_addresses import shown_email
from core.email_changes import EmailChangeError
from core.requests import SignedInRequest, layout_of, wants_fragment

logger = logging.getLogger(__name__)


@require_safe
def overview(request: SignedInRequest) -> HttpResponse:
    """The certificate list; for htmx only what refreshes itself, and 204 while `since` is still what is shown."""
    at = timezone.now()
    filters = Filters.read(request.GET)
    page, counts = page_of(request.user, filters, at), counts_of(request.user, at)
    version = version_of(page.rows, counts)
    is_refresh = wants_fragment(request)
    if is_refresh and request.GET.get("since") == version:
        return HttpResponse(status=204)
    context = {
        "page": page,
        "filters": filters,
        "status_options": status_options(filters.status),
        "cards": cards_of(counts, filters),
        "near": counts["pending_expiration"],
        "refresh_url": filters.here(since=version),
        "is_refresh": is_refresh,
        "zone": zone_label(at),
        "zone_name": timezone.get_current_timezone_name(),
    }
    return render(request, "console/_refresh.html" if is_refresh else "console/overview.html", context)


@require_safe
def details(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Every date of one certificate, and what the policy says of it now."""
    owned = Certificate.objects.owned_by(request.user).select_related("order", "product")
    certificate = get_object_or_404(owned, instance_id=instance_id)
    context = {
        "layout": layout_of(request),
        "panel_title": certificate.name,
        **details_page.of(certificate, timezone.now()),
    }
    return render(request, "console/details.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: SignedInRequest) -> HttpResponse:
    form = SettingsForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your settings are saved."))
        return redirect("settings")
    if form.errors:
        request.user.refresh_from_db()
    context = {"form": form, "waiting": email_changes.waiting_change(request.user, at=timezone.now())}
    return render(request, "console/settings.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def change_email(request: SignedInRequest) -> HttpResponse:
    """Ask for another email address. It's used once the link sent there is opened and confirmed."""
    form = ChangeEmailForm(request.POST or None, account=request.user)
    if request.method == "POST" and form.is_valid() and _requested(form):
        address = shown_email(form.cleaned_data["new_email"])
        sentence = _("We sent a link to %(address)s. Your address changes once you confirm it there.")
        messages.success(request, sentence % {"address": address})
        return redirect("settings")
    return render(request, "console/change_email.html", {"form": form}, status=422 if form.errors else 200)


def _requested(form: ChangeEmailForm) -> bool:
    try:
        email_changes.request_change(form.account, form.cleaned_data["new_email"], at=timezone.now())
    except EmailChangeError as error:
        form.refuse(error)
        return False
    return True


@require_POST
def withdraw_email(request: SignedInRequest) -> HttpResponse:
    """Take back the request for another email address."""
    if email_changes.withdraw_change(request.user.pk, at=timezone.now()):
        messages.success(request, _("The change is withdrawn. The link we sent no longer works."))
    return redirect("settings")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the database answers, 503 while it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("healthz: the database does not answer: %s", error)
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
