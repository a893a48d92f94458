"""Orders as they come from outside, before anything of them is stored. Amounts are minor units, moments aware."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from certificates.states import CertificateState, DomainType, Level
from certificates.x509 import Handover

MOST_CERTIFICATES = 10  # of one order


@dataclass(frozen=True, slots=True)
class PaymentLine:
    """One payment of an order: above 0, with the channel's own reference (empty where the channel gives none)."""

    channel: str
    amount: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """One bought certificate. An event's time is None until it has happened; domains are lower-case ASCII, in order."""

    brand: str
    level: Level
    domain_type: DomainType
    domains: tuple[str, ...]
    service_ends_at: datetime
    free: bool = False
    # Its own list price; without one in every line, the certificates that are not free share the order's evenly.
    price: int | None = None
    submitted_at: datetime | None = None
    validated_at: datetime | None = None
    issued_at: datetime | None = None
    revocation_requested_at: datetime | None = None
    revoked_at: datetime | None = None
    handover: Handover | None = None
    instance_id: str | None = None
    # Follows from the events unless given: a failed validation leaves none behind.
    state: CertificateState | None = None
    failure_cause: str = ""
    # As it was read from a file, kept so that the same row is known again.
    row: dict[str, Any] | None = None
    # Of what is bought in the console: how many names, which certificate it renews, and its place in the list.
    names_bought: int | None = None
    renewal_of: int | None = None
    listed_at: datetime | None = None

    @property
    def first_state(self) -> CertificateState:
        """The state it is stored in."""
        return self.state or self._state_by_events()

    def _state_by_events(self) -> CertificateState:
        if self.revoked_at:
            return CertificateState.REVOKED
        if self.revocation_requested_at:
            return CertificateState.REVOKING
        if self.issued_at:
            return CertificateState.ISSUED
        if self.validated_at or (self.submitted_at and self.level != Level.DV):
            return CertificateState.VALIDATING_APPLICATION
        if self.submitted_at:
            return CertificateState.PENDING_VERIFICATION
        return CertificateState.PENDING_APPLICATION


@dataclass(frozen=True, slots=True)
class OrderToStore:
    """One purchase. `paid_amount` is the sum of its payments, and paid and voucher are at most the list price."""

    number: str
    account: str
    paid_at: datetime
    currency: str
    list_amount: int
    paid_amount: int
    payments: tuple[PaymentLine, ...]
    certificates: tuple[CertificateLine, ...]
    voucher_amount: int = 0
    email: str = ""
    # The refund policy that it was made under; today's, unless the order says otherwise.
    policy: str = field(default_factory=lambda: str(settings.REFUND_POLICY))
    # Of the form it was bought with.
    form_key: UUID | None = None
