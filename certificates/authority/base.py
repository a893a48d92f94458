"""What the console asks of a certificate authority. One file each implements it.

Every call is made outside any transaction, may be made again after a kill, and is harmless then: the authority, or
what is kept in `Enrolled.data`, knows the order by its reference. Every call may raise AuthorityUnavailable, which is
tried again later; nothing else is expected to be raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


class AuthorityUnavailable(Exception):
    """No usable answer: slow, unreachable, or not set up. The message is for staff and holds no secret."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What must be published to prove one name.

    By DNS, `place` is the name of a TXT record (no dot at its end) and `value` its text. By file, `place` is the path
    on port 80 of the name's web server, from its slash on, and `value` the whole file. A wildcard's `name` begins with
    `*.`; its record stands at the domain beneath it.
    """

    name: str
    place: str
    value: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One order as the authority knows it. `names` are lower-case ASCII, `csr` is PEM."""

    reference: str
    names: tuple[str, ...]
    verification: str  # certificates.states.Verification
    csr: str
    # What the certificate says of its holder beside the names; empty for DV.
    organisation: str = ""
    country: str = ""
    locality: str = ""
    # The end of what was paid for; an authority that can issues until then, where that is later than its usual term.
    until: datetime | None = None
    # The authority's own words about it, as it gave them last.
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandedIn:
    """The order is known. Without challenges everything is proven there already."""

    challenges: tuple[Challenge, ...]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not decided yet; `accepted` once the authority has approved the application and only the issue is to come."""

    data: dict[str, Any]
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """`pem` is the certificate followed by its chain, without the root."""

    pem: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The authority will not issue; the cause is fit for the customer."""

    cause: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing will ever be issued for this order."""


class Authority(Protocol):
    def hand_in(self, order: Enrolled, *, at: datetime) -> HandedIn | Refused:
        """Make the order known and learn what must be published."""

    def make_ready(self, order: Enrolled, *, at: datetime) -> Waiting | Refused:
        """Say that everything is published: the authority may look, and issue."""

    def poll(self, order: Enrolled, *, at: datetime) -> Waiting | Issued | Refused:
        """Ask how far it is, and let it issue once it can. The same order is never issued twice."""

    def close(self, order: Enrolled, *, at: datetime) -> Closed | Issued | Waiting:
        """Withdraw the order. `Issued` when it was too late, `Waiting` while the authority is still issuing."""

    def revoke(self, order: Enrolled, pem: str, reason: str, *, at: datetime) -> datetime | None:
        """Revoke what it issued, for a RevocationReason; the moment it was done, None while it is under way.

        What is revoked already stays so, with its first moment.
        """

    def poll_revocation(self, order: Enrolled, pem: str, *, at: datetime) -> datetime | None:
        """The moment at which the authority revoked it, None while it is good. Raises AuthorityUnavailable too where
        the authority publishes nothing about it."""


def proofs_of(challenges: Sequence[dict[str, str]]) -> list[Challenge]:
    """The challenges as an Enrollment keeps them."""
    return [Challenge(**each) for each in challenges]
