"""Every change of certificates. Nobody else writes them; the import stores new ones in bulk."""

from datetime import datetime
from typing import Any

from django.db import transaction

from certificates import hooks
from certificates.exceptions import CannotEnd, CertificateHeld, NotAllowed, NothingAwaited
from certificates.models import Certificate
from certificates.states import APPLICATION_RUNNING, AT_AUTHORITY, CAN_END
from certificates.x509 import Handover
from core import audit
from core.models import User


def lock(certificate_id: int) -> Certificate:
    """Lock one certificate until the caller's transaction ends, and read it anew."""
    return (
        Certificate.objects.select_for_update(of=("self",))
        .select_related("order", "product", "account")
        .get(pk=certificate_id)
    )


def hold(certificate: Certificate, reference: str, *, at: datetime) -> None:
    """Hold a locked certificate for `reference` and close its running application.

    Raises CertificateHeld, and CannotEnd for one that could never become Refunded.
    """
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    certificate.hold = reference
    if certificate.state in AT_AUTHORITY:
        # An earlier closing may still be unanswered: it is the same one that is awaited then.
        certificate.closing_since = certificate.closing_since or at
    elif certificate.state in APPLICATION_RUNNING:
        _close_application(certificate)
    elif certificate.state not in CAN_END:
        raise CannotEnd(f"{certificate}: {certificate.state}")
    certificate.save()


def release(certificate: Certificate) -> None:
    """End the hold of a locked certificate. A closing that is under way goes on."""
    certificate.hold = ""
    certificate.save()


def refund(certificate: Certificate) -> None:
    """End a locked certificate whose money is back. Raises TransitionNotAllowed from any other than a final state."""
    certificate.hold = ""
    certificate.refund()
    certificate.save()


@transaction.atomic
def record_closed(certificate_id: int, *, by: User, at: datetime) -> Certificate:
    """Record that the authority has closed the application. Raises NotAllowed and NothingAwaited."""
    certificate = _lock_awaiting(certificate_id, by)
    detail = _facts(certificate)
    _close_application(certificate)
    certificate.save()
    audit.record(certificate, "application_closed", by=by, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    return certificate


@transaction.atomic
def record_issued(certificate_id: int, handover: Handover, *, by: User, at: datetime) -> Certificate:
    """Record that the authority issued after all, with what it handed over. Raises NotAllowed and NothingAwaited."""
    certificate = _lock_awaiting(certificate_id, by)
    detail = {**_facts(certificate), "serial": handover.serial, "fingerprint": handover.fingerprint}
    certificate.issue()
    certificate.closing_since = None
    certificate.validated_at = certificate.validated_at or at
    certificate.issued_at = at
    certificate.not_before, certificate.not_after = handover.not_before, handover.not_after
    certificate.serial, certificate.fingerprint, certificate.pem = handover.serial, handover.fingerprint, handover.pem
    certificate.save()
    audit.record(certificate, "issued", by=by, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    return certificate


def may_record_answer(by: User) -> bool:
    return by.is_active and by.has_perm("certificates.record_authority_answer")


def _lock_awaiting(certificate_id: int, by: User) -> Certificate:
    certificate = lock(certificate_id)
    if not may_record_answer(by) or by.pk == certificate.account_id:
        raise NotAllowed(str(certificate))
    if certificate.closing_since is None:
        raise NothingAwaited(str(certificate))
    return certificate


def _facts(certificate: Certificate) -> dict[str, Any]:
    """What an audit entry keeps of the application that an authority has answered about."""
    moments = {name: getattr(certificate, name) for name in ("submitted_at", "validated_at", "closing_since")}
    kept = {name: moment.isoformat() if moment else None for name, moment in moments.items()}
    return {"state": certificate.state, "held_for": certificate.hold, **kept}


def _close_application(certificate: Certificate) -> None:
    """As Cancel Application does it: the submission's times are cleared, what was typed stays as a draft."""
    certificate.cancel_application()
    certificate.submitted_at = certificate.validated_at = certificate.closing_since = None
