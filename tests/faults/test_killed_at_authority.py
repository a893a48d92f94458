"""A worker killed while it speaks with the authority, and started again, issues and revokes exactly once.

Real processes, real kills, the console's own authority. A sample stands in the gate.
"""

import signal

import pytest
from django.db.models.functions import Now

from certificates.csr import make_request
from certificates.models import Application, CaOrder, Certificate, Enrollment
from certificates.services import enrolling
from certificates.services.revocations import request_revocation
from certificates.states import EnrollmentState, KeyType, RevocationReason
from core.models import AuditEntry, Job
from tests import factories
from tests.factories import NOON
from tests.faults import process
from tests.faults.points import AUTHORITY_FAULTS, REVOCATION_FAULTS
from tests.lifecycle.engine import fresh, prove, state_of

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = ("--once", "--lease", "0.01")
NAME = "shop.example.com"


@pytest.fixture
def applied(customer) -> Certificate:
    certificate = factories.certificate(customer, domains=(NAME,))
    request = make_request(KeyType.EC_P256, [NAME])
    application = Application.objects.create(certificate=certificate, csr=request.pem, key=request.key)
    certificate.submit_for_verification()
    certificate.submitted_at = NOON
    certificate.save()
    enrolling.order_enrollment(certificate, application, [NAME], at=NOON)
    return certificate


def work(fault: str = "") -> int:
    """A worker that does what is due, or would be soon; its exit code."""
    Job.objects.filter(kind="advance_enrollment").update(run_at=Now())
    code, words = process.run(*QUICK, **({"FAULT": fault} if fault else {}))
    assert code in {0, -signal.SIGKILL}, words
    return code


def work_to_the_end(certificate: Certificate, fault: str = "") -> None:
    """Kill a worker where the fault says, and let others go on until nothing is left to do."""
    codes = [work(fault)]
    for _ in range(4):
        if Enrollment.objects.get().state == EnrollmentState.PENDING:
            prove(certificate, at=NOON)
        codes.append(work("" if -signal.SIGKILL in codes else fault))
    assert not fault or -signal.SIGKILL in codes
    assert not Job.objects.filter(kind="advance_enrollment").exclude(state=Job.State.DONE).exists()


def assert_issued_once(certificate: Certificate) -> None:
    [order] = CaOrder.objects.all()
    assert (state_of(certificate), fresh(certificate).serial) == ("issued", order.serial)
    assert AuditEntry.objects.filter(act="issued").count() == 1


def issued_once_in_spite_of(certificate: Certificate, fault: str) -> None:
    work_to_the_end(certificate, fault)
    assert_issued_once(certificate)


def revoked_once_in_spite_of(certificate: Certificate, fault: str) -> None:
    work_to_the_end(certificate)
    request_revocation(certificate.pk, reason=RevocationReason.SUPERSEDED, typed=NAME, by=certificate.account, at=NOON)
    work_to_the_end(certificate, fault)
    order = CaOrder.objects.get()
    assert (state_of(certificate), fresh(certificate).revoked_at) == ("revoked", order.revoked_at)
    assert AuditEntry.objects.filter(act="revoked").count() == 1


def test_worker_killed_after_the_authority_issued_issues_once(applied: Certificate) -> None:
    issued_once_in_spite_of(applied, "after the authority has issued")


def test_worker_killed_after_the_authority_revoked_revokes_once(applied: Certificate) -> None:
    revoked_once_in_spite_of(applied, "after the authority has revoked")


@pytest.mark.soak
@pytest.mark.parametrize("fault", AUTHORITY_FAULTS)
def test_worker_killed_at_any_point_issues_once(applied: Certificate, fault: str) -> None:
    issued_once_in_spite_of(applied, fault)


@pytest.mark.soak
@pytest.mark.parametrize("fault", REVOCATION_FAULTS)
def test_worker_killed_at_any_point_revokes_once(applied: Certificate, fault: str) -> None:
    revoked_once_in_spite_of(applied, fault)
