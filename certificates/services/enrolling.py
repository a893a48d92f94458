"""What the console and an authority do about one order: handed in, proven, issued, closed, revoked.

One job carries each enrollment on: it finds out which step is due, asks the authority outside any transaction, and
stores the answer under the certificate's lock. Whoever changes what is due calls `_go_on`, which makes every job of
an earlier step harmless.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import Max, QuerySet

from certificates import hooks
from certificates.authority import authority_of
from certificates.authority.base import (
    AuthorityUnavailable,
    Closed,
    Enrolled,
    HandedIn,
    Issued,
    Refused,
    Waiting,
)
from certificates.csr import key_fingerprint_of
from certificates.models import Application, Certificate, Enrollment, Revocation
from certificates.services import mails
from certificates.services.locking import lock
from certificates.states import (
    APPLICATION_RUNNING,
    AT_AUTHORITY,
    RUNNING,
    CertificateState,
    EnrollmentState,
    RevocationReason,
    RevocationState,
)
from certificates.x509 import UnreadableCertificate, read_certificate
from core import audit, jobs
from core.jobs import LONGEST_DELAY
from core.models import User

logger = logging.getLogger(__name__)

FIRST_LOOK = timedelta(seconds=5)
RAREST_POLL = timedelta(minutes=10)
LONGEST_TROUBLE = 500

Answer = HandedIn | Waiting | Issued | Refused | Closed | datetime | None


# --- What the other services ask ---------------------------------------------------------------


def order_enrollment(
    certificate: Certificate, application: Application, names: list[str], *, at: datetime, is_reissue: bool = False
) -> Enrollment:
    """Order a certificate at the product's authority, in the caller's transaction; the worker hands it in."""
    assert certificate.product is not None  # noqa: S101 - what was uploaded is never applied for
    number = Enrollment.objects.filter(certificate=certificate).count() + 1
    enrollment = Enrollment.objects.create(
        certificate=certificate,
        reference=f"{certificate.instance_id}-{number}",
        authority=certificate.product.authority,
        is_reissue=is_reissue,
        names=names,
        verification=application.verification,
        csr=application.csr,
        ordered_at=at,
    )
    _go_on(enrollment)
    return enrollment


def ask_to_close(certificate: Certificate, *, at: datetime) -> None:
    """Close a locked certificate's running application: at once where nothing is at an authority, else by the worker.

    The caller saves the certificate.
    """
    running = running_enrollment(certificate)
    if running is None and certificate.state not in AT_AUTHORITY:
        close_application(certificate)
        return
    # An earlier closing may still be unanswered: it is the same one that is awaited then.
    certificate.closing_since = certificate.closing_since or at
    if running:
        _go_on(running)


def close_application(certificate: Certificate) -> None:
    """As Cancel Application does it: the submission's times are cleared, what was typed stays as a draft."""
    if certificate.state in APPLICATION_RUNNING:
        certificate.cancel_application()
    certificate.submitted_at = certificate.validated_at = certificate.proven_at = certificate.closing_since = None
    certificate.authority_silent_since = None


def forget_key(certificate: Certificate) -> None:
    """Nothing can be downloaded of it any more: the private key that was made here goes, its fingerprint stays."""
    Application.objects.filter(pk=certificate.pk).update(key="")


def running_enrollment(certificate: Certificate) -> Enrollment | None:
    """The order that is open at the authority, or about to be."""
    return Enrollment.objects.filter(certificate=certificate, state__in=sorted(RUNNING)).first()


def prove(enrollment: Enrollment, certificate: Certificate, *, at: datetime) -> None:
    """Every name of a locked pending enrollment is proven: the authority may look, for OV and EV once staff agree."""
    enrollment.proven_at = at
    certificate.authority_silent_since = None
    if not enrollment.is_reissue:
        certificate.proven_at = at
    if certificate.state == CertificateState.PENDING_VERIFICATION:
        certificate.verify()
    certificate.save()
    audit.record(certificate, "domains_proven", by=None, at=at, detail={"reference": enrollment.reference})
    _go_on(enrollment)


def go_on(certificate: Certificate) -> None:
    """Something was decided about a locked certificate: its order at the authority goes on, or is closed."""
    if running := running_enrollment(certificate):
        _go_on(running)


def revoke_at_authority(certificate: Certificate) -> None:
    """A revocation is confirmed: everything issued for a locked certificate is revoked, what runs is closed."""
    for enrollment in _unended(certificate):
        _go_on(enrollment)


def refuse_running(certificate: Certificate, cause: str, *, at: datetime) -> None:
    """End a locked certificate's running application with a cause, and withdraw its order at the authority."""
    certificate.fail_validation()
    certificate.failure_cause = cause[:500]
    certificate.submitted_at = certificate.validated_at = certificate.proven_at = certificate.closing_since = None
    certificate.authority_silent_since = None
    if running := running_enrollment(certificate):
        mails.tell_application_failed(certificate, running.reference, at=at)
        _go_on(running)


# --- The job -----------------------------------------------------------------------------------


def advance_enrollment(payload: dict[str, Any], *, at: datetime) -> Callable[[], None] | None:
    """Job handler: the one step that is due for an enrollment; returns what stores the authority's answer."""
    enrollment = Enrollment.objects.select_related("certificate__product").get(pk=payload["enrollment"])
    if enrollment.step != payload["step"]:
        return None
    step = _step_due(enrollment, enrollment.certificate, at)
    if step is None:
        return partial(_store_nothing_due, enrollment.pk, enrollment.step, at=at)
    try:
        answer = _ask(step, enrollment, at=at)
    except AuthorityUnavailable as trouble:
        logger.warning("authority %s: %s of %s: %s", enrollment.authority, step, enrollment, trouble)
        return partial(_store_trouble, enrollment.pk, enrollment.step, str(trouble), at=at)
    except (InterfaceError, OperationalError):  # the database is away: nothing can be stored either
        raise
    except Exception as fault:
        # A fault of ours or of the authority: what waits for it waits on, and its page says so.
        logger.exception("authority %s: %s of %s failed", enrollment.authority, step, enrollment)
        words = f"{step}: {type(fault).__name__}"
        return partial(_store_trouble, enrollment.pk, enrollment.step, words, at=at)
    return partial(_store, enrollment.pk, enrollment.step, step, answer, at=at)


HAND_IN, MAKE_READY, POLL, CLOSE, REVOKE = "hand_in", "make_ready", "poll", "close", "revoke"


def _step_due(enrollment: Enrollment, certificate: Certificate, at: datetime) -> str | None:
    """What is to be asked of the authority next; None while somebody else is awaited."""
    if enrollment.state in RUNNING:
        return _step_of_running(enrollment, certificate)
    if enrollment.state != EnrollmentState.ISSUED or (enrollment.not_after and enrollment.not_after <= at):
        return None
    return None if _is_in_use(certificate) else REVOKE


def _is_in_use(certificate: Certificate) -> bool:
    """Whether what was issued for it may stay valid: not once its revocation is confirmed or done, and not where
    the authority issued what nobody waited for any more.
    """
    if certificate.state == CertificateState.REVOKING:
        return certificate.revocation_confirmed_at is None
    return certificate.state == CertificateState.ISSUED


def _step_of_running(enrollment: Enrollment, certificate: Certificate) -> str | None:
    if not is_wanted(enrollment, certificate):
        return CLOSE
    if enrollment.state == EnrollmentState.ORDERED:
        return HAND_IN
    if enrollment.state == EnrollmentState.READY:
        return POLL
    return MAKE_READY if _may_be_issued(enrollment, certificate) else None


def is_wanted(enrollment: Enrollment, certificate: Certificate) -> bool:
    """Whether anybody still waits for what the authority would issue for a running order."""
    if certificate.closing_since or certificate.deleted_at:
        return False
    if enrollment.is_reissue:
        return certificate.state == CertificateState.ISSUED
    return certificate.state in APPLICATION_RUNNING


def _may_be_issued(enrollment: Enrollment, certificate: Certificate) -> bool:
    if enrollment.proven_at is None:
        return False
    assert certificate.product is not None  # noqa: S101
    return enrollment.is_reissue or not certificate.product.is_checked_by_staff or certificate.validated_at is not None


def _ask(step: str, enrollment: Enrollment, *, at: datetime) -> Answer:
    authority, order = authority_of(enrollment.authority), enrolled(enrollment)
    if step == REVOKE:
        return authority.revoke(order, enrollment.pem, _reason_of(enrollment), at=at)
    ask = {HAND_IN: authority.hand_in, MAKE_READY: authority.make_ready, POLL: authority.poll, CLOSE: authority.close}
    answer: Answer = ask[step](order, at=at)
    if isinstance(answer, Issued):
        _require_own(answer, order)
    return answer


def _require_own(answer: Issued, order: Enrolled) -> None:
    """Raises AuthorityUnavailable unless the certificate can be read and is for the request's key, octet for octet."""
    try:
        issued = read_certificate(answer.pem).key_fingerprint
    except UnreadableCertificate as error:
        raise AuthorityUnavailable(f"The certificate that was issued {error}.") from error
    if issued != key_fingerprint_of(order.csr):
        raise AuthorityUnavailable("The certificate that was issued is for another key than the request's.")


def enrolled(enrollment: Enrollment) -> Enrolled:
    """An enrollment as its authority is told of it. It comes with its certificate and product."""
    application = Application.objects.filter(pk=enrollment.certificate_id).first()
    product = enrollment.certificate.product
    named = application if application and product and product.is_checked_by_staff else None
    return Enrolled(
        reference=enrollment.reference,
        names=tuple(enrollment.names),
        verification=enrollment.verification,
        csr=enrollment.csr,
        organisation=named.company_name if named else "",
        country=named.company_country if named else "",
        locality=named.company_city if named else "",
        until=enrollment.certificate.service_ends_at,
        data=enrollment.data,
    )


def _reason_of(enrollment: Enrollment) -> str:
    newest = Revocation.objects.filter(certificate=enrollment.certificate_id).order_by("-id").first()
    return newest.reason if newest else RevocationReason.CESSATION


# --- Storing an answer -------------------------------------------------------------------------


def _store(enrollment_id: int, number: int, step: str, answer: Answer, *, at: datetime) -> None:
    """Store what the authority answered, unless what was due has changed since: then it is asked anew."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    enrollment, certificate = locked
    # What is only waited for is asked about ever more rarely; anything else begins a step of its own.
    enrollment.tries = enrollment.tries + 1 if isinstance(answer, Waiting | None) else 0
    enrollment.trouble = ""
    certificate.authority_silent_since = None
    _STORE[type(answer)](enrollment, certificate, answer, at=at)


def _store_trouble(enrollment_id: int, number: int, trouble: str, *, at: datetime) -> None:
    """Nothing moves; it is tried again, later each time and at least once an hour, for as long as it takes."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    enrollment, certificate = locked
    enrollment.tries, enrollment.trouble = enrollment.tries + 1, trouble[:LONGEST_TROUBLE]
    certificate.authority_silent_since = certificate.authority_silent_since or at
    certificate.save()
    _go_on(enrollment, delay=_back_off(enrollment.tries))


def _store_nothing_due(enrollment_id: int, number: int, *, at: datetime) -> None:
    """Everything issued may have expired before the authority revoked it: then there is nothing left to revoke."""
    locked = _lock(enrollment_id, number)
    if locked is None:
        return
    certificate = locked[1]
    is_confirmed = certificate.state == CertificateState.REVOKING and certificate.revocation_confirmed_at
    if is_confirmed and certificate.expires_at <= at and not to_end(certificate, at=at):
        _lapse_revocation(certificate, at=at)


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
    _go_on(enrollment, delay=timedelta(0) if was_pending else _back_off(enrollment.tries, longest=RAREST_POLL))


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
        _go_on(enrollment)
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
    if _step_due(enrollment, certificate, at):
        _go_on(enrollment)


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
    _go_on(enrollment, delay=_back_off(enrollment.tries, longest=RAREST_POLL))


_STORE: dict[type, Callable[..., None]] = {
    HandedIn: _store_handed_in,
    Waiting: _store_waiting,
    Issued: _store_issued,
    Closed: _store_closed,
    Refused: _store_refused,
    datetime: _store_revoked,
    type(None): _store_revoking,
}


def to_end(certificate: Certificate, *, at: datetime) -> list[Enrollment]:
    """What must still be revoked or closed before a certificate counts as revoked; what expired needs nothing."""
    return list(_unended(certificate).exclude(not_after__lte=at))


def _unended(certificate: Certificate) -> QuerySet[Enrollment]:
    states = sorted(RUNNING | {EnrollmentState.ISSUED})
    return Enrollment.objects.filter(certificate=certificate, state__in=states).order_by("id")


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


def _go_on(enrollment: Enrollment, *, delay: timedelta = timedelta(0)) -> None:
    """Queue the next step; a job that is queued or under way for an earlier one will find that it is not its turn."""
    enrollment.step += 1
    enrollment.save()
    jobs.enqueue(
        "advance_enrollment",
        key=f"{enrollment.reference}:{enrollment.step}",
        payload={"enrollment": enrollment.pk, "step": enrollment.step},
        delay=delay,
    )
