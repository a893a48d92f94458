"""Looking for proofs with a real resolver and real fetches, on loopback; and where nobody may lead the console."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dns.resolver
import pytest
from django.test import override_settings

from certificates import fetching, resolving, verification
from certificates.addresses import is_public
from certificates.authority.base import Challenge
from certificates.fetching import LARGEST_FILE
from certificates.resolving import Seen
from certificates.states import Verification
from certificates.verification import Finding, look
from certificates.views.proofs import BY_DNS, BY_FILE, sentence_of
from tests.lifecycle.outside import BROKEN, LOOPBACK, SILENT, Outside

NAME = "shop.example.com"
RECORD = Challenge(NAME, f"_proof.{NAME}", "the-proof")
FILE = Challenge(NAME, "/.well-known/proof.txt", "the-proof")


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as outside, outside.asked():
        yield outside


def seen(challenge: Challenge = RECORD, how: str = Verification.DNS) -> Finding:
    [finding] = look([challenge], how)
    assert sentence_of(finding, how)
    return finding


def fetched() -> Finding:
    return seen(FILE, Verification.FILE)


# --- DNS ---------------------------------------------------------------------------------------


def test_record_is_found(outside: Outside) -> None:
    outside.publish_one(RECORD, Verification.DNS)
    assert seen().seen == Seen.FOUND


def test_record_among_others_is_found(outside: Outside) -> None:
    outside.records[RECORD.place, "TXT"] = ['"v=spf1 -all"', '"the-proof"']
    assert seen().seen == Seen.FOUND


def test_record_in_pieces_is_one_text(outside: Outside) -> None:
    value = "a" * 300
    outside.records[RECORD.place, "TXT"] = [f'"{value[:255]}" "{value[255:]}"']
    assert seen(Challenge(NAME, RECORD.place, value)).seen == Seen.FOUND


def test_record_behind_an_alias_is_found(outside: Outside) -> None:
    outside.records[RECORD.place, "CNAME"] = ["proofs.example.net"]
    outside.records["proofs.example.net", "TXT"] = ['"the-proof"']
    assert seen().seen == Seen.FOUND


@pytest.mark.parametrize(
    ("records", "expected", "detail"),
    [
        ({}, Seen.NO_NAME, RECORD.place),
        ({(RECORD.place, "A"): [LOOPBACK]}, Seen.NOTHING, ""),
        ({(RECORD.place, "TXT"): ['"the-proof-"']}, Seen.OTHER, "the-proof-"),
        ({(RECORD.place, "TXT"): ['"THE-PROOF"']}, Seen.OTHER, "THE-PROOF"),
        ({(RECORD.place, "TXT"): BROKEN}, Seen.BROKEN, RECORD.place),
    ],
)
def test_what_stands_in_dns_instead_is_said(outside: Outside, records: dict, expected: Seen, detail: str) -> None:
    outside.records.update(records)
    assert (seen().seen, seen().detail) == (expected, detail)


def test_silent_dns_holds_nobody_up(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "ONE_LOOK", 0.3)
    outside.records[RECORD.place, "TXT"] = SILENT
    assert seen().seen == Seen.SILENT


def test_what_is_shown_of_a_foreign_text_is_short_and_plain(outside: Outside) -> None:
    outside.records[RECORD.place, "TXT"] = [r'"\226\128\174gnorw\010' + "x" * 200 + '"']
    detail = seen().detail
    assert detail.startswith("gnorw x") and len(detail) == 81 and detail.endswith("…")


@pytest.mark.parametrize("server", ["not an address", "127.0.0.1:port", "dns.example.com:53"])
def test_server_that_is_none_is_our_trouble_and_no_error(server: str) -> None:
    with override_settings(DNS_SERVERS=["192.0.2.1", server]):
        assert seen().seen == Seen.BROKEN


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
    ],
)
def test_server_is_an_address_with_or_without_a_port(text: str, address: str, port: int) -> None:
    server = resolving.nameserver_of(text)
    assert (server.address, server.port) == (address, port)


# --- All at once -------------------------------------------------------------------------------


def test_each_name_has_its_own_finding_in_order(outside: Outside) -> None:
    challenges = [Challenge(f"{n}.example.com", f"_proof.{n}.example.com", str(n)) for n in range(40)]
    for challenge in challenges[::2]:
        outside.publish_one(challenge, Verification.DNS)
    findings = look(challenges, Verification.DNS)
    assert [each.challenge for each in findings] == challenges
    assert [each.is_found for each in findings] == [True, False] * 20


def test_many_silent_names_end_in_time(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"ONE_LOOK": 0.3, "ALL_LOOKS": 0.2}.items():
        monkeypatch.setattr(verification, name, seconds)
    challenges = [Challenge(f"{n}.example.com", f"_proof.{n}.example.com", "x") for n in range(60)]
    outside.records.update({(each.place, "TXT"): SILENT for each in challenges})
    lifetimes = []
    plain = dns.resolver.Resolver.resolve

    def resolve(self: dns.resolver.Resolver, *asked: Any, lifetime: float, **options: Any) -> Any:
        lifetimes.append(lifetime)
        return plain(self, *asked, lifetime=lifetime, **options)

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    silent = [each for each in look(challenges, Verification.DNS) if each.seen != Seen.LATE]
    # Those at once, each for the time of one look; for the others it's too late.
    assert len(silent) <= verification.AT_ONCE
    assert {each.seen for each in silent} <= {Seen.SILENT}
    assert all(each <= verification.ONE_LOOK for each in lifetimes)


def test_names_of_the_demo_count_as_published() -> None:
    with override_settings(VERIFICATION_OWN_SUFFIX="test", DNS_SERVERS=["nowhere"]):
        for name in ("shop.test", "*.shop.test"):
            assert seen(Challenge(name, "_proof.shop.test", "x")).seen == Seen.FOUND
        assert seen(Challenge("shop.test", "/proof", "x"), Verification.FILE).seen == Seen.FOUND
        assert seen(Challenge("shop.example.com", "_proof", "x")).seen == Seen.BROKEN
        assert seen(Challenge("shoptest", "_proof", "x")).seen == Seen.BROKEN


def test_outside_the_demo_no_name_counts_as_published() -> None:
    with override_settings(VERIFICATION_OWN_SUFFIX="", DNS_SERVERS=["nowhere"]):
        for name in ("shop.test", "shop.", "shop"):
            assert seen(Challenge(name, "_proof.shop.test", "x")).seen == Seen.BROKEN


def test_every_finding_has_its_sentence() -> None:
    only_files = {Seen.NO_ADDRESS, Seen.FORBIDDEN, Seen.UNREACHABLE, Seen.STATUS, Seen.REDIRECT}
    only_files |= {Seen.TOO_MANY_REDIRECTS, Seen.TOO_LARGE}
    assert set(BY_DNS) == set(Seen) - only_files
    assert set(BY_FILE) == set(Seen) - {Seen.NOTHING}


# --- HTTP --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["the-proof", "the-proof\n", "the-proof \r\n\r\n"])
def test_file_is_found(outside: Outside, text: str) -> None:
    outside.put_file(NAME, FILE.place, text)
    assert fetched().seen == Seen.FOUND
    assert outside.requests == [(NAME, FILE.place)]


def test_file_behind_redirects_is_found(outside: Outside) -> None:
    outside.put_file(NAME, FILE.place, "", status=302, location=f"http://www.example.com{FILE.place}?a=b c#d")
    outside.put_file("www.example.com", f"{FILE.place}?a=b%20c", "", status=308, location="other.txt")
    outside.put_file("www.example.com", "/.well-known/other.txt", "the-proof")
    assert fetched().seen == Seen.FOUND


@pytest.mark.parametrize(
    ("text", "status", "expected", "detail"),
    [
        ("", 200, Seen.OTHER, ""),
        (" the-proof", 200, Seen.OTHER, "the-proof"),
        ("<html>hello</html>", 200, Seen.OTHER, "<html>hello</html>"),
        ("the-proof", 404, Seen.STATUS, "404"),
        ("the-proof", 500, Seen.STATUS, "500"),
        ("the-proof", 302, Seen.STATUS, "302"),
        ("x" * (LARGEST_FILE + 1), 200, Seen.TOO_LARGE, ""),
    ],
)
def test_what_the_web_server_answers_instead_is_said(
    outside: Outside, text: str, status: int, expected: Seen, detail: str
) -> None:
    outside.put_file(NAME, FILE.place, text, status=status)
    assert (fetched().seen, fetched().detail) == (expected, detail)


def test_file_of_the_largest_size_is_read(outside: Outside) -> None:
    outside.put_file(NAME, FILE.place, "x" * LARGEST_FILE)
    assert fetched().seen == Seen.OTHER


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://shop.example.com/", Seen.REDIRECT),
        ("ftp://shop.example.com/", Seen.REDIRECT),
        ("file:///etc/passwd", Seen.REDIRECT),
        ("gopher://shop.example.com/", Seen.REDIRECT),
        ("http://shop.example.com:22/", Seen.REDIRECT),
        ("http://shop.example.com:99999/", Seen.REDIRECT),
        ("http://user@shop.example.com/", Seen.REDIRECT),
        ("http://[::1/", Seen.REDIRECT),
        ("http://b\xfccher.example.com/", Seen.REDIRECT),
        ("http://127.0.0.1/", Seen.FORBIDDEN),
        ("http://192.0.2.1/", Seen.FORBIDDEN),
        ("http://[::1]/", Seen.FORBIDDEN),
        ("http://[::ffff:10.0.0.1]/", Seen.FORBIDDEN),
        ("//127.0.0.1/", Seen.FORBIDDEN),
        ("http://localhost/", Seen.NO_NAME),
        ("http://2130706433/", Seen.NO_NAME),
        ("http://metadata.internal/", Seen.NO_NAME),
        (FILE.place, Seen.TOO_MANY_REDIRECTS),
    ],
)
def test_redirect_leads_nowhere_else(outside: Outside, location: str, expected: Seen) -> None:
    outside.put_file(NAME, FILE.place, "", status=302, location=location)
    assert fetched().seen == expected


def test_name_without_address_is_said(outside: Outside) -> None:
    assert fetched().seen == Seen.NO_NAME
    outside.records[NAME, "TXT"] = ['"x"']
    assert fetched().seen == Seen.NO_ADDRESS


def test_closed_port_is_said(outside: Outside) -> None:
    outside.records[NAME, "A"] = [LOOPBACK]
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        with override_settings(VERIFICATION_PORT=closed.getsockname()[1]):
            assert fetched().seen == Seen.UNREACHABLE


def test_second_address_is_tried(outside: Outside) -> None:
    outside.put_file(NAME, FILE.place, "the-proof")
    outside.records[NAME, "A"] = ["127.0.0.2", LOOPBACK]
    assert fetched().seen == Seen.FOUND


def test_broken_answer_about_ipv6_does_not_matter(outside: Outside) -> None:
    outside.put_file(NAME, FILE.place, "the-proof")
    outside.records[NAME, "AAAA"] = BROKEN
    assert fetched().seen == Seen.FOUND


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A web server of one connection that answers as it likes."""

    def accept() -> None:
        link, _peer = listening.accept()
        with link:
            link.recv(4096)
            with suppress(OSError):
                serve(link)

    with socket.create_server((LOOPBACK, 0)) as listening:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=10)
        assert not thread.is_alive()


def drip(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(1000):
        link.sendall(b"x")
        time.sleep(0.02)


def drip_headers(link: socket.socket) -> None:
    for _ in range(1000):
        link.sendall(b"X")
        time.sleep(0.02)


def flood_headers(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(10_000):
        link.sendall(b"X-Header: " + b"x" * 5000 + b"\r\n")


def continue_forever(link: socket.socket) -> None:
    for _ in range(100_000):
        link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def chunk_without_end(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        link.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (drip, Seen.SILENT),
        (drip_headers, Seen.SILENT),
        (flood_headers, Seen.TOO_LARGE),
        (continue_forever, Seen.TOO_LARGE),
        (chunk_without_end, Seen.TOO_LARGE),
        (lambda link: link.sendall(b"SSH-2.0-OpenSSH_9\r\n"), Seen.BROKEN),
        (lambda link: link.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Seen.BROKEN),
        (lambda link: link.sendall(b"HTTP/1.1 999999 OK\r\n\r\n"), Seen.BROKEN),
        (lambda link: None, Seen.BROKEN),
    ],
)
def test_strange_web_servers_hold_nobody_up(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, serve: Callable[[socket.socket], None], expected: Seen
) -> None:
    if expected == Seen.SILENT:
        # They drip for 20 seconds, and would be found broken, or something else, by whoever waited for their end.
        monkeypatch.setattr(verification, "ONE_LOOK", 0.5)
    outside.records[NAME, "A"] = [LOOPBACK]
    with raw_server(serve) as port, override_settings(VERIFICATION_PORT=port):
        assert fetched().seen == expected


# --- Only the public Internet ------------------------------------------------------------------

PRIVATE = [
    *("127.0.0.1", "127.255.0.1", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "fe80::1", "fec0::1", "fc00::1", "fd00::1", "ff02::1", "ff0e::1"),
    *("2001::1", "2001:db8::1", "3fff::1", "4000::1", "64:ff9b:1::808:808"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "193.0.6.139", "172.32.0.1", "100.128.0.1", "223.255.255.1"),
    *("2001:4860:4860::8888", "2a00:1450::1", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_not_asked(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, address: str, settings: object
) -> None:
    monkeypatch.setattr(socket, "create_connection", _never)
    outside.records[NAME, "AAAA" if ":" in address else "A"] = [address]
    with override_settings(VERIFICATION_ALLOWS_PRIVATE=False):
        finding = fetched()
    assert finding.seen == Seen.FORBIDDEN and finding.detail.startswith(NAME)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("a connection was made")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_asked(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The addresses that a connection is made to; none of them takes it."""
    asked = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    return asked


def test_private_address_beside_a_public_one_is_left_out(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = connected(monkeypatch)
    outside.records[NAME, "A"] = ["10.0.0.1", "8.8.8.8"]
    outside.records[NAME, "AAAA"] = ["::1", "2001:4860:4860::8888"]
    with override_settings(VERIFICATION_ALLOWS_PRIVATE=False, VERIFICATION_PORT=80):
        assert fetched().seen == Seen.UNREACHABLE
    assert asked == [("8.8.8.8", 80), ("2001:4860:4860::8888", 80)]


def test_address_that_changes_after_the_check_is_not_asked(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = connected(monkeypatch)
    outside.records[NAME, "A"] = ["8.8.8.8"]
    plain = fetching._addresses

    def rebind(host: str, until: float) -> list:
        found = plain(host, until)
        outside.records[NAME, "A"] = [LOOPBACK]
        return found

    monkeypatch.setattr(fetching, "_addresses", rebind)
    with override_settings(VERIFICATION_ALLOWS_PRIVATE=False, VERIFICATION_PORT=80):
        fetched()
    assert asked == [("8.8.8.8", 80)]
    assert outside.queries.count((NAME, "A")) == 1


def test_redirect_to_a_private_address_is_not_followed(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    outside.put_file(NAME, FILE.place, "", status=302, location="http://inside.example.com/")
    outside.put_file("inside.example.com", "/", "the-proof")
    outside.records["inside.example.com", "A"] = ["127.0.0.2"]
    monkeypatch.setattr(fetching, "is_public", lambda address: str(address) == LOOPBACK)
    with override_settings(VERIFICATION_ALLOWS_PRIVATE=False):
        finding = fetched()
    assert (finding.seen, finding.detail) == (Seen.FORBIDDEN, "inside.example.com (127.0.0.2)")
    assert outside.requests == [(NAME, FILE.place)]


def test_port_is_80_unless_a_test_says_otherwise() -> None:
    from console import settings as real

    assert real.VERIFICATION_PORT == 80 and real.VERIFICATION_ALLOWS_PRIVATE is False
