"""Storing what an authority answered, under the locks of certificate and enrollment."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from certificates import hooks
from certificates.authority.base import Closed, HandedIn, Issued, Refused, Waiting
from certificates.models import Certificate, Enrollment, Revocation
from certificates.services import mails
from certificates.services.enrolling import (
    close_application,
    forget_key,
    prove,
    refuse_running,
    running_enrollment,
    step_due,
    take_next_step,
    to_end,
)
from certificates.services.locking import lock
from certificates.states import APPLICATION_RUNNING, CertificateState, EnrollmentState, RevocationState
from certificates.x509 import read_certificate
from core import audit, jobs
from core.jobs import LONGEST_DELAY
from core.models import User

FIRST_LOOK = timedelta(seconds=5)
RAREST_POLL = timedelta(minutes=10)
LONGEST_TROUBLE = 500

Answer = HandedIn | Waiting | Issued | Refused | Closed | datetime | None


def store_answer(enrollment_id: int, number: int, answer: Answer, *, at: datetime) -> None:
    """Store what the authority answered, unless what was due has changed since: then it is asked again."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    enrollment, certificate = locked
    # What is only waited for is asked about ever more rarely; anything else begins a step of its own.
    enrollment.tries = enrollment.tries + 1 if isinstance(answer, Waiting | None) else 0
    enrollment.trouble = ""
    certificate.authority_silent_since = None
    _STORE[type(answer)](enrollment, certificate, answer, at=at)


def store_trouble(enrollment_id: int, number: int, trouble: str, *, at: datetime) -> None:
    """Nothing moves; it is tried again, later each time and at least once an hour, for as long as it takes."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    enrollment, certificate = locked
    enrollment.tries, enrollment.trouble = enrollment.tries + 1, trouble[:LONGEST_TROUBLE]
    certificate.authority_silent_since = certificate.authority_silent_since or at
    certificate.save()
    take_next_step(enrollment, delay=_back_off(enrollment.tries))


def store_nothing_due(enrollment_id: int, number: int, *, at: datetime) -> None:
    """Everything issued may have expired before the authority revoked it: then there is nothing left to revoke."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    certificate = locked[1]
    is_confirmed = certificate.state == CertificateState.REVOKING and certificate.revocation_confirmed_at
    if is_confirmed and certificate.expires_at <= at and not to_end(certificate, at=at):
        _lapse_revocation(certificate, at=at)


def _back_off(tries: int, *, longest: timedelta = LONGEST_DELAY) -> timedelta:
    delay = min(timedelta(seconds=2 ** min(tries, 20)), longest)
    return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing


def _lock(enrollment_id: int, number: int) -> tuple[Enrollment, Certificate] | None:
    """Certificate and enrollment under their locks; None when another step is due by now."""
    certificate_id = Enrollment.objects.values_list("certificate_id", flat=True).get(pk=enrollment_id)
    certificate = lock(certificate_id)
    enrollment = Enrollment.objects.select_for_update().get(pk=enrollment_id)
    enrollment.certificate = certificate
    return (enrollment, certificate) if enrollment.step == number else None


# --- Each answer -------------------------------------------------------------------------------


def _store_handed_in(enrollment: Enrollment, certificate: Certificate, answer: HandedIn, *, at: datetime) -> None:
    enrollment.hand_in()
    enrollment.data = answer.data
    enrollment.challenges = [
        {"name": each.name, "place": each.place, "value": each.value} for each in answer.challenges
    ]
    certificate.save()
    enrollment.save()
    if not answer.challenges:
        prove(enrollment, certificate, at=at)
        return
    jobs.enqueue(
        "look_for_proof",
        key=f"{enrollment.reference}:{enrollment.looks}",
        payload={"enrollment": enrollment.pk, "look": enrollment.looks},
        delay=FIRST_LOOK,
    )


def _store_waiting(enrollment: Enrollment, certificate: Certificate, answer: Waiting, *, at: datetime) -> None:
    enrollment.data = answer.data
    was_pending = enrollment.state == EnrollmentState.PENDING
    if was_pending:
        enrollment.make_ready()
        enrollment.tries = 0
    if answer.accepted and certificate.validated_at is None and not certificate.closing_since:
        certificate.validated_at = at
        audit.record(certificate, "application_accepted", by=None, at=at, detail={"reference": enrollment.reference})
    certificate.save()
    take_next_step(enrollment, delay=timedelta(0) if was_pending else _back_off(enrollment.tries, longest=RAREST_POLL))


def _store_issued(enrollment: Enrollment, certificate: Certificate, answer: Issued, *, at: datetime) -> None:
    handover = read_certificate(answer.pem)
    if enrollment.state == EnrollmentState.PENDING:  # closed too late: it was ready at the authority all the same
        enrollment.make_ready()
        enrollment.save()
    enrollment.issue()
    enrollment.issued_at, enrollment.not_after, enrollment.pem = at, handover.not_after, handover.pem
    enrollment.save()
    detail = {"reference": enrollment.reference, "serial": handover.serial, "fingerprint": handover.fingerprint}
    if enrollment.is_reissue:
        _store_reissue(enrollment, certificate, detail, at=at)
        return
    if certificate.state not in APPLICATION_RUNNING:
        certificate.save()
        audit.record(certificate, "issued_unwanted", by=None, at=at, detail=detail)
        take_next_step(enrollment)
        return
    hand_over(certificate, handover, at=at)
    certificate.save()
    audit.record(certificate, "issued", by=None, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    mails.tell_issued(certificate, at=at)


def hand_over(certificate: Certificate, handover: Any, *, at: datetime) -> None:
    """Make a locked certificate, whose application runs, an issued one. The caller saves and records it."""
    if certificate.state == CertificateState.PENDING_VERIFICATION:
        certificate.verify()
        certificate.save()  # the database knows no other way than over this state
    certificate.issue()
    certificate.closing_since = None
    certificate.validated_at = certificate.validated_at or at
    certificate.issued_at = at
    take_over(certificate, handover)


def take_over(certificate: Certificate, handover: Any) -> None:
    """What the X.509 certificate says, on the certificate that stands for it."""
    certificate.not_before, certificate.not_after = handover.not_before, handover.not_after
    certificate.serial, certificate.fingerprint, certificate.pem = handover.serial, handover.fingerprint, handover.pem


def _store_reissue(enrollment: Enrollment, certificate: Certificate, detail: dict[str, Any], *, at: datetime) -> None:
    """The new certificate takes the old one's place; the first issue still counts for the refund."""
    if certificate.state == CertificateState.ISSUED:
        take_over(certificate, read_certificate(enrollment.pem))
    certificate.save()
    audit.record(certificate, "reissued", by=None, at=at, detail=detail)
    # Issued although nobody wants it any more: a revocation went through meanwhile, and takes this one along.
    if step_due(enrollment, certificate, at):
        take_next_step(enrollment)


def _store_closed(enrollment: Enrollment, certificate: Certificate, answer: Closed, *, at: datetime) -> None:
    enrollment.close()
    enrollment.save()
    was_awaited = certificate.closing_since is not None and not enrollment.is_reissue
    if was_awaited:
        detail = {"reference": enrollment.reference, "held_for": certificate.hold}
        close_application(certificate)
        audit.record(certificate, "application_closed", by=None, at=at, detail=detail)
    certificate.save()
    if was_awaited:
        hooks.certificate_changed(certificate, at=at)
    _end_revocation(certificate, at=at)


def _store_refused(enrollment: Enrollment, certificate: Certificate, answer: Refused, *, at: datetime) -> None:
    enrollment.refuse()
    enrollment.trouble = answer.cause[:LONGEST_TROUBLE]
    enrollment.save()
    if enrollment.is_reissue:
        certificate.save()
        audit.record(certificate, "reissue_refused", by=None, at=at, note=answer.cause)
        return
    if certificate.closing_since:
        close_application(certificate)
    elif certificate.state in APPLICATION_RUNNING:
        refuse_running(certificate, answer.cause, at=at)
        mails.tell_application_failed(certificate, enrollment.reference, at=at)
    certificate.save()
    audit.record(certificate, "application_refused", by=None, at=at, note=answer.cause)
    hooks.certificate_changed(certificate, at=at)


def _store_revoked(enrollment: Enrollment, certificate: Certificate, answer: datetime, *, at: datetime) -> None:
    enrollment.revoke()
    enrollment.revoked_at = answer
    enrollment.save()
    certificate.save()
    if certificate.closing_since and not running_enrollment(certificate):
        # Issued after its application had failed, and revoked again: as good as closed.
        close_application(certificate)
        certificate.save()
        hooks.certificate_changed(certificate, at=at)
    _end_revocation(certificate, at=at)


def _store_revoking(enrollment: Enrollment, certificate: Certificate, answer: None, *, at: datetime) -> None:
    certificate.save()
    take_next_step(enrollment, delay=_back_off(enrollment.tries, longest=RAREST_POLL))


_STORE: dict[type, Callable[..., None]] = {
    HandedIn: _store_handed_in,
    Waiting: _store_waiting,
    Issued: _store_issued,
    Closed: _store_closed,
    Refused: _store_refused,
    datetime: _store_revoked,
    type(None): _store_revoking,
}


# --- The end of a revocation -------------------------------------------------------------------


def _end_revocation(certificate: Certificate, *, at: datetime) -> None:
    """Once nothing of a locked certificate is valid or under way any more, it is revoked."""
    if certificate.state != CertificateState.REVOKING or not certificate.revocation_confirmed_at:
        return
    if not to_end(certificate, at=at):
        # By the authority's clock: its moment is the one that a refund is judged by.
        done = Enrollment.objects.filter(certificate=certificate).aggregate(last=Max("revoked_at"))["last"]
        end_as_revoked(certificate, revoked_at=min(done, at) if done else at, at=at)


def end_as_revoked(certificate: Certificate, *, revoked_at: datetime, at: datetime, by: User | None = None) -> None:
    """Store at `at` that a locked certificate was revoked at `revoked_at`, as asked or by the authority itself."""
    certificate.revoke()
    certificate.revoked_at = revoked_at
    certificate.revocation_requested_at = certificate.revocation_requested_at or revoked_at
    certificate.authority_silent_since = None
    certificate.save()
    open_ones = [RevocationState.REQUESTED, RevocationState.CONFIRMED]
    for revocation in Revocation.objects.select_for_update().filter(certificate=certificate, state__in=open_ones):
        revocation.complete()
        revocation.ended_at = at
        revocation.save()
    detail = {"serial": certificate.serial, "requested_at": certificate.revocation_requested_at.isoformat()}
    forget_key(certificate)
    audit.record(certificate, "revoked", by=by, at=at, detail=detail)
    hooks.certificate_changed(certificate, at=at)
    mails.tell_revoked(certificate, at=at)


def _lapse_revocation(certificate: Certificate, *, at: datetime) -> None:
    certificate.withdraw_revocation()
    certificate.revocation_requested_at = certificate.revocation_confirmed_at = None
    certificate.authority_silent_since = None
    certificate.save()
    for revocation in Revocation.objects.select_for_update().filter(
        certificate=certificate, state=RevocationState.CONFIRMED
    ):
        revocation.lapse()
        revocation.ended_at = at
        revocation.save()
    audit.record(certificate, "revocation_lapsed", by=None, at=at, note="expired before it was done")
