"""What an authority has revoked by itself is noticed the same day and shown, whoever else is asked about."""

from datetime import timedelta

import pytest
from django.db import OperationalError

from certificates.authority.base import AuthorityUnavailable
from certificates.models import Enrollment, Revocation
from certificates.services import authority_job, enrolling, watching
from certificates.services.watching import order_watch, watch
from certificates.states import CertificateState, EnrollmentState, RevocationReason, RevocationState
from core.models import AuditEntry, Job, Notice
from tests.factories import NOON
from tests.lifecycle.engine import (
    FakeAuthority,
    advance,
    enrollment_of,
    fresh,
    handed_in,
    next_job,
    prove,
    run,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TOMORROW = NOON + DAY
REVOKED = NOON + 3 * HOUR
S = CertificateState


@pytest.fixture
def authority(monkeypatch):
    fake = FakeAuthority()
    for module in (authority_job, watching):
        monkeypatch.setattr(module, "authority_of", lambda _: fake)
    return fake


def issued(account):
    certificate = handed_in(account)
    advance()
    prove(certificate)
    advance()
    return fresh(certificate)


def revoke_by_itself(authority, enrollment, moment=REVOKED):
    authority.revoked[enrollment.reference] = moment


def reissued(authority, certificate):
    """Its first issue and the one that has taken its place."""
    first = enrollment_of(certificate)
    enrolling.order_enrollment(
        fresh(certificate), certificate.application, ["shop.example.com"], at=NOON, is_reissue=True
    )
    advance()
    prove(certificate)
    advance()
    return first, enrollment_of(certificate)


# --- What is noticed ---------------------------------------------------------------------------


def test_certificate_that_the_authority_revoked_is_revoked_here(customer, authority):
    certificate = issued(customer)
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.ISSUED
    revoke_by_itself(authority, enrollment_of(certificate))
    watch(at=TOMORROW)
    now = fresh(certificate)
    assert (now.state, now.revoked_at, now.revocation_requested_at) == (S.REVOKED, REVOKED, REVOKED)
    enrollment = enrollment_of(certificate)
    assert (enrollment.state, enrollment.revoked_at) == (EnrollmentState.REVOKED, REVOKED)
    [entry] = AuditEntry.objects.filter(act="revocation_noticed")
    assert (entry.at, entry.detail) == (
        TOMORROW,
        {"reference": enrollment.reference, "revoked_at": REVOKED.isoformat()},
    )
    watch(at=TOMORROW + DAY)
    assert AuditEntry.objects.filter(act="revoked").count() == 1


def test_owner_is_told_of_it_once(customer, authority):
    certificate = issued(customer)
    revoke_by_itself(authority, enrollment_of(certificate))
    watch(at=TOMORROW)
    assert [(each.template, each.recipient) for each in Notice.objects.exclude(template="certificate_issued")] == [
        ("revocation_done", customer)
    ]


@pytest.mark.parametrize(
    ("said", "stored"), [(NOON - DAY, NOON), (TOMORROW + HOUR, TOMORROW)], ids=["dated back", "clock ahead"]
)
def test_moment_that_cannot_be_is_brought_between_issue_and_now(customer, authority, said, stored):
    certificate = issued(customer)
    revoke_by_itself(authority, enrollment_of(certificate), said)
    watch(at=TOMORROW)
    assert fresh(certificate).revoked_at == stored


def test_earlier_issue_that_was_revoked_alone_ends_nothing(customer, authority):
    certificate = issued(customer)
    first, second = reissued(authority, certificate)
    revoke_by_itself(authority, first)
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.ISSUED
    states = list(Enrollment.objects.order_by("id").values_list("state", flat=True))
    assert states == [EnrollmentState.REVOKED, EnrollmentState.ISSUED]
    revoke_by_itself(authority, second)
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.REVOKED


def test_reissue_under_way_is_closed_when_the_certificate_was_revoked(customer, authority):
    certificate = issued(customer)
    current = enrollment_of(certificate)
    enrolling.order_enrollment(
        fresh(certificate), certificate.application, ["shop.example.com"], at=NOON, is_reissue=True
    )
    advance()
    revoke_by_itself(authority, current)
    watch(at=TOMORROW)
    advance(at=TOMORROW)
    assert enrollment_of(certificate).state == EnrollmentState.CLOSED
    assert fresh(certificate).state == S.REVOKED


# --- Beside a revocation that the owner asked for ----------------------------------------------


def revoking(certificate, *, confirmed=True):
    certificate = fresh(certificate)
    certificate.request_revocation()
    certificate.revocation_requested_at = NOON
    certificate.revocation_confirmed_at = NOON if confirmed else None
    certificate.save()
    Revocation.objects.create(
        certificate=certificate,
        state=RevocationState.CONFIRMED if confirmed else RevocationState.REQUESTED,
        reason=RevocationReason.SUPERSEDED,
        requested_by=certificate.account,
        requested_at=NOON,
    )
    if confirmed:
        enrolling.revoke_at_authority(certificate)


@pytest.mark.parametrize("confirmed", [True, False])
def test_revocation_that_was_requested_is_completed(customer, authority, confirmed):
    certificate = issued(customer)
    revoking(certificate, confirmed=confirmed)
    revoke_by_itself(authority, enrollment_of(certificate))
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.REVOKED
    assert Revocation.objects.get().state == RevocationState.COMPLETED
    if confirmed:
        run(next_job(), at=TOMORROW)


def test_confirmed_revocation_ends_with_the_last_issue(customer, authority):
    certificate = issued(customer)
    first, second = reissued(authority, certificate)
    revoking(certificate)
    authority.fails = {"revoke"}
    revoke_by_itself(authority, second)
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.REVOKING
    revoke_by_itself(authority, first)
    watch(at=TOMORROW)
    assert fresh(certificate).state == S.REVOKED


def test_job_that_revokes_at_this_moment_finds_it_done(customer, authority):
    certificate = issued(customer)
    revoking(certificate)
    job = next_job()
    settle = authority_job.advance_enrollment(job.payload, at=TOMORROW)
    watch(at=TOMORROW)
    settle()
    assert fresh(certificate).state == S.REVOKED
    assert AuditEntry.objects.filter(act="revoked").count() == 1


@pytest.mark.parametrize("state", [S.REVOKED, S.ISSUED])
def test_certificate_whose_revocation_was_stored_meanwhile_is_left_alone(
    customer, authority, monkeypatch, caplog, state
):
    certificate = issued(customer)
    revoke_by_itself(authority, enrollment_of(certificate))
    plain = watching.lock

    def be_second(certificate_id):
        type(certificate).objects.filter(pk=certificate_id).update(state=state)
        if state == S.ISSUED:
            Enrollment.objects.filter(certificate=certificate_id).update(state=EnrollmentState.REVOKED)
        return plain(certificate_id)

    monkeypatch.setattr(watching, "lock", be_second)
    watch(at=TOMORROW)
    assert fresh(certificate).revoked_at is None
    assert not AuditEntry.objects.filter(act="revocation_noticed").exists()
    assert "nothing could be learnt" not in caplog.text


# --- Who is asked about ------------------------------------------------------------------------


def test_nobody_asks_about_what_is_over(customer, authority):
    issued(customer)
    authority.calls.clear()
    watch(at=NOON + 366 * DAY)
    assert authority.calls == []


def test_authority_that_gives_no_answer_keeps_no_other_from_being_asked(customer, neighbour, authority, monkeypatch):
    silent, sound = issued(customer), issued(neighbour)
    revoke_by_itself(authority, enrollment_of(sound))
    plain = authority.poll_revocation

    for error in (AuthorityUnavailable("no answer"), ValueError("nobody thought of this")):

        def poll(order, pem, *, at, error=error):
            if order.reference == enrollment_of(silent).reference:
                raise error
            return plain(order, pem, at=at)

        monkeypatch.setattr(authority, "poll_revocation", poll)
        watch(at=TOMORROW)
    assert (fresh(silent).state, fresh(sound).state) == (S.ISSUED, S.REVOKED)


def test_database_that_is_away_is_waited_for(customer, authority, monkeypatch):
    issued(customer)

    def be_away(*_, **__):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(authority, "poll_revocation", be_away)
    with pytest.raises(OperationalError):
        watch(at=TOMORROW)


def test_certificate_that_cannot_be_read_keeps_no_other_from_being_asked(customer, neighbour, authority):
    broken, sound = issued(customer), issued(neighbour)
    Enrollment.objects.filter(certificate=broken).update(pem="no PEM")
    for each in (broken, sound):
        revoke_by_itself(authority, enrollment_of(each))
    watch(at=TOMORROW)
    assert (fresh(broken).state, fresh(sound).state) == (S.ISSUED, S.REVOKED)
    assert enrollment_of(broken).state == EnrollmentState.ISSUED


# --- A day's questions -------------------------------------------------------------------------


def asked(authority):
    return authority.calls.count("poll_revocation")


def test_questions_are_asked_in_pages(customer, authority):
    for _ in range(3):
        issued(customer)
    first = watch(at=TOMORROW, limit=2)
    assert (asked(authority), first) == (2, Enrollment.objects.order_by("id")[1].pk)
    assert watch(at=TOMORROW, after=first, limit=2) is None
    assert asked(authority) == 3


def test_page_ends_early_when_answers_take_long(customer, authority, monkeypatch):
    for _ in range(3):
        issued(customer)
    seconds = iter(range(0, 100, 3))
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(seconds))
    assert watch(at=TOMORROW) is not None
    assert asked(authority) == 2


def watching_jobs():
    return Job.objects.filter(kind="notice_revocations").order_by("id")


def test_worker_asks_about_everything_once_a_day(customer, authority, monkeypatch):
    monkeypatch.setattr(watching, "PER_JOB", 2)
    for _ in range(5):
        issued(customer)
    for _ in range(2):
        order_watch(at=TOMORROW)
    while waiting := watching_jobs().filter(state="queued").first():
        assert watching_jobs().filter(state="queued").count() == 1
        run(waiting, at=TOMORROW)
        order_watch(at=TOMORROW)
    assert (asked(authority), watching_jobs().count()) == (5, 3)
    order_watch(at=TOMORROW + DAY)
    assert watching_jobs().filter(state="queued").count() == 1


def test_questions_of_the_next_day_wait_for_those_of_this_one(customer, authority):
    order_watch(at=NOON)
    order_watch(at=TOMORROW)
    assert [each.payload["day"] for each in watching_jobs()] == ["2026-11-23"]


def test_worker_pauses_between_two_pages(customer, authority, monkeypatch):
    monkeypatch.setattr(watching, "PER_JOB", 1)
    for _ in range(2):
        issued(customer)
    order_watch(at=TOMORROW)
    run(watching_jobs().get(), at=TOMORROW)
    second = watching_jobs().last()
    assert second.run_at - second.created_at >= timedelta(seconds=1)
