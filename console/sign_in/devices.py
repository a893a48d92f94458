"""Browsers in which an account has signed in before: they may still try while strangers are guessing.

A cookie remembers them. Each of its entries is signed with the account's id and stored password as the salt, so an
entry fits one account, and a new password makes it worthless: someone who knew the old one may have signed in
elsewhere. The browser that sets the new password is known at once. A password set through an emailed link thus gets
its owner in, however busy the guessers are.
"""

from collections.abc import Callable
from datetime import timedelta
from secrets import token_urlsafe

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse

from core.models import User

COOKIE = "known_device"
KEPT_FOR = timedelta(days=90)
# Accounts that one browser remembers.
MOST = 5
_SEPARATOR = "|"


def device_of(request: HttpRequest, account: User) -> str:
    """This browser's name for the account, empty where the account hasn't signed in here within 90 days."""
    return next((device for entry in _entries(request) if (device := _read(entry, account))), "")


def remember(request: HttpRequest, account: AbstractBaseUser) -> None:
    """Have the answer to this request tell the browser that the account knows it."""
    request.known_to = account  # type: ignore[attr-defined]


class KnownDeviceMiddleware:
    """Sets the cookie that `remember` has asked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        account = getattr(request, "known_to", None)
        if account is not None:
            _set_cookie(request, response, account)
        return response


def _set_cookie(request: HttpRequest, response: HttpResponse, account: User) -> None:
    # The name stays, and with it what this browser has failed at before.
    device = device_of(request, account) or token_urlsafe(12)
    others = [entry for entry in _entries(request) if not _read(entry, account)]
    response.set_cookie(
        COOKIE,
        _SEPARATOR.join([_signer(account).sign(device), *others][:MOST]),
        max_age=KEPT_FOR,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _entries(request: HttpRequest) -> list[str]:
    return request.COOKIES.get(COOKIE, "").split(_SEPARATOR)[:MOST]


def _read(entry: str, account: User) -> str:
    try:
        return _signer(account).unsign(entry, max_age=KEPT_FOR)
    except BadSignature:
        return ""


def _signer(account: User) -> TimestampSigner:
    return TimestampSigner(salt=f"{__name__}:{account.pk}:{account.password}")
