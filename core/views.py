"""The pages behind the links in emails about a change of address. Nobody needs to be signed in.

GET shows what will happen and changes nothing: mail scanners open links, too.
"""

from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from core import email_changes, email_links
from core.email_changes import DeadEmailLink, EmailTaken
from core.email_links import EmailLink, LinkStatus
from core.models import EmailChange, User

CONFLICT = 409


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_email(request: HttpRequest, token: str) -> HttpResponse:
    """Put a new address into effect."""
    found = _found(token, restores=False)
    if found is None:
        return _page(request, "account/email_confirm.html", {"status": "unknown"}, status=404)
    link, change = found
    status = email_links.status_of(link, change, timezone.now())
    if request.method == "POST" and status != LinkStatus.USED:
        try:
            email_changes.confirm_change(link, at=timezone.now())
        except EmailTaken:
            return _page(request, "account/email_confirm.html", {"status": "taken", "change": change}, status=CONFLICT)
        except DeadEmailLink as dead:
            status = dead.status
        else:
            return redirect(request.path)
    context = _context(link, change, status)
    return _page(request, "account/email_confirm.html", context, status=_code(request, status))


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def restore_email(request: HttpRequest, token: str) -> HttpResponse:
    """Undo a change of address, and lead on to setting a new password."""
    found = _found(token, restores=True)
    if found is None:
        return _page(request, "account/email_restore.html", {"status": "unknown"}, status=404)
    link, change = found
    status = email_links.status_of(link, change, timezone.now())
    if request.method == "POST" and status == LinkStatus.WORKS:
        try:
            return _to_new_password(email_changes.restore_email(link, at=timezone.now()))
        except DeadEmailLink as dead:
            status = dead.status
    context = _context(link, change, status)
    return _page(request, "account/email_restore.html", context, status=_code(request, status))


def _found(token: str, *, restores: bool) -> tuple[EmailLink, EmailChange] | None:
    link = email_links.read(token)
    if link is None or link.restores != restores:
        return None
    change = EmailChange.objects.select_related("account").filter(pk=link.change).first()
    return None if change is None else (link, change)


def _to_new_password(account: User) -> HttpResponse:
    key = default_token_generator.make_token(account)
    return redirect("account_reset_password_from_key", uidb36=user_pk_to_url_str(account), key=key)


def _context(link: EmailLink, change: EmailChange, status: LinkStatus) -> dict[str, Any]:
    return {"status": status, "change": change, "expires_at": email_links.expires_at(link, change)}


def _code(request: HttpRequest, status: LinkStatus) -> int:
    """A POST that did nothing is a conflict, unless the link did its work before, as after a double click."""
    is_answered = request.method != "POST" or status == LinkStatus.USED
    return 200 if is_answered else CONFLICT


def _page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    answer = render(request, template, context, status=status)
    answer["X-Robots-Tag"] = "noindex, nofollow"
    return answer
