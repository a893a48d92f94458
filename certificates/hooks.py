"""What `certificates` tells whoever holds a certificate, and asks of them; the settings name the functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from core.hooks import Hook

# Called with (certificate, at=…), the certificate locked, after an authority's answer was stored.
certificate_changed = Hook("CERTIFICATE_CHANGED")
# Called without anything: the names of the refund policies there are.
order_policies = Hook("ORDER_POLICIES")
# Called with (certificate, at=…), which comes with its order and product: gives Prospects.
refund_prospects = Hook("REFUND_PROSPECTS")
# Called with (certificate): the business days that a certificate authority may take to revoke it.
revocation_allowance = Hook("REVOCATION_ALLOWANCE")


class Dated(Protocol):
    """A day of the service or an aware moment, and what it means."""

    @property
    def label(self) -> str: ...

    @property
    def when(self) -> date | datetime: ...

    @property
    def note(self) -> str: ...


@dataclass(frozen=True)
class Prospects:
    """What may become of a certificate's money. Days are the service's."""

    # A request is under way.
    is_open: bool
    # The last day on which a refund of it can still be requested as things stand, revoked in time or not; else None.
    possible_until: date | None
    # For whoever thinks of revoking: what it means, in sentences for the customer, the most important one first.
    sentences: tuple[str, ...]
    # Whether the money comes back only once it is revoked in time.
    needs_revocation: bool = False
    # The days that matter, each with its meaning in words and, where the day is provisional, a note.
    dates: tuple[Dated, ...] = ()
    # Minor units that come back once it is revoked in time; None where nothing does.
    amount: int | None = None
    currency: str = ""
    # What an email carries to explain the rules: the facts and the moment, as JSON.
    explained: Mapping[str, Any] = field(default_factory=dict)
    # The safe day is past, so the revocation may be completed too late.
    is_late: bool = False
