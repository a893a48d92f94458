"""Whether the names of an application are proven: looked for by the worker for days, and at once when asked.

The looks of one enrollment are a chain of jobs, each of which orders the next in the transaction that ends it: there
is exactly one next look, whatever is killed when. Looking is done outside any transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from certificates import hooks
from certificates.authority.base import proofs_of
from certificates.exceptions import WrongState
from certificates.models import Certificate, Enrollment
from certificates.names import shown
from certificates.services.enrolling import is_wanted, prove, refuse_running, running_enrollment
from certificates.services.locking import lock, lock_for_owner
from certificates.states import EnrollmentState
from certificates.verification import Finding, look
from core import audit, jobs
from core.models import Job, User

PROVEN_WITHIN = timedelta(days=7)
# Between two looks; the last one again and again.
DELAYS = [timedelta(seconds=seconds) for seconds in (10, 30, 60, 120, 300, 600)]
# For a re-issue that is not proven in time: the certificate is valid still, and nothing fails.
LATE_DELAY = timedelta(days=1)
NAMED_IN_CAUSE = 3


@dataclass(frozen=True, slots=True)
class Looked:
    """What *Verify now* has found, challenge by challenge; `is_proven` once all are."""

    findings: tuple[Finding, ...]

    @property
    def is_proven(self) -> bool:
        return all(finding.is_found for finding in self.findings)


# --- Asked by the customer ---------------------------------------------------------------------


def verify_now(certificate_id: int, *, by: User, at: datetime) -> Looked:
    """Look at once, which takes some 12 seconds at most, and store it where everything is proven.

    Must not be called inside a transaction. Raises NotYourCertificate, CertificateHeld, and WrongState where no proof
    is awaited.
    """
    enrollment = _awaiting_owner(certificate_id, by=by)
    looked = Looked(tuple(look(proofs_of(enrollment.challenges), enrollment.verification)))
    if looked.is_proven:
        _prove_for_owner(certificate_id, enrollment.pk, by=by, at=at)
    return looked


def awaits_proof(enrollment: Enrollment | None, certificate: Certificate) -> bool:
    """Whether the names of an enrollment are still to be proven, and its certificate is still wanted."""
    return enrollment is not None and is_unproven(enrollment) and _is_wanted(enrollment, certificate)


def is_unproven(enrollment: Enrollment) -> bool:
    return enrollment.state == EnrollmentState.PENDING and enrollment.proven_at is None


def proven_by(enrollment: Enrollment) -> datetime:
    """Until when its names must be proven."""
    return enrollment.ordered_at + PROVEN_WITHIN


def look_times(enrollment: Enrollment) -> tuple[datetime | None, datetime | None]:
    """When the worker looked last, and when it looks next, by the database's clock; None where it did or does not."""
    past, coming = (_look_job(enrollment, number) for number in (enrollment.looks - 1, enrollment.looks))
    looked_at = past.finished_at if past else None
    return looked_at, coming.run_at if coming and coming.finished_at is None else None


def _look_job(enrollment: Enrollment, number: int) -> Job | None:
    return Job.objects.filter(key=f"look_for_proof:{_key(enrollment, number)}").first()


@transaction.atomic
def _awaiting_owner(certificate_id: int, *, by: User) -> Enrollment:
    certificate = lock_for_owner(certificate_id, by=by)
    enrollment = running_enrollment(certificate)
    if enrollment is None or not awaits_proof(enrollment, certificate):
        raise WrongState(certificate)
    return enrollment


@transaction.atomic
def _prove_for_owner(certificate_id: int, enrollment_id: int, *, by: User, at: datetime) -> None:
    """Unless the worker was quicker. Whatever else was done with it meanwhile counts: then it is refused."""
    certificate = lock_for_owner(certificate_id, by=by)
    enrollment = Enrollment.objects.select_for_update().get(pk=enrollment_id)
    if awaits_proof(enrollment, certificate):
        prove(enrollment, certificate, at=at)
    elif enrollment.proven_at is None:
        raise WrongState(certificate)


def _is_wanted(enrollment: Enrollment, certificate: Certificate) -> bool:
    """Whether its names are to be proven now: a refund that is under way keeps that waiting."""
    return not certificate.hold and is_wanted(enrollment, certificate)


# --- The worker --------------------------------------------------------------------------------


def look_for_proof(payload: dict[str, Any], *, at: datetime) -> Callable[[], None] | None:
    """Job handler: the look of this number; returns what stores it, and orders the next one."""
    enrollment = Enrollment.objects.select_related("certificate").get(pk=payload["enrollment"])
    if enrollment.looks != payload["look"] or not is_unproven(enrollment):
        return None
    findings: Sequence[Finding] = ()
    # Nobody wants it just now: it is being closed, or a revocation may still be withdrawn.
    if _is_wanted(enrollment, enrollment.certificate):
        findings = look(proofs_of(enrollment.challenges), enrollment.verification)
    return partial(_store_look, enrollment.pk, enrollment.looks, findings, at=at)


def _store_look(enrollment_id: int, number: int, findings: Sequence[Finding], *, at: datetime) -> None:
    certificate = lock(Enrollment.objects.values_list("certificate_id", flat=True).get(pk=enrollment_id))
    enrollment = Enrollment.objects.select_for_update().get(pk=enrollment_id)
    if enrollment.looks != number or not is_unproven(enrollment):
        return
    is_judged = bool(findings) and _is_wanted(enrollment, certificate)
    if is_judged and all(finding.is_found for finding in findings):
        prove(enrollment, certificate, at=at)
    elif is_judged and not enrollment.is_reissue and at >= proven_by(enrollment):
        _fail(enrollment, certificate, findings, at=at)
    else:
        _look_again(enrollment, certificate, at=at)


def _look_again(enrollment: Enrollment, certificate: Certificate, *, at: datetime) -> None:
    if enrollment.is_reissue and at >= certificate.service_ends_at:
        return
    delay = _delay(enrollment, at=at)
    enrollment.looks += 1
    enrollment.save()
    jobs.enqueue(
        "look_for_proof",
        key=_key(enrollment, enrollment.looks),
        payload={"enrollment": enrollment.pk, "look": enrollment.looks},
        delay=delay,
    )


def _delay(enrollment: Enrollment, *, at: datetime) -> timedelta:
    """Longer each time, but so that the last look is when the time is over."""
    usual = DELAYS[min(enrollment.looks, len(DELAYS) - 1)]
    left = proven_by(enrollment) - at
    if left <= timedelta(0):
        return LATE_DELAY if enrollment.is_reissue else usual
    return min(usual, left)


def _key(enrollment: Enrollment, number: int) -> str:
    return f"{enrollment.reference}:{number}"


def _fail(enrollment: Enrollment, certificate: Certificate, findings: Sequence[Finding], *, at: datetime) -> None:
    unproven = [finding.challenge.name for finding in findings if not finding.is_found]
    cause = _cause([shown(name) for name in unproven])
    refuse_running(certificate, cause, at=at)
    certificate.save()
    detail = {"reference": enrollment.reference, "names": unproven}
    audit.record(certificate, "domains_not_proven", by=None, at=at, note=cause, detail=detail)
    hooks.certificate_changed(certificate, at=at)


def _cause(names: list[str]) -> str:
    named, more = ", ".join(names[:NAMED_IN_CAUSE]), len(names) - NAMED_IN_CAUSE
    if more <= 0:
        return _("Not proven within 7 days: %(names)s.") % {"names": named}
    sentence = ngettext(
        "Not proven within 7 days: %(names)s and %(more)s more.",
        "Not proven within 7 days: %(names)s and %(more)s more.",
        more,
    )
    return sentence % {"names": named, "more": more}
