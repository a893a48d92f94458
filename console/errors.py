"""Pages for what went wrong.

They read nothing of the request: Django's own parse its body again, and fail over one that cannot be parsed.
"""

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

_TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, _TOO_LARGE):
        return too_large()
    return _error_page(400, _("This request cannot be read"), _("Go back, and try it again from the page."))


def too_large() -> HttpResponse:
    advice = _("Nothing was stored. Go back, shorten what you entered or choose a smaller file, and send it again.")
    return _error_page(413, _("This is too large"), advice)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(403, _("You may not do this"), _("Your account does not have the permission that this needs."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    advice = _("The page was open too long, or cookies are off. Go back, load it again and repeat what you did.")
    return _error_page(403, _("This form is no longer valid"), advice)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(404, _("There is no such page"), _("The address is wrong, or what it named is not yours."))


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Every limit that leads here counts within a minute: see ACCOUNT_RATE_LIMITS."""
    response = _error_page(429, _("Too many requests"), _("Wait a minute, then try again."))
    response["Retry-After"] = "60"
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    advice = _("Nothing you entered was stored. Try again in a moment; if it happens again, tell those who run it.")
    return _error_page(500, _("Something went wrong here"), advice)


def _error_page(status: int, title: str, advice: str) -> HttpResponse:
    page = render_to_string("console/error.html", {"status": status, "title": title, "advice": advice})
    return HttpResponse(page, status=status)
