"""The whole way of a certificate by the engine: application, proof, issue, re-issue, revocation."""

from datetime import timedelta

import pytest
from django.utils import timezone

from certificates.authority.base import proofs_of
from certificates.models import Application, Certificate, Enrollment, Revocation
from certificates.services import enrolling
from certificates.services.reissuing import reissue_due
from certificates.states import CertificateState, EnrollmentState, RevocationReason, RevocationState
from core.models import Job
from tests import factories
from tests.acme.orders import a_name, acme_product, csr_of, publish
from tests.faults.process import wait_until
from tests.lifecycle.engine import enrollment_of, fresh, prove, run

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]

DAY = timedelta(days=1)
S, E = CertificateState, EnrollmentState


@pytest.fixture
def applied(pebble, customer) -> Certificate:
    """A certificate whose application was handed in just now."""
    name, now = a_name(), timezone.now()
    certificate = factories.certificate(customer, at=now, domains=(name,), product=acme_product())
    application = Application.objects.create(certificate=certificate, csr=csr_of((name,)))
    certificate.submit_for_verification()
    certificate.submitted_at = now
    certificate.save()
    enrolling.order_enrollment(certificate, application, [name], at=now)
    return certificate


def work(until):
    """Let the worker go on with what is due, or will be, until something holds."""

    def step() -> bool:
        for job in Job.objects.filter(kind="advance_enrollment", state=Job.State.QUEUED).order_by("id"):
            run(job, at=timezone.now())
        return until()

    wait_until(step)


def is_in(certificate, state):
    return lambda: enrollment_of(certificate).state == state


def be_proven(pebble, certificate):
    """The customer publishes what is shown, and the console has found it."""
    work(is_in(certificate, E.PENDING))
    publish(pebble, challenges_of(certificate))
    prove(certificate, at=timezone.now())


def challenges_of(certificate):
    return tuple(proofs_of(enrollment_of(certificate).challenges))


def be_issued(pebble, certificate):
    be_proven(pebble, certificate)
    work(is_in(certificate, E.ISSUED))
    return fresh(certificate)


def test_application_ends_as_a_certificate_that_is_issued(pebble, applied):
    certificate = be_issued(pebble, applied)
    assert certificate.state == S.ISSUED
    assert certificate.validated_at <= certificate.issued_at <= timezone.now()
    assert timedelta(days=89) < certificate.not_after - certificate.issued_at < timedelta(days=90)
    assert certificate.service_ends_at > certificate.not_after
    assert certificate.pem.count("BEGIN CERTIFICATE") == 2
    assert pebble.status(int(certificate.serial, 16))["Status"] == "Valid"


def test_reissue_near_the_end_moves_the_end_and_keeps_the_issue(pebble, applied):
    be_issued(pebble, applied)
    end = timezone.now() + 29 * DAY
    Certificate.objects.filter(pk=applied.pk).update(not_after=end)
    first = fresh(applied)
    assert reissue_due(at=end - 31 * DAY) == 0
    assert reissue_due(at=end - 29 * DAY) == 1
    second = be_issued(pebble, applied)
    assert second.not_after - end > 60 * DAY
    assert second.issued_at == first.issued_at
    assert second.serial != first.serial
    assert [each.state for each in Enrollment.objects.order_by("id")] == [E.ISSUED, E.ISSUED]


def test_revocation_revokes_the_reissue_and_what_it_replaced(pebble, applied):
    first = be_issued(pebble, applied)
    reissue_due(at=first.not_after - DAY)
    second = be_issued(pebble, applied)
    second.request_revocation()
    second.revocation_requested_at = second.revocation_confirmed_at = timezone.now()
    second.save()
    Revocation.objects.create(
        certificate=second,
        state=RevocationState.CONFIRMED,
        reason=RevocationReason.KEY_COMPROMISE,
        requested_by=second.account,
        requested_at=timezone.now(),
    )
    enrolling.revoke_at_authority(second)
    work(lambda: fresh(applied).state == S.REVOKED)
    for each in (first, second):
        status = pebble.status(int(each.serial, 16))
        assert (status["Status"], status["Reason"]) == ("Revoked", 1)


def test_application_cancelled_after_it_was_proven_is_never_issued(pebble, applied):
    be_proven(pebble, applied)
    work(is_in(applied, E.READY))
    certificate = fresh(applied)
    enrolling.ask_to_close(certificate, at=timezone.now())
    certificate.save()
    work(lambda: enrollment_of(applied).state in {E.CLOSED, E.ISSUED})
    assert (enrollment_of(applied).state, fresh(applied).state) == (E.CLOSED, S.PENDING_APPLICATION)


def test_wrong_record_fails_the_application_in_words(pebble, applied):
    work(is_in(applied, E.PENDING))
    publish(pebble, challenges_of(applied), value="something-else")
    prove(applied, at=timezone.now())
    work(is_in(applied, E.REFUSED))
    certificate = fresh(applied)
    assert certificate.state == S.VALIDATION_FAILED
    assert certificate.failure_cause.startswith(f"What the certificate authority found for {certificate.name}")


def test_authority_that_is_away_keeps_the_application_waiting(pebble, applied, settings):
    settings.ACME_DIRECTORY = pebble.directory + "ectory"
    [job] = Job.objects.filter(kind="advance_enrollment", state=Job.State.QUEUED)
    run(job, at=timezone.now())
    certificate = fresh(applied)
    assert (certificate.state, enrollment_of(applied).state) == (S.PENDING_VERIFICATION, E.ORDERED)
    assert certificate.authority_silent_since is not None
    settings.ACME_DIRECTORY = pebble.directory
    assert be_issued(pebble, applied).authority_silent_since is None
