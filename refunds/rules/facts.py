"""What the policy needs to know of a certificate, and what of it may not change until a request is decided."""

from datetime import datetime

from certificates.models import Certificate
from core.clock import as_utc
from refunds.rules.assess import EVENTS, Facts

# A request is approved on the facts of its submission; these must still be so (domain.md, The refund policy).
DECISIVE = ("source", "free", "paid", "currency", "issued_at", "revocation_requested_at", "revoked_at")


def facts_of(certificate: Certificate) -> Facts:
    """The certificate's facts as they're stored: moments in UTC, amounts in minor units of its currency.

    Requires `select_related("order", "product")`; an uploaded certificate has neither.
    """
    return Facts(
        source=certificate.source,
        free=bool(certificate.product and certificate.product.free),
        paid=certificate.paid_part,
        voucher=certificate.voucher_part,
        currency=certificate.currency,
        purchased_at=certificate.purchased_at,
        expires_at=certificate.not_after or certificate.service_ends_at,
        submitted_at=certificate.submitted_at,
        validated_at=certificate.validated_at,
        issued_at=certificate.issued_at,
        revocation_requested_at=certificate.revocation_requested_at,
        revoked_at=certificate.revoked_at,
        **({"policy": certificate.order.policy} if certificate.order else {}),
    )


def moment_of(facts: Facts, at: datetime) -> datetime:
    """The moment, in UTC, to judge these facts at: `at`, or that of the newest event where it is later.

    A caller who read the clock before waiting for a lock, or whose clock is slow, must not be told that an event stored
    in the meantime hasn't happened yet. Raises ValueError where `at` has no offset.
    """
    events = (getattr(facts, name) for name in ("purchased_at", *EVENTS))
    return max(as_utc(at), *filter(None, events))


def differences(before: Facts, now: Facts) -> list[str]:
    """The names of all facts that differ, in their order."""
    return [name for name in Facts.__dataclass_fields__ if getattr(before, name) != getattr(now, name)]


def decisive_differences(before: Facts, now: Facts) -> list[str]:
    return [name for name in differences(before, now) if name in DECISIVE]


def was_issued_meanwhile(before: Facts, now: Facts, at: datetime) -> bool:
    return before.issued_at is None and now.issued_at is not None and now.issued_at <= at
