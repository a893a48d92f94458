"""The states of certificates, orders at an authority and revocations, the moves between them, and the names of kinds.

What a page shows may differ from what's stored: `shown_state` adds what dates alone bring about.
"""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CertificateState(models.TextChoices):
    """What is stored, moved by transitions."""

    PENDING_APPLICATION = "pending_application", _("Pending Application")
    PENDING_VERIFICATION = "pending_verification", _("Pending Verification")
    VALIDATING_APPLICATION = "validating_application", _("Validating Application")
    VALIDATION_FAILED = "validation_failed", _("Validation Failed")
    ISSUED = "issued", _("Issued")
    REVOKING = "revoking", _("Revoking")
    REVOKED = "revoked", _("Revoked")
    REFUNDED = "refunded", _("Refunded")


class ShownState(models.TextChoices):
    """What a person reads: the stored states, and two that follow from dates and are never stored."""

    PENDING_APPLICATION = "pending_application", _("Pending Application")
    PENDING_VERIFICATION = "pending_verification", _("Pending Verification")
    VALIDATING_APPLICATION = "validating_application", _("Validating Application")
    VALIDATION_FAILED = "validation_failed", _("Validation Failed")
    ISSUED = "issued", _("Issued")
    PENDING_EXPIRATION = "pending_expiration", _("Pending Expiration")
    EXPIRED = "expired", _("Expired")
    REVOKING = "revoking", _("Revoking")
    REVOKED = "revoked", _("Revoked")
    REFUNDED = "refunded", _("Refunded")


_S = CertificateState

CERTIFICATE_EDGES: dict[str, set[str]] = {
    _S.PENDING_APPLICATION: {_S.PENDING_VERIFICATION, _S.VALIDATING_APPLICATION, _S.REFUNDED},
    _S.PENDING_VERIFICATION: {_S.VALIDATING_APPLICATION, _S.VALIDATION_FAILED, _S.PENDING_APPLICATION},
    _S.VALIDATING_APPLICATION: {_S.VALIDATION_FAILED, _S.PENDING_APPLICATION, _S.ISSUED},
    _S.VALIDATION_FAILED: {_S.PENDING_VERIFICATION, _S.VALIDATING_APPLICATION, _S.REFUNDED},
    _S.ISSUED: {_S.REVOKING, _S.REVOKED},
    _S.REVOKING: {_S.ISSUED, _S.REVOKED},
    _S.REVOKED: {_S.REFUNDED},
    # Its refund came back and cannot be made good: it is what it was before.
    _S.REFUNDED: {_S.PENDING_APPLICATION, _S.VALIDATION_FAILED, _S.REVOKED},
}
# Bought elsewhere or imported, a certificate may come in any state but Refunded, which only a payout gives.
FIRST_STATES = set[str](_S.values) - {_S.REFUNDED}

APPLICATION_RUNNING = frozenset({_S.PENDING_VERIFICATION, _S.VALIDATING_APPLICATION})
# An application in these is at an authority even where the console has made no order of its own there.
AT_AUTHORITY = frozenset({_S.VALIDATING_APPLICATION})
# Nothing is in use: its money may come back.
CAN_END = frozenset(state for state, targets in CERTIFICATE_EDGES.items() if _S.REFUNDED in targets)
UNCHANGED_BY_DATES = frozenset({_S.REFUNDED, _S.REVOKED, _S.REVOKING})

NEAR_EXPIRATION = timedelta(days=30)


def shown_state(state: str, expires_at: datetime, at: datetime) -> ShownState:
    """The state a person reads at `at`: Refunded, Revoked, Revoking, Expired, Pending Expiration, else as stored."""
    if state in UNCHANGED_BY_DATES:
        return ShownState(state)
    if expires_at <= at:
        return ShownState.EXPIRED
    if state == _S.ISSUED and expires_at <= at + NEAR_EXPIRATION:
        return ShownState.PENDING_EXPIRATION
    return ShownState(state)


def shown_as(shown: str, at: datetime) -> Q:
    """The condition under which `shown_state` gives `shown` at `at`, for the database."""
    if shown in UNCHANGED_BY_DATES:
        return Q(state=shown)
    if shown == ShownState.EXPIRED:
        return Q(state__in=sorted(set(_S) - UNCHANGED_BY_DATES), expires_at__lte=at)
    if shown == ShownState.PENDING_EXPIRATION:
        return Q(state=_S.ISSUED, expires_at__gt=at, expires_at__lte=at + NEAR_EXPIRATION)
    if shown == ShownState.ISSUED:
        return Q(state=_S.ISSUED, expires_at__gt=at + NEAR_EXPIRATION)
    return Q(state=shown, expires_at__gt=at)


class Level(models.TextChoices):
    DV = "DV", _("DV")
    OV = "OV", _("OV")
    EV = "EV", _("EV")


class DomainType(models.TextChoices):
    SINGLE = "single", _("Single Domain")
    WILDCARD = "wildcard", _("Wildcard Domain")
    MULTI = "multi", _("Multi-Domain")


class Source(models.TextChoices):
    PURCHASED = "purchased", _("Purchased")
    UPLOADED = "uploaded", _("Uploaded")


# --- Applications, enrollments, revocations -----------------------------------------------------


class AuthorityName(models.TextChoices):
    """Who issues a product's certificates."""

    EMBEDDED = "embedded", _("The console's own")
    ACME = "acme", _("ACME")


class Verification(models.TextChoices):
    """How control of a domain is shown."""

    DNS = "dns", _("DNS record")
    FILE = "file", _("File on the web server")


class KeyType(models.TextChoices):
    """Where the certificate's key comes from."""

    RSA_2048 = "rsa2048", _("RSA 2048, made here")
    EC_P256 = "ec256", _("EC P-256, made here")
    PASTED = "pasted", _("My own CSR")


class EnrollmentState(models.TextChoices):
    ORDERED = "ordered", _("To be handed in")
    PENDING = "pending", _("Handed in")
    READY = "ready", _("With the authority")
    ISSUED = "issued", _("Issued")
    CLOSED = "closed", _("Closed")
    REFUSED = "refused", _("Refused")
    REVOKED = "revoked", _("Revoked")


_E = EnrollmentState
ENROLLMENT_EDGES: dict[str, set[str]] = {
    _E.ORDERED: {_E.PENDING, _E.CLOSED, _E.REFUSED},
    _E.PENDING: {_E.READY, _E.CLOSED, _E.REFUSED},
    _E.READY: {_E.ISSUED, _E.CLOSED, _E.REFUSED},
    _E.ISSUED: {_E.REVOKED},
    _E.CLOSED: set(),
    _E.REFUSED: set(),
    _E.REVOKED: set(),
}
RUNNING = frozenset({_E.ORDERED, _E.PENDING, _E.READY})


class RevocationState(models.TextChoices):
    REQUESTED = "requested", _("Waiting for the contact to confirm")
    CONFIRMED = "confirmed", _("With the authority")
    COMPLETED = "completed", _("Revoked")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    LAPSED = "lapsed", _("Not confirmed in time")


_V = RevocationState
REVOCATION_EDGES: dict[str, set[str]] = {
    _V.REQUESTED: {_V.CONFIRMED, _V.WITHDRAWN, _V.LAPSED, _V.COMPLETED},
    _V.CONFIRMED: {_V.COMPLETED, _V.LAPSED},
    _V.COMPLETED: set(),
    _V.WITHDRAWN: set(),
    _V.LAPSED: set(),
}


class RevocationReason(models.TextChoices):
    """The reasons of RFC 5280, 5.3.1, that a holder may give, under the names of `x509.ReasonFlags`."""

    UNSPECIFIED = "unspecified", _("No reason given")
    KEY_COMPROMISE = "keyCompromise", _("The private key is lost or known to others")
    SUPERSEDED = "superseded", _("Another certificate has taken its place")
    CESSATION = "cessationOfOperation", _("The site is no longer operated")
    AFFILIATION = "affiliationChanged", _("Names or facts in it are no longer true")
