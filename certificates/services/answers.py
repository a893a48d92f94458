"""What staff record of an authority that the console does not speak with itself."""

from datetime import datetime
from typing import Any

from django.db import transaction

from certificates import hooks
from certificates.exceptions import NotAllowed, NothingAwaited
from certificates.models import Certificate, Revocation
from certificates.services.authority_answers import end_as_revoked, hand_over
from certificates.services.enrolling import close_application, running_enrollment, to_end
from certificates.services.locking import lock
from certificates.states import CertificateState, RevocationState
from certificates.x509 import Handover
from core import audit
from core.models import User
from core.stale import require_current


@transaction.atomic
def record_closed(certificate_id: int, *, by: User, at: datetime, seen: str | None = None) -> Certificate:
    """Record that the authority has closed the application. `seen` is the page's `closing_token`.

    Raises NotAllowed, StalePage and NothingAwaited.
    """
    certificate = _lock_awaiting(certificate_id, by, seen)
    detail = _facts(certificate)
    close_application(certificate)
    certificate.save()
    audit.record(certificate, "application_closed", by=by, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    return certificate


@transaction.atomic
def record_issued(
    certificate_id: int, handover: Handover, *, by: User, at: datetime, seen: str | None = None
) -> Certificate:
    """Record that the authority issued after all, with what it handed over. `seen` and errors as `record_closed`."""
    certificate = _lock_awaiting(certificate_id, by, seen)
    detail = {**_facts(certificate), "serial": handover.serial, "fingerprint": handover.fingerprint}
    hand_over(certificate, handover, at=at)
    certificate.save()
    audit.record(certificate, "issued", by=by, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    return certificate


@transaction.atomic
def record_revoked(certificate_id: int, *, by: User, at: datetime, seen: str | None = None) -> Certificate:
    """Record that the authority has revoked what was asked of it. `seen` is the page's `revocation_token`.

    Raises NotAllowed, StalePage and NothingAwaited.
    """
    certificate = lock(certificate_id)
    if not may_record_answer(by) or by.pk == certificate.account_id:
        raise NotAllowed(str(certificate))
    require_current(seen, revocation_token(certificate))
    if not awaits_revocation(certificate, at=at):
        raise NothingAwaited(str(certificate))
    end_as_revoked(certificate, revoked_at=at, by=by, at=at)
    return certificate


def awaits_revocation(certificate: Certificate, *, at: datetime) -> bool:
    """Whether staff record that it is revoked: issued by an authority that the console does not ask, and not waiting
    for its contact. One that came by import has asked nobody here.
    """
    if certificate.state != CertificateState.REVOKING or to_end(certificate, at=at):
        return False
    return not Revocation.objects.filter(certificate=certificate, state=RevocationState.REQUESTED).exists()


def may_record_answer(by: User) -> bool:
    return by.is_active and by.has_perm("certificates.record_authority_answer")


def awaits_record(certificate: Certificate) -> bool:
    """Whether staff record what its authority answers: a closing is awaited, and the console asks nobody itself."""
    return certificate.closing_since is not None and running_enrollment(certificate) is None


def closing_token(certificate: Certificate) -> str:
    """Which closing a page shows."""
    return _token(certificate.closing_since)


def revocation_token(certificate: Certificate) -> str:
    """Which confirmed revocation a page shows."""
    return _token(certificate.revocation_confirmed_at)


def _token(since: datetime | None) -> str:
    return since.isoformat() if since else ""


def _lock_awaiting(certificate_id: int, by: User, seen: str | None) -> Certificate:
    certificate = lock(certificate_id)
    if not may_record_answer(by) or by.pk == certificate.account_id:
        raise NotAllowed(str(certificate))
    require_current(seen, closing_token(certificate))
    if not awaits_record(certificate):
        raise NothingAwaited(str(certificate))
    return certificate


def _facts(certificate: Certificate) -> dict[str, Any]:
    """What an audit entry keeps of the application that an authority has answered about."""
    moments = {name: getattr(certificate, name) for name in ("submitted_at", "validated_at", "closing_since")}
    kept = {name: moment.isoformat() if moment else None for name, moment in moments.items()}
    return {"state": certificate.state, "held_for": certificate.hold, **kept}
