"""What every request and answer passes through."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import resolve_url
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from console import errors
from console.views import healthz

Handler = Callable[[HttpRequest], HttpResponse]


class HealthMiddleware:
    """Answers whoever watches before anything asks the database: it may be away, and that is the question."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return healthz(request) if request.path_info == "/healthz" else self.get_response(request)


class LargestRequestMiddleware:
    """Refuses what is larger than any form before it's read: Django itself limits the text in a body, not its files."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or ""
        # What says no length is read as empty. No honest length has as many digits as Python refuses to convert.
        is_too_large = length.isdecimal() and (len(length) > 18 or int(length) > settings.LARGEST_REQUEST)
        return errors.too_large() if is_too_large else self.get_response(request)


class NoNulMiddleware:
    """PostgreSQL takes no NUL in a text, and nobody types one: left out of a query, refused in a path."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path:
            return HttpResponseBadRequest("The address holds a NUL character.", content_type="text/plain")
        query = request.META.get("QUERY_STRING", "")
        while "%00" in query:  # what is left on both sides of one may be another
            query = query.replace("%00", "")
        request.META["QUERY_STRING"] = query.replace("\0", "")
        return self.get_response(request)


class HtmxAnswersMiddleware:
    """One address answers a page or a fragment: caches must know, and a sign-in page must not land in a fragment."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.login_path = resolve_url(settings.LOGIN_URL)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        if request.htmx:  # type: ignore[attr-defined]
            # The address stays the page's: htmx 2.0.10 forgets hx-push-url="false" where a link or form is boosted.
            response.headers.setdefault("HX-Push-Url", "false")
        if request.htmx and self._leads_to_login(response):  # type: ignore[attr-defined]
            return _leave_page(response["Location"])
        return response

    def _leads_to_login(self, response: HttpResponse) -> bool:
        return response.status_code == 302 and urlsplit(response["Location"]).path == self.login_path


def _leave_page(location: str) -> HttpResponse:
    """Send the whole page to sign in; back to the page, not to the fragment that was asked for."""
    return HttpResponse(headers={"HX-Redirect": urlsplit(location)._replace(query="").geturl()})


class ReaderMiddleware:
    """Language and time zone of whoever is signed in."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        with translation.override(request.user.language), timezone.override(request.user.time_zone):
            request.LANGUAGE_CODE = request.user.language
            return self.get_response(request)
