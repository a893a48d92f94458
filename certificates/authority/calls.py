"""Calls over http that end: in time, and before an answer grows beyond what is expected."""

import time
from typing import Any

import requests

from core.bounded import left_until, read_whole

# Seconds without a word after which one call is given up.
SILENCE = 8.0


class BoundedSession(requests.Session):
    """A session that follows no redirects. `seconds` is for all its calls together, `longest` is bytes of one answer.

    Raises `requests.Timeout` past the one, and `requests.RequestException` past the other.
    """

    def __init__(self, *, seconds: float, longest: int, verify: str | bool = True) -> None:
        super().__init__()
        self.verify = verify
        self.longest = longest
        self.ends = time.monotonic() + seconds

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        bounds = {"timeout": min(SILENCE, left_until(self.ends)), "verify": self.verify, "stream": True}
        response = super().request(method, url, *args, **{**options, **bounds, "allow_redirects": False})
        with response:
            response._content = read_whole(response, longest=self.longest, ends=self.ends)
        return response
