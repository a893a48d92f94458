"""An authority whose answers a test decides, applications handed in to it, and the worker that speaks with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certificates.authority.base import (
    AuthorityUnavailable,
    Challenge,
    Closed,
    Enrolled,
    HandedIn,
    Issued,
    Refused,
    Waiting,
)
from certificates.models import Application, Certificate, Enrollment
from certificates.services import authority_job, enrolling
from certificates.states import CertificateState, EnrollmentState, Level
from core import jobs
from core.models import Job, User
from tests import factories
from tests.factories import NOON, ProductFactory
from tests.lifecycle.requests import csr_of

SECOND = timedelta(seconds=1)
NAMES = ("shop.example.com",)


@dataclass
class FakeAuthority:
    """Knows each order by its reference and issues once; `fails` names the calls that get no answer."""

    orders: dict[str, str] = field(default_factory=dict)
    issued: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, datetime] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    refuses: str = ""
    is_slow: bool = False
    needs_proof: bool = True
    lifetime: timedelta = timedelta(days=365)

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise AuthorityUnavailable(f"{call}: no answer")

    def hand_in(self, order: Enrolled, *, at: datetime) -> HandedIn | Refused:
        self._called("hand_in")
        self.orders.setdefault(order.reference, "pending")
        proofs = tuple(Challenge(name, f"_proof.{name}", order.reference) for name in order.names)
        return HandedIn(proofs if self.needs_proof else (), {"order": order.reference})

    def make_ready(self, order: Enrolled, *, at: datetime) -> Waiting | Refused:
        self._called("make_ready")
        assert order.data["order"] == order.reference
        return Waiting(order.data)

    def poll(self, order: Enrolled, *, at: datetime) -> Waiting | Issued | Refused:
        self._called("poll")
        if self.refuses or self.orders[order.reference] == "closed":
            return Refused(self.refuses or "withdrawn")
        if self.is_slow:
            return Waiting(order.data, accepted=True)
        return Issued(self._issue(order, at))

    def close(self, order: Enrolled, *, at: datetime) -> Closed | Issued | Waiting:
        self._called("close")
        if order.reference in self.issued:
            return Issued(self.issued[order.reference])
        self.orders[order.reference] = "closed"
        return Closed()

    def revoke(self, order: Enrolled, pem: str, reason: str, *, at: datetime) -> datetime | None:
        self._called("revoke")
        if self.is_slow:
            return None
        return self.revoked.setdefault(order.reference, at)

    def poll_revocation(self, order: Enrolled, pem: str, *, at: datetime) -> datetime | None:
        self._called("poll_revocation")
        return self.revoked.get(order.reference)

    def _issue(self, order: Enrolled, at: datetime) -> str:
        """A second certificate for one order would be a second entry."""
        if order.reference not in self.issued:
            key = x509.load_pem_x509_csr(order.csr.encode()).public_key()
            self.issued[order.reference] = pem_for(order.names, at, until=at + self.lifetime, key=key)
        return self.issued[order.reference]


def pem_for(names: tuple[str, ...], at: datetime, *, until: datetime, key: Any = None) -> str:
    """A certificate for a public key, a new one unless it is given."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key or own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    )
    return builder.sign(own, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def handed_in(
    account: User, *, level: Level = Level.DV, at: datetime = NOON, bought: timedelta = timedelta(days=1), **fields: Any
) -> Certificate:
    """A certificate whose application is handed in at `at`; the worker has not heard of it yet."""
    certificate = factories.certificate(account, bought=bought, product=ProductFactory(level=level), **fields)
    application = Application.objects.create(certificate=certificate, csr=csr_of(NAMES), company_name="Shop Ltd")
    certificate.submit_for_verification() if level == Level.DV else certificate.submit_for_validation()
    certificate.submitted_at = at
    certificate.save()
    enrolling.order_enrollment(certificate, application, list(NAMES), at=at)
    return certificate


def enrollment_of(certificate: Certificate) -> Enrollment:
    return Enrollment.objects.filter(certificate=certificate).latest("id")


def advance(*, at: datetime = NOON, rounds: int = 6) -> None:
    """Let the worker take every step that is due or will be, in at most so many rounds."""
    for _ in range(rounds):
        queued = list(Job.objects.filter(kind="advance_enrollment", state=Job.State.QUEUED).order_by("id"))
        for job in queued:
            run(job, at=at)
        if not queued:
            return


def run(job: Job, *, at: datetime = NOON) -> None:
    """One job, whenever it is due; one that fails fails the test."""
    job.lease = "worker:test"
    job.save()
    jobs.run(job, at=at)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.last_error


def next_job() -> Job:
    return Job.objects.filter(kind="advance_enrollment", state=Job.State.QUEUED).latest("id")


def ask_only(job: Job, *, at: datetime = NOON) -> Callable[[], None] | None:
    """What a worker does before it is killed: the authority was asked, nothing is stored."""
    return authority_job.advance_enrollment(job.payload, at=at)


def prove(certificate: Certificate, *, at: datetime = NOON) -> None:
    enrolling.prove(enrollment_of(certificate), fresh(certificate), at=at)


def fresh(certificate: Certificate) -> Certificate:
    return Certificate.objects.select_related("order", "product", "account").get(pk=certificate.pk)


def state_of(certificate: Certificate) -> str:
    return CertificateState(fresh(certificate).state)


def is_pending(certificate: Certificate) -> bool:
    return enrollment_of(certificate).state == EnrollmentState.PENDING
