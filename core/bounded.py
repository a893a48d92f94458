"""Answers over http that end: in time, and before they grow beyond what is expected."""

import time

import requests

CHUNK = 65_536


class TookTooLong(requests.Timeout):
    """The moment up to which an answer was waited for has passed."""


class TooLarge(requests.RequestException):
    """More came than is ever expected."""


def left_until(ends: float) -> float:
    """Seconds until `ends`, by the monotonic clock. Raises TookTooLong when there are none."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TookTooLong("took too long altogether")
    return left


def read_whole(response: requests.Response, *, longest: int, ends: float) -> bytes:
    """The whole answer, read as it comes, since one that drips is never silent. Raises TookTooLong and TooLarge."""
    read = bytearray()
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        read += chunk
        if len(read) > longest:
            raise TooLarge(f"answered with more than {longest} bytes")
        left_until(ends)
    return bytes(read)
