"""The world outside on loopback: a DNS server and a web server that publish what a test tells them to.

    with Outside() as outside, outside.asked():
        outside.publish(enrollment)

Inside `asked()` the console's verification looks there instead of at the Internet. A browser test whose worker is
another process passes `environment()` on to it.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from django.test import override_settings

from certificates.authority.base import Challenge, proofs_of
from certificates.models import Enrollment
from certificates.names import proven_under
from certificates.states import Verification

LOOPBACK = "127.0.0.1"
SILENT, BROKEN = "silent", "broken"


@dataclass
class Page:
    body: bytes
    status: int = 200
    location: str = ""


@dataclass
class Outside:
    # By name and type, "shop.example.com", "TXT": texts as they stand in a zone file. SILENT and BROKEN answer so.
    records: dict[tuple[str, str], list[str] | str] = field(default_factory=dict)
    # By host and path.
    files: dict[tuple[str, str], Page] = field(default_factory=dict)
    # What was asked, in order.
    queries: list[tuple[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._web = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        # Asked often whether to stop, so that leaving takes no half second.
        serve_web = partial(self._web.serve_forever, poll_interval=0.01)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_dns, serve_web)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.shutdown()
        self._web.server_close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        for thread in self._threads:
            thread.join()
        self._socket.close()

    # --- What it publishes ---

    def publish(self, enrollment: Enrollment) -> None:
        """Everything that proves an enrollment's names."""
        for challenge in proofs_of(enrollment.challenges):
            self.publish_one(challenge, enrollment.verification)

    def publish_one(self, challenge: Challenge, verification: str) -> None:
        if verification == Verification.FILE:
            self.put_file(proven_under(challenge.name), challenge.place, challenge.value)
        else:
            texts = self.records.setdefault((challenge.place, "TXT"), [])
            assert isinstance(texts, list)
            texts.append(f'"{challenge.value}"')

    def put_file(self, host: str, path: str, text: str, *, status: int = 200, location: str = "") -> None:
        self.records.setdefault((host, "A"), [LOOPBACK])
        self.files[host, path] = Page(text.encode(), status, location)

    # --- Where it is asked ---

    @property
    def dns_server(self) -> str:
        return f"{LOOPBACK}:{self._socket.getsockname()[1]}"

    @property
    def web_port(self) -> int:
        return self._web.server_port

    def environment(self) -> dict[str, str]:
        """The settings for another process."""
        return {
            "DNS_SERVERS": self.dns_server,
            "VERIFICATION_PORT": str(self.web_port),
            "VERIFICATION_ALLOWS_PRIVATE": "1",
        }

    @contextmanager
    def asked(self, **settings: Any) -> Iterator[None]:
        """The settings for this process."""
        own = {
            "DNS_SERVERS": [self.dns_server],
            "VERIFICATION_PORT": self.web_port,
            "VERIFICATION_ALLOWS_PRIVATE": True,
        }
        with override_settings(**{**own, **settings}):
            yield

    # --- DNS ---

    def _serve_dns(self) -> None:
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            answer = self._answer(dns.message.from_wire(packet))
            if answer:
                self._socket.sendto(answer.to_wire(), sender)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind))
        known = self.records.get((name, kind), [])
        if known == SILENT:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if known == BROKEN:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif known:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *known))
        elif not any(other == name for other, _kind in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._add_alias(answer, question, name, kind)
        return answer

    def _add_alias(self, answer: dns.message.Message, question: Any, name: str, kind: str) -> None:
        """As a resolver does it: the alias, and what it leads to."""
        for target in self.records.get((name, "CNAME"), []) if not answer.answer else []:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", f"{target}."))
            answer.answer.append(dns.rrset.from_text(f"{target}.", 60, "IN", kind, *self.records[target, kind]))


def _handler(outside: Outside) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"].partition(":")[0]
            outside.requests.append((host, self.path))
            page = outside.files.get((host, self.path), Page(b"", 404))
            self.send_response(page.status)
            if page.location:
                self.send_header("Location", page.location)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
