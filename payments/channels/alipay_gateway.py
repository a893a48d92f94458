"""Calls to Alipay's gateway: signed, bounded in time and size, and never believed without Alipay's signature."""

import json
import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from urllib3.exceptions import HTTPError

from core.bounded import TookTooLong, TooLarge, left_until, read_whole
from core.clock import SERVICE_ZONE
from payments.channels.alipay_signing import Keys
from payments.channels.base import Unanswered

# Bytes.
LARGEST_ANSWER = 1024 * 1024
LARGEST_BILL = 64 * 1024 * 1024

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_TOO_LONG = gettext_lazy("Alipay took too long to answer.")
_CODE = re.compile(rb'"sub_code"\s*:\s*"([A-Za-z0-9._-]{1,80})"')


def read_time(text: str) -> datetime:
    """A moment as Alipay writes it, which is in the service's zone. Raises ValueError."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=SERVICE_ZONE)


class Gateway:
    """A connection to Alipay's gateway for one application. `timeout` in seconds, for each call altogether."""

    def __init__(self, url: str, *, app_id: str, keys: Keys, timeout: float) -> None:
        self._url = url
        self._app_id = app_id
        self._keys = keys
        self._timeout = timeout

    def deadline(self) -> float:
        """When a call that begins now is given up; several may share one."""
        return time.monotonic() + self._timeout

    def call(self, method: str, content: dict[str, Any], *, ends: float | None = None) -> dict[str, Any]:
        """What Alipay answers to `method`: a business error is an answer too. Raises Unanswered."""
        form = self._signed(method, content)
        # Said in the address too: the gateway would read the form as GBK before it finds the word in it.
        body = self._fetch("POST", self._url, longest=LARGEST_ANSWER, ends=ends, params={"charset": "utf-8"}, data=form)
        try:
            return self._keys.open(body, method.replace(".", "_") + "_response")
        except (ValueError, TypeError, RecursionError):
            raise Unanswered(_unsigned(body)) from None

    def download(self, address: str) -> bytes:
        """A file that an answer has named. Raises Unanswered."""
        return self._fetch("GET", self._safe(address), longest=LARGEST_BILL)

    def _signed(self, method: str, content: dict[str, Any]) -> dict[str, str]:
        form = {
            "app_id": self._app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            # Alipay's own clock decides whether it is fresh: nothing that a caller could know better.
            "timestamp": timezone.now().astimezone(SERVICE_ZONE).strftime(TIME_FORMAT),
            "version": "1.0",
            "biz_content": json.dumps(content),
        }
        return {**form, "sign": self._keys.sign(form)}

    def _safe(self, address: str) -> str:
        """Alipay names its files by http and has them by https too; the gateway's own host may be any."""
        own = urlsplit(self._url)
        try:
            told = urlsplit(address)
        except ValueError:
            raise Unanswered(_("Alipay names its bill by an address that cannot be read.")) from None
        if told.scheme == "https" or (told.scheme, told.netloc) == (own.scheme, own.netloc):
            return address
        if told.scheme == "http" and told.hostname and told.netloc == told.hostname:
            return told._replace(scheme="https").geturl()
        raise Unanswered(_("Alipay names its bill by an address that is not safe to ask."))

    def _fetch(self, verb: str, url: str, *, longest: int, ends: float | None = None, **options: Any) -> bytes:
        ends = self.deadline() if ends is None else ends
        try:
            with requests.request(
                verb, url, timeout=_left(ends), stream=True, allow_redirects=False, **options
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise Unanswered(_("Alipay answered with HTTP status %d.") % response.status_code)
                return _read(response, longest, ends)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            # By its kind only: the words repeat addresses, and a bill's is a secret for as long as it works.
            raise Unanswered(_("Alipay gave no answer: %s") % type(error).__name__) from None


def _unsigned(body: bytes) -> str:
    """Words for an answer without Alipay's signature, as it gives them where the settings are wrong."""
    code = _CODE.search(body)
    if code is None:
        return _("Alipay's answer is not signed by Alipay, or makes no sense.")
    return _("Alipay's answer is not signed by Alipay. It says: %s") % code[1].decode()


def _read(response: requests.Response, longest: int, ends: float) -> bytes:
    """The whole answer. Raises Unanswered."""
    try:
        return read_whole(response, longest=longest, ends=ends)
    except TooLarge:
        raise Unanswered(_("Alipay's answer is too large.")) from None
    except TookTooLong:
        raise Unanswered(_TOO_LONG) from None


def _left(ends: float) -> float:
    """Seconds until `ends`. Raises Unanswered when there are none."""
    try:
        return left_until(ends)
    except TookTooLong:
        raise Unanswered(_TOO_LONG) from None
