"""Applications: handed in for a certificate that was bought, and taken back before it is issued."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction

from certificates.csr import SigningRequest, make_request
from certificates.exceptions import KeyInUse, StillClosing, WrongState
from certificates.models import Application, Certificate, Domain, Enrollment, SearchTerm
from certificates.services import enrolling
from certificates.services.locking import lock_for_owner
from certificates.states import APPLICATION_RUNNING, CertificateState
from certificates.storing import readable, search_terms
from core import audit
from core.models import User

CAN_APPLY = frozenset({CertificateState.PENDING_APPLICATION, CertificateState.VALIDATION_FAILED})


@dataclass(frozen=True, slots=True)
class Submission:
    """What a customer hands in, checked. `names` are lower-case ASCII; `request` is the CSR where they pasted one."""

    names: tuple[str, ...]
    key_type: str
    request: SigningRequest | None = None
    # The other fields of Application, by name.
    typed: dict[str, str] = field(default_factory=dict)


def submit_application(certificate_id: int, submission: Submission, *, by: User, at: datetime) -> Enrollment:
    """Hand in an application: stored, its order queued for the authority, its names to be proven next.

    Raises NotYourCertificate, CertificateHeld, WrongState, StillClosing, and KeyInUse for a pasted key.
    """
    # Making a key takes a while, in which nobody should have to wait for a lock.
    request = submission.request or make_request(submission.key_type, submission.names)
    with transaction.atomic():
        return _submit(certificate_id, submission, request, by=by, at=at)


@transaction.atomic
def cancel_application(certificate_id: int, *, by: User, at: datetime) -> Certificate:
    """Take a running application back: at once, or as soon as the authority has closed it (`closing_since`).

    Raises NotYourCertificate, CertificateHeld and WrongState.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    if not can_cancel(certificate):
        raise WrongState(certificate)
    detail = {"state": certificate.state}
    enrolling.ask_to_close(certificate, at=at)
    certificate.save()
    audit.record(certificate, "application_cancelled", by=by, at=at, detail=detail)
    return certificate


def can_apply(certificate: Certificate, at: datetime) -> bool:
    """Whether its state and its dates let an application be handed in; a refund or a closing is another question."""
    return certificate.state in CAN_APPLY and certificate.service_ends_at > at


def can_cancel(certificate: Certificate) -> bool:
    return certificate.state in APPLICATION_RUNNING


def is_closing_former(certificate: Certificate) -> bool:
    """Whether the order of an application that failed is still open at the authority."""
    return certificate.state in CAN_APPLY and enrolling.running_enrollment(certificate) is not None


def draft_of(certificate: Certificate) -> Application | None:
    """What was typed the last time, if anything was."""
    return Application.objects.filter(pk=certificate.pk).first()


def _submit(
    certificate_id: int, submission: Submission, request: SigningRequest, *, by: User, at: datetime
) -> Enrollment:
    certificate = lock_for_owner(certificate_id, by=by)
    if not can_apply(certificate, at) or certificate.product is None:
        raise WrongState(certificate)
    if is_closing_former(certificate):
        raise StillClosing(str(certificate))
    _refuse_shared_key(certificate, request)
    application = _store(certificate, submission, request)
    _store_names(certificate, submission.names)
    _move_on(certificate, submission.names[0], at=at)
    enrollment = enrolling.order_enrollment(certificate, application, list(submission.names), at=at)
    detail = {"reference": enrollment.reference, "names": enrollment.names, "key": submission.key_type}
    audit.record(certificate, "application_submitted", by=by, at=at, detail=detail)
    return enrollment


def _refuse_shared_key(certificate: Certificate, request: SigningRequest) -> None:
    others = (
        Application.objects.filter(key_fingerprint=request.fingerprint)
        .exclude(key_fingerprint="")
        .exclude(pk=certificate.pk)
    )
    if others.exists():
        raise KeyInUse(str(certificate))


def _store(certificate: Certificate, submission: Submission, request: SigningRequest) -> Application:
    kept = {
        **submission.typed,
        "key_type": submission.key_type,
        "csr": request.pem,
        "key": request.key,
        "key_fingerprint": request.fingerprint,
    }
    try:
        with transaction.atomic():
            application, _made = Application.objects.update_or_create(certificate=certificate, defaults=kept)
    except IntegrityError as error:  # another instance took the same key meanwhile
        if "key_fingerprint" in str(error) or "one_instance_per_key" in str(error):
            raise KeyInUse(str(certificate)) from error
        raise
    return application


def _store_names(certificate: Certificate, names: Sequence[str]) -> None:
    Domain.objects.filter(certificate=certificate).delete()
    Domain.objects.bulk_create(
        Domain(certificate=certificate, position=position, name=name) for position, name in enumerate(names, 1)
    )
    SearchTerm.objects.filter(certificate=certificate).delete()
    terms = search_terms([*names, *map(readable, names)])
    SearchTerm.objects.bulk_create(
        SearchTerm(certificate=certificate, account=certificate.account, text=text) for text in terms
    )


def _move_on(certificate: Certificate, name: str, *, at: datetime) -> None:
    assert certificate.product is not None  # noqa: S101 - what was uploaded is never applied for
    if certificate.product.is_checked_by_staff:
        certificate.submit_for_validation()
    else:
        certificate.submit_for_verification()
    certificate.name = name
    certificate.failure_cause = ""
    certificate.submitted_at, certificate.proven_at, certificate.validated_at = at, None, None
    certificate.save()
