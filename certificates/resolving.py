"""Asks DNS: the configured resolvers, or this machine's. Everything outside that a look may see is named here."""

import ipaddress
import time
from typing import Any

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from django.conf import settings
from django.db.models import TextChoices

LARGEST_PORT = 65_535
# What is shown of something else that was found.
LONGEST_SHOWN = 80


class Seen(TextChoices):
    """What a look has found; the words for people stand where they are shown."""

    FOUND = "found"
    NOTHING = "nothing"
    OTHER = "other"
    NO_NAME = "no_name"
    SILENT = "silent"
    BROKEN = "broken"
    NO_ADDRESS = "no_address"
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    STATUS = "status"
    REDIRECT = "redirect"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    LATE = "late"


class Unseen(Exception):
    """Something other than what was looked for."""

    def __init__(self, seen: Seen, detail: str = "") -> None:
        super().__init__(seen, detail)
        self.seen, self.detail = seen, detail


def resolve(name: str, kind: str, until: float) -> list[Any]:
    """The records of a name; none where it has others only."""
    try:
        answer = _resolver().resolve(dns.name.from_text(name), kind, lifetime=left_of(until), search=False)
    except dns.resolver.NoAnswer:
        return []
    except dns.resolver.NXDOMAIN as error:
        raise Unseen(Seen.NO_NAME, name) from error
    except (dns.exception.Timeout, TimeoutError) as error:
        raise Unseen(Seen.SILENT, name) from error
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise Unseen(Seen.BROKEN, name) from error
    return list(answer)


def _resolver() -> dns.resolver.Resolver:
    if not settings.DNS_SERVERS:
        return dns.resolver.Resolver()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [nameserver_of(each) for each in settings.DNS_SERVERS]
    return resolver


def nameserver_of(text: str) -> dns.nameserver.Nameserver:
    """`address`, `address:port` or `[address]:port`. Raises ValueError for anything else."""
    address, _colon, port = text.rpartition(":")
    has_port = bool(address) and (address.endswith("]") or ":" not in address)
    address = str(ipaddress.ip_address((address if has_port else text).strip("[]")))
    number = int(port) if has_port else 53
    if not 0 < number <= LARGEST_PORT:
        raise ValueError(f"there is no port {number}")
    return dns.nameserver.Do53Nameserver(address, number)


def left_of(until: float) -> float:
    """Seconds that are left. Raises TimeoutError when none are."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def plain(text: str) -> str:
    """The beginning of a foreign text, on one line and without what could trick a reader."""
    shown = "".join(character if character.isprintable() else " " for character in text[: 4 * LONGEST_SHOWN])
    words = " ".join(shown.split())
    return words if len(words) <= LONGEST_SHOWN else f"{words[:LONGEST_SHOWN]}…"
