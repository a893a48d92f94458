"""What the customers' views are handed, and the one question that each of them asks of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

from core.models import User


class SignedInRequest(HttpRequest):
    """A request behind sign-in and django-htmx's middleware, for the type checker: Django makes a plain HttpRequest."""

    user: User
    htmx: HtmxDetails


def wants_fragment(request: SignedInRequest) -> bool:
    """Whether a part of a page is asked for. The back button asks by htmx too, and needs the whole page."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def layout_of(request: SignedInRequest) -> str:
    """The template that a panel extends: the drawer beside the list, or a page of its own."""
    return "layouts/drawer.html" if wants_fragment(request) else "layouts/page.html"


def show_panel(
    request: SignedInRequest, template: str, title: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """A panel: in the drawer for htmx, else as a page."""
    return render(request, template, {"layout": layout_of(request), "panel_title": title, **context}, status=status)
