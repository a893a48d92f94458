"""What the embedded authority and the customers did before the demo was loaded: applications, issues, revocations."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from certificates.authority.base import Enrolled, Issued
from certificates.authority.embedded import EmbeddedAuthority
from certificates.csr import SigningRequest, make_request
from certificates.models import Application, Certificate, Enrollment, Revocation
from certificates.services import enrolling
from certificates.states import (
    AuthorityName,
    CertificateState,
    EnrollmentState,
    KeyType,
    Level,
    RevocationReason,
    RevocationState,
    Verification,
)
from certificates.x509 import Handover, read_certificate
from core import jobs

COMPANY = {
    "company_name": "Example Trading Ltd",
    "company_number": "201500001A",
    "company_country": "SG",
    "company_city": "Singapore",
    "company_address": "1 Example Street",
}
# A link that was sent again today.
LINK_IS_GOOD_FOR = timedelta(days=3)


@dataclass(frozen=True)
class Issue:
    request: SigningRequest
    order: Enrolled
    handover: Handover
    at: datetime


@dataclass
class Enroller:
    """Lets the embedded authority issue as of past moments, and writes down afterwards what the console knows of it."""

    authority: EmbeddedAuthority = field(default_factory=EmbeddedAuthority)
    issues: dict[str, Issue] = field(default_factory=dict)

    def issue(self, instance_id: str, level: Level, names: tuple[str, ...], at: datetime) -> Handover:
        request = make_request(KeyType.EC_P256, names)
        holder = ("Example Trading Ltd", "SG", "Singapore") if level != Level.DV else ("", "", "")
        order = Enrolled(f"{instance_id}-1", names, Verification.DNS, request.pem, *holder)
        self.authority.hand_in(order, at=at)
        ready = self.authority.make_ready(order, at=at)
        answer = self.authority.poll(Enrolled(*_told(order), data=ready.data), at=at)  # type: ignore[union-attr]
        assert isinstance(answer, Issued)  # noqa: S101 - else the demo or the authority has a fault
        handover = read_certificate(answer.pem)
        self.issues[instance_id] = Issue(request, order, handover, at)
        return handover

    def write_down(self) -> None:
        """The application and the enrollment behind each certificate that was issued, and what was revoked of it."""
        for certificate in Certificate.objects.filter(instance_id__in=self.issues).select_related("product", "account"):
            issue = self.issues[certificate.instance_id]
            _store_application(certificate, issue.request)
            revoked_at = certificate.revoked_at and self._revoke(issue, certificate.revoked_at)
            Enrollment.objects.create(
                certificate=certificate,
                reference=issue.order.reference,
                authority=AuthorityName.EMBEDDED,
                state=EnrollmentState.REVOKED if revoked_at else EnrollmentState.ISSUED,
                names=list(issue.order.names),
                verification=issue.order.verification,
                csr=issue.request.pem,
                ordered_at=certificate.submitted_at or issue.at,
                proven_at=certificate.validated_at,
                issued_at=issue.at,
                not_after=issue.handover.not_after,
                pem=issue.handover.pem,
                revoked_at=revoked_at,
            )

    def _revoke(self, issue: Issue, at: datetime) -> datetime | None:
        return self.authority.revoke(issue.order, issue.handover.pem, RevocationReason.SUPERSEDED, at=at)


def _told(order: Enrolled) -> tuple[str, tuple[str, ...], str, str, str, str, str]:
    return (
        *(order.reference, order.names, order.verification, order.csr),
        *(order.organisation, order.country, order.locality),
    )


def _store_application(certificate: Certificate, request: SigningRequest) -> Application:
    names = list(certificate.domains.values_list("name", flat=True))
    return Application.objects.create(
        certificate=certificate,
        domains="\n".join(names),
        contact_name=str(certificate.account),
        contact_email=certificate.account.email,
        contact_phone="+65 6000 0000",
        key_type=KeyType.EC_P256,
        csr=request.pem,
        key=request.key,
        key_fingerprint=request.fingerprint,
        **(COMPANY if certificate.product and certificate.product.is_checked_by_staff else {}),
    )


def hand_in(keys: list[int], *, at: datetime) -> None:
    """Order running applications at the authority, as of the moments at which they were submitted; the worker's part
    of it is done too."""
    for certificate in Certificate.objects.filter(pk__in=keys).select_related("product", "account"):
        names = list(certificate.domains.values_list("name", flat=True))
        application = _store_application(certificate, make_request(KeyType.EC_P256, names))
        enrolling.order_enrollment(certificate, application, names, at=certificate.submitted_at or at)
    jobs.run_due("load_demo", clock=lambda: at, lane=Q(kind="advance_enrollment"))
    for enrollment in Enrollment.objects.filter(certificate__in=keys, state=EnrollmentState.PENDING):
        certificate = Certificate.objects.select_related("product").get(pk=enrollment.certificate_id)
        if certificate.state == CertificateState.VALIDATING_APPLICATION:
            enrolling.prove(enrollment, certificate, at=certificate.submitted_at or at)


def ask_contacts(*, at: datetime) -> None:
    """The revocations that wait for their contact's confirmation."""
    for certificate in Certificate.objects.filter(state=CertificateState.REVOKING).select_related("account"):
        Revocation.objects.create(
            certificate=certificate,
            state=RevocationState.REQUESTED,
            reason=RevocationReason.SUPERSEDED,
            requested_by=certificate.account,
            requested_at=certificate.revocation_requested_at,
            contact_email=certificate.account.email,
            links_sent=1,
            link_expires_at=at + LINK_IS_GOOD_FOR,
        )
