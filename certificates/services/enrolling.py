"""What the console wants of an authority for one certificate: an order made, proven, closed or revoked.

The other services call these. Whatever changes the step that's due ends with `take_next_step`, which queues the job
that asks the authority (`authority_job`); a job queued for an earlier step then does nothing.
"""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from certificates.models import Application, Certificate, Enrollment
from certificates.services import mails
from certificates.states import APPLICATION_RUNNING, AT_AUTHORITY, RUNNING, CertificateState, EnrollmentState
from core import audit, jobs

HAND_IN, MAKE_READY, POLL, CLOSE, REVOKE = "hand_in", "make_ready", "poll", "close", "revoke"


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
    take_next_step(enrollment)
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
        take_next_step(running)


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
    take_next_step(enrollment)


def go_on(certificate: Certificate) -> None:
    """Something was decided about a locked certificate: its order at the authority goes on, or is closed."""
    if running := running_enrollment(certificate):
        take_next_step(running)


def revoke_at_authority(certificate: Certificate) -> None:
    """A revocation is confirmed: everything issued for a locked certificate is revoked, what runs is closed."""
    for enrollment in _unended(certificate):
        take_next_step(enrollment)


def refuse_running(certificate: Certificate, cause: str, *, at: datetime) -> None:
    """End a locked certificate's running application with a cause, and withdraw its order at the authority."""
    certificate.fail_validation()
    certificate.failure_cause = cause[:500]
    certificate.submitted_at = certificate.validated_at = certificate.proven_at = certificate.closing_since = None
    certificate.authority_silent_since = None
    if running := running_enrollment(certificate):
        mails.tell_application_failed(certificate, running.reference, at=at)
        take_next_step(running)


def to_end(certificate: Certificate, *, at: datetime) -> list[Enrollment]:
    """What must still be revoked or closed before a certificate counts as revoked; what expired needs nothing."""
    return list(_unended(certificate).exclude(not_after__lte=at))


def _unended(certificate: Certificate) -> QuerySet[Enrollment]:
    states = sorted(RUNNING | {EnrollmentState.ISSUED})
    return Enrollment.objects.filter(certificate=certificate, state__in=states).order_by("id")


# --- Which step is due -------------------------------------------------------------------------


def step_due(enrollment: Enrollment, certificate: Certificate, at: datetime) -> str | None:
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


def take_next_step(enrollment: Enrollment, *, delay: timedelta = timedelta(0)) -> None:
    """Queue the next step; a job that is queued or under way for an earlier one will find that it is not its turn."""
    enrollment.step += 1
    enrollment.save()
    jobs.enqueue(
        "advance_enrollment",
        key=f"{enrollment.reference}:{enrollment.step}",
        payload={"enrollment": enrollment.pk, "step": enrollment.step},
        delay=delay,
    )
