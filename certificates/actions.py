"""What a certificate's owner may do with it, by its state. Pure; refunds are offered by the floor above."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from certificates.models import Certificate, Enrollment
from certificates.states import (
    NEAR_EXPIRATION,
    AuthorityName,
    CertificateState,
    EnrollmentState,
    ShownState,
    Source,
    shown_state,
)


class Action(StrEnum):
    APPLY = "apply"
    VERIFY = "verify"
    CANCEL_APPLICATION = "cancel_application"
    DOWNLOAD = "download"
    REVOKE = "revoke"
    REVOCATION = "revocation"  # where a revocation stands, and Withdraw Request while it may be withdrawn
    RENEW = "renew"
    DELETE = "delete"


_S, _A = ShownState, Action

BY_STATE: dict[str, tuple[Action, ...]] = {
    _S.PENDING_APPLICATION: (_A.APPLY,),
    _S.PENDING_VERIFICATION: (_A.VERIFY, _A.CANCEL_APPLICATION),
    _S.VALIDATING_APPLICATION: (_A.CANCEL_APPLICATION,),
    _S.VALIDATION_FAILED: (_A.APPLY,),
    _S.ISSUED: (_A.DOWNLOAD, _A.REVOKE),
    _S.PENDING_EXPIRATION: (_A.RENEW, _A.DOWNLOAD, _A.REVOKE),
    _S.REVOKING: (_A.REVOCATION,),
    _S.EXPIRED: (_A.DOWNLOAD, _A.DELETE),
    _S.REVOKED: (_A.DELETE,),
    _S.REFUNDED: (),
}

# Verify is offered in these only while an order is open whose names are still to be proven.
AWAIT_PROOF = frozenset({_S.VALIDATING_APPLICATION, _S.ISSUED, _S.PENDING_EXPIRATION, _S.EXPIRED})


def may_await_proof(certificate: Certificate) -> bool:
    """Whether an order may be open whose names are still to be proven, without that showing in the state."""
    if certificate.state == CertificateState.ISSUED:
        return is_reissued(certificate)
    return certificate.state == CertificateState.VALIDATING_APPLICATION and certificate.proven_at is None


def await_proof(certificates: Iterable[Certificate]) -> set[int]:
    """Those of these certificates with such an order: an OV or EV one, or one that is being issued anew."""
    asked = [certificate.pk for certificate in certificates if may_await_proof(certificate)]
    if not asked:
        return set()
    unproven = Enrollment.objects.filter(certificate__in=asked, state=EnrollmentState.PENDING, proven_at=None)
    return set(unproven.values_list("certificate_id", flat=True))


def renewed_among(certificates: Iterable[Certificate], at: datetime) -> set[int]:
    """Those of these certificates that are near their end and have a renewal that still holds."""
    near = [each.pk for each in certificates if _is_near_its_end(each, at)]
    if not near:
        return set()
    renewals = Certificate.objects.filter(renewal_of__in=near).exclude(state=CertificateState.REFUNDED)
    return set(renewals.values_list("renewal_of", flat=True))


def _is_near_its_end(certificate: Certificate, at: datetime) -> bool:
    return shown_state(certificate.state, certificate.expires_at, at) == ShownState.PENDING_EXPIRATION


def actions_of(
    certificate: Certificate, at: datetime, *, awaits_proof: bool = False, is_renewed: bool = False
) -> tuple[Action, ...]:
    """What may be done at `at`, the most wanted first; nothing while a refund or a closing is under way.

    `awaits_proof` and `is_renewed` are what `await_proof` and `renewed_among` say of it.
    """
    if certificate.hold or certificate.closing_since or certificate.deleted_at:
        return ()
    if certificate.source == Source.UPLOADED:
        return (Action.DELETE,)
    shown = shown_state(certificate.state, certificate.expires_at, at)
    proof = (Action.VERIFY,) if awaits_proof and shown in AWAIT_PROOF else ()
    renewed = (Action.RENEW,) if is_renewed else ()
    return proof + tuple(
        action for action in BY_STATE[shown] if action not in renewed and _fits(action, certificate, at)
    )


def _fits(action: Action, certificate: Certificate, at: datetime) -> bool:
    if action == Action.DOWNLOAD:
        return certificate.issued_at is not None
    return action != Action.RENEW or can_renew(certificate, at)


def is_reissued(certificate: Certificate) -> bool:
    """Whether its authority issues it anew until the year bought is over. It comes with its product."""
    is_acme = certificate.product is not None and certificate.product.authority == AuthorityName.ACME
    return is_acme and ends_early(certificate)


def ends_early(certificate: Certificate) -> bool:
    """Whether it ends before the year bought does."""
    return certificate.not_after is not None and certificate.not_after < certificate.service_ends_at


def can_renew(certificate: Certificate, at: datetime) -> bool:
    """Whether the year bought ends with the certificate: a shorter one is re-issued until then."""
    return not is_reissued(certificate) or certificate.service_ends_at <= at + NEAR_EXPIRATION
