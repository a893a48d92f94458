"""Fetches a small file by plain http, from the very address that was checked, and from global addresses only.

So nobody can make the console ask machines inside its own network, whatever their DNS and their redirects say.
"""

import io
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from django.conf import settings

from certificates.addresses import Address, is_literal, is_public
from certificates.resolving import Seen, Unseen, left_of, plain, resolve

LARGEST_FILE = 64 * 1024
# Status line and headers come on top of the file.
LARGEST_ANSWER = LARGEST_FILE + 32 * 1024
MOST_REDIRECTS = 5
MOST_ADDRESSES = 4
HTTP_PORT = 80
# What a request line may hold beside letters and digits.
IN_TARGETS = "/%:@!$&'()*+,;=~?[]"
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch(url: str, until: float) -> bytes:
    """The file at a URL, through a few redirects, each of which is checked like the first."""
    for _hop in range(MOST_REDIRECTS + 1):
        host, port, target = _parts(url)
        status, location, body = _fetch_once(host, port, target, until)
        if status in REDIRECTS and location:
            url = _next(url, location)
        elif status == 200:
            return body
        else:
            raise Unseen(Seen.STATUS, str(status))
    raise Unseen(Seen.TOO_MANY_REDIRECTS)


def _next(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Unseen(Seen.REDIRECT, plain(location)) from error


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and request target of a URL that may be fetched: plain http, the one port, a name and no address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or HTTP_PORT
        host.encode("ascii")
    except ValueError as error:
        raise Unseen(Seen.REDIRECT, plain(url)) from error
    if parts.scheme != "http" or not host or parts.username is not None or not _is_allowed_port(port):
        raise Unseen(Seen.REDIRECT, plain(url))
    if is_literal(host):
        raise Unseen(Seen.FORBIDDEN, host)
    target = quote(parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl(), safe=IN_TARGETS)
    return host, settings.VERIFICATION_PORT if port == HTTP_PORT else port, target


def _is_allowed_port(port: int) -> bool:
    return port in {HTTP_PORT, settings.VERIFICATION_PORT}


def _fetch_once(host: str, port: int, target: str, until: float) -> tuple[int, str, bytes]:
    """Status, Location and body of one answer."""
    with closing(_connect(_addresses(host, until), port, host, until)) as sock:
        try:
            return _ask(_Hurried(sock, until), host, port, target)
        except TimeoutError as error:
            raise Unseen(Seen.SILENT, host) from error
        except (OSError, HTTPException, ValueError) as error:
            raise Unseen(Seen.BROKEN, host) from error


def _ask(sock: "_Hurried", host: str, port: int, target: str) -> tuple[int, str, bytes]:
    link = HTTPConnection(host, port)
    link.sock = sock
    link.request("GET", target, headers={"User-Agent": "certificate-console", "Connection": "close"})
    answer = link.getresponse()
    return answer.status, answer.headers.get("Location", ""), _body(answer)


def _body(answer: HTTPResponse) -> bytes:
    """Only what is compared is read: nobody looks at what an error or a redirect says."""
    if answer.status != 200:
        return b""
    body = answer.read(LARGEST_FILE + 1)
    if len(body) > LARGEST_FILE:
        raise Unseen(Seen.TOO_LARGE)
    return body


def _addresses(host: str, until: float) -> list[Address]:
    """The addresses of a name that may be asked, IPv4 first."""
    found = _resolve_addresses(host, "A", until)
    try:
        found += _resolve_addresses(host, "AAAA", until)
    except Unseen:
        # Some servers know no better answer for what they do not have.
        if not found:
            raise
    if not found:
        raise Unseen(Seen.NO_ADDRESS, host)
    allowed = [each for each in found if settings.VERIFICATION_ALLOWS_PRIVATE or is_public(each)]
    if not allowed:
        raise Unseen(Seen.FORBIDDEN, f"{host} ({found[0]})")
    return allowed[:MOST_ADDRESSES]


def _resolve_addresses(host: str, kind: str, until: float) -> list[Address]:
    return [ipaddress.ip_address(record.address) for record in resolve(host, kind, until)]


def _connect(addresses: Sequence[Address], port: int, host: str, until: float) -> socket.socket:
    """A connection to the first of these addresses that takes it; each gets its part of the time that is left."""
    failure = Seen.UNREACHABLE
    for number, address in enumerate(addresses):
        try:
            return socket.create_connection((str(address), port), timeout=left_of(until) / (len(addresses) - number))
        except TimeoutError:
            failure = Seen.SILENT
        except OSError:
            failure = Seen.UNREACHABLE
    raise Unseen(failure, host)


class _Hurried:
    """A socket as http.client uses it, all of whose waiting together ends at one moment, and all of whose reading
    at a size: neither a byte every few seconds nor headers without end hold anybody up."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self.sock, self.until = sock, until

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(left_of(self.until))
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self.sock, self.until))

    def close(self) -> None:
        """http.client closes what it still reads from: whoever opened the socket closes it."""


class _Reading(io.RawIOBase):
    def __init__(self, sock: socket.socket, until: float) -> None:
        self.sock, self.until, self.read_so_far = sock, until, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.sock.settimeout(left_of(self.until))
        count = self.sock.recv_into(buffer)
        self.read_so_far += count
        if self.read_so_far > LARGEST_ANSWER:
            raise Unseen(Seen.TOO_LARGE)
        return count
