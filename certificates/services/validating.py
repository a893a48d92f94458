"""What staff decide about applications for OV and EV certificates."""

from datetime import datetime
from typing import Any

from django.db import transaction

from certificates.exceptions import NotAllowed, NotProven, WrongState
from certificates.models import Certificate, Enrollment
from certificates.services import enrolling
from certificates.services.locking import lock
from certificates.states import CertificateState
from core import audit
from core.models import User
from core.stale import require_current

LONGEST_CAUSE = 500


@transaction.atomic
def approve_application(
    certificate_id: int, *, by: User, at: datetime, note: str = "", seen: str | None = None
) -> Certificate:
    """Approve an application that staff check; the authority issues next. `seen` is the page's `application_token`.

    Raises NotAllowed, StalePage, WrongState and NotProven.
    """
    certificate, enrollment = _lock_undecided(certificate_id, by, seen)
    if enrollment.proven_at is None:
        raise NotProven(str(certificate))
    certificate.validated_at = at
    certificate.save()
    audit.record(certificate, "application_approved", by=by, at=at, note=note, detail=_facts(certificate, enrollment))
    enrolling.go_on(certificate)
    return certificate


@transaction.atomic
def refuse_application(
    certificate_id: int, *, cause: str, by: User, at: datetime, seen: str | None = None
) -> Certificate:
    """Refuse it with a cause that the customer reads, who may correct it and hand it in again.

    Raises NotAllowed, StalePage, WrongState, and ValueError for a cause of no or more than LONGEST_CAUSE characters.
    """
    cause = cause.strip()
    if not 1 <= len(cause) <= LONGEST_CAUSE:
        raise ValueError("a cause is needed")
    certificate, enrollment = _lock_undecided(certificate_id, by, seen)
    detail = _facts(certificate, enrollment)
    enrolling.refuse_running(certificate, cause, at=at)
    certificate.save()
    audit.record(certificate, "application_refused", by=by, at=at, note=cause, detail=detail)
    return certificate


def may_validate(certificate: Certificate, by: User) -> bool:
    """With the permission, and not for one's own account."""
    return by.is_active and by.has_perm("certificates.validate_application") and by.pk != certificate.account_id


def undecided(certificate: Certificate) -> Enrollment | None:
    """The order behind an application that staff are to decide now; None where there is nothing to decide."""
    if certificate.state != CertificateState.VALIDATING_APPLICATION or certificate.hold or certificate.closing_since:
        return None
    if certificate.product is None or not certificate.product.is_checked_by_staff or certificate.validated_at:
        return None
    return enrolling.running_enrollment(certificate)


def application_token(certificate: Certificate) -> str:
    """Which application a page shows: a corrected one is another order."""
    enrollment = undecided(certificate)
    return enrollment.reference if enrollment else ""


def _lock_undecided(certificate_id: int, by: User, seen: str | None) -> tuple[Certificate, Enrollment]:
    certificate = lock(certificate_id)
    if not may_validate(certificate, by):
        raise NotAllowed(str(certificate))
    require_current(seen, application_token(certificate))
    enrollment = undecided(certificate)
    if enrollment is None:
        raise WrongState(certificate)
    return certificate, enrollment


def _facts(certificate: Certificate, enrollment: Enrollment) -> dict[str, Any]:
    return {
        "reference": enrollment.reference,
        "names": enrollment.names,
        "submitted_at": certificate.submitted_at.isoformat() if certificate.submitted_at else None,
        "proven_at": enrollment.proven_at.isoformat() if enrollment.proven_at else None,
    }
