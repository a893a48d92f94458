"""Calls over http that end: in time, and before an answer grows beyond what is expected."""

import time
from typing import Any

import requests

# Seconds without a word after which one call is given up.
SILENCE = 8.0
CHUNK = 65_536


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
        bounds = {"timeout": min(SILENCE, self._left()), "verify": self.verify, "stream": True}
        response = super().request(method, url, *args, **{**options, **bounds, "allow_redirects": False})
        with response:
            response._content = self._read(response)
        return response

    def _left(self) -> float:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise requests.Timeout("took too long altogether")
        return left

    def _read(self, response: requests.Response) -> bytes:
        """The whole answer; read as it comes, since one that drips is never silent."""
        read = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            read += chunk
            if len(read) > self.longest:
                raise requests.RequestException(f"answered with more than {self.longest} bytes")
            self._left()
        return bytes(read)
