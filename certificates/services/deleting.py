"""Deleting: what its owner does not want to see any more. The row, its trail and its revocations stay."""

from datetime import datetime

from django.db import transaction

from certificates import hooks
from certificates.exceptions import RefundPossible, WrongState
from certificates.models import Certificate
from certificates.services import enrolling
from certificates.services.locking import lock_for_owner
from certificates.states import APPLICATION_RUNNING, ShownState, Source, shown_state
from core import audit
from core.models import User

DELETABLE = frozenset({ShownState.EXPIRED, ShownState.REVOKED})


@transaction.atomic
def delete_certificate(certificate_id: int, *, by: User, at: datetime) -> Certificate:
    """Hide a certificate from its owner for good.

    Raises NotYourCertificate, CertificateHeld, WrongState unless it is expired, revoked or uploaded, and
    RefundPossible.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    check_deletable(certificate, at=at)
    detail = {"state": certificate.state, "expires_at": certificate.expires_at.isoformat()}
    if certificate.state in APPLICATION_RUNNING:
        # Its service period is over: nobody would see what an authority still issued.
        enrolling.ask_to_close(certificate, at=at)
    certificate.deleted_at = at
    certificate.save()
    enrolling.forget_key(certificate)
    enrolling.go_on(certificate)
    audit.record(certificate, "deleted", by=by, at=at, detail=detail)
    return certificate


def check_deletable(certificate: Certificate, *, at: datetime) -> None:
    """Whether its owner may delete it. Raises WrongState, and RefundPossible with the day until when.

    It comes with its order and product.
    """
    shown = shown_state(certificate.state, certificate.expires_at, at)
    if shown not in DELETABLE and certificate.source != Source.UPLOADED:
        raise WrongState(certificate)
    prospects = hooks.refund_prospects(certificate, at=at)
    if prospects.is_open or prospects.possible_until is not None:
        raise RefundPossible(certificate, None if prospects.is_open else prospects.possible_until)
