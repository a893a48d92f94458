"""What every request and answer passes through."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import resolve_url
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

Handler = Callable[[HttpRequest], HttpResponse]


class RefuseNulMiddleware:
    """PostgreSQL takes no NUL in a text; nobody types one, and no page needs to cope with it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        address = request.get_full_path()
        if "\0" in request.path or "%00" in address:
            return HttpResponseBadRequest("The address holds a NUL character.", content_type="text/plain")
        return self.get_response(request)


class HtmxAnswersMiddleware:
    """One address answers a page or a fragment: caches must know, and a sign-in page must not land in a fragment."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.login_path = resolve_url(settings.LOGIN_URL)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
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
