"""From an application to a certificate and back, whatever the authority answers and whenever a worker is killed."""

from datetime import timedelta

import pytest

from certificates.models import Application, Certificate, Revocation
from certificates.services import authority_answers, authority_job, enrolling
from certificates.services.validating import approve_application
from certificates.states import CertificateState, EnrollmentState, Level, RevocationReason, RevocationState
from core.mail import compose
from core.models import AuditEntry, Job, Notice, User
from payments.models import Payout
from refunds.models import RefundRequest
from tests import factories
from tests.factories import NOON
from tests.lifecycle.engine import (
    SECOND,
    FakeAuthority,
    advance,
    ask_only,
    enrollment_of,
    fresh,
    handed_in,
    next_job,
    pem_for,
    prove,
    run,
    state_of,
)
from tests.lifecycle.requests import EC_KEY

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
S, E = CertificateState, EnrollmentState


def issued(customer: User) -> Certificate:
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    advance()
    return fresh(certificate)


def revoking(customer: User) -> Certificate:
    """Confirmed: the authority is to be asked."""
    certificate = issued(customer)
    revoke(certificate)
    return certificate


def revoke(certificate: Certificate) -> None:
    certificate.request_revocation()
    certificate.revocation_requested_at = certificate.revocation_confirmed_at = NOON
    certificate.save()
    Revocation.objects.create(
        certificate=certificate,
        state=RevocationState.CONFIRMED,
        reason=RevocationReason.SUPERSEDED,
        requested_by=certificate.account,
        requested_at=NOON,
    )
    enrolling.revoke_at_authority(certificate)


# --- The plain way -----------------------------------------------------------------------------


def test_an_application_is_handed_in_and_waits_for_its_proof(authority: FakeAuthority, customer: User) -> None:
    certificate = handed_in(customer)
    advance()
    enrollment = enrollment_of(certificate)
    assert (state_of(certificate), enrollment.state) == (S.PENDING_VERIFICATION, E.PENDING)
    assert enrollment.challenges[0]["place"] == "_proof.shop.example.com"
    assert Job.objects.filter(kind="look_for_proof", state="queued").count() == 1


def test_a_proven_dv_certificate_is_issued(authority: FakeAuthority, customer: User) -> None:
    certificate = issued(customer)
    assert certificate.state == S.ISSUED
    assert certificate.issued_at == certificate.validated_at == certificate.proven_at == NOON
    assert certificate.pem == authority.issued[enrollment_of(certificate).reference]
    acts = AuditEntry.objects.filter(subject__contains=certificate.instance_id).values_list("act", flat=True)
    assert list(acts.order_by("id")) == ["domains_proven", "issued"]


def test_what_an_authority_holds_for_proven_already_needs_no_proof(authority: FakeAuthority, customer: User) -> None:
    authority.needs_proof = False
    certificate = handed_in(customer)
    advance()
    assert state_of(certificate) == S.ISSUED


@pytest.mark.parametrize("level", [Level.OV, Level.EV])
def test_ov_and_ev_wait_for_staff_even_when_proven(authority: FakeAuthority, customer: User, level: Level) -> None:
    certificate = handed_in(customer, level=level)
    advance()
    prove(certificate)
    advance()
    assert (state_of(certificate), authority.calls) == (S.VALIDATING_APPLICATION, ["hand_in"])
    validator = factories.staff("validator", "certificates.validate_application")
    approve_application(certificate.pk, by=validator, at=NOON)
    assert fresh(certificate).validated_at == NOON
    advance(at=NOON + DAY)
    assert (state_of(certificate), fresh(certificate).issued_at) == (S.ISSUED, NOON + DAY)


def test_a_slow_authority_is_asked_again_and_its_approval_kept(authority: FakeAuthority, customer: User) -> None:
    authority.is_slow = True
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    advance(rounds=3)
    waiting = fresh(certificate)
    assert (waiting.state, waiting.validated_at, waiting.authority_silent_since) == (
        S.VALIDATING_APPLICATION,
        NOON,
        None,
    )
    authority.is_slow = False
    advance(at=NOON + DAY)
    assert (state_of(certificate), fresh(certificate).validated_at) == (S.ISSUED, NOON)


def test_an_authority_that_refuses_leaves_its_cause(authority: FakeAuthority, customer: User) -> None:
    authority.refuses = "The domain is on a list of names that may not be issued."
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    advance()
    refused = fresh(certificate)
    assert (refused.state, refused.failure_cause) == (S.VALIDATION_FAILED, authority.refuses)
    assert (refused.submitted_at, refused.proven_at, refused.validated_at) == (None, None, None)


# --- Slow, unreachable, killed -----------------------------------------------------------------


@pytest.mark.parametrize("call", ["hand_in", "make_ready", "poll"])
def test_an_unreachable_authority_moves_nothing_and_is_tried_again(
    authority: FakeAuthority, customer: User, call: str
) -> None:
    certificate = handed_in(customer)
    if call != "hand_in":
        advance()
        prove(certificate)
    authority.fails = {call}
    advance(at=NOON + SECOND, rounds=4)
    waiting = fresh(certificate)
    assert waiting.state == (S.PENDING_VERIFICATION if call == "hand_in" else S.VALIDATING_APPLICATION)
    assert waiting.authority_silent_since == NOON + SECOND
    assert enrollment_of(certificate).trouble == f"{call}: no answer"
    authority.fails = set()
    advance()
    if call == "hand_in":
        prove(certificate)
        advance()
    assert (state_of(certificate), fresh(certificate).authority_silent_since) == (S.ISSUED, None)


def test_an_unreachable_authority_is_tried_later_each_time_and_never_given_up(
    authority: FakeAuthority, customer: User
) -> None:
    authority.fails = {"hand_in"}
    certificate = handed_in(customer)
    delays = []
    for _ in range(20):
        run(next_job())
        job = next_job()
        delays.append(job.run_at - job.created_at)
    assert delays[0] < timedelta(seconds=5) < delays[6] < timedelta(hours=1)
    assert all(timedelta(minutes=44) < delay <= timedelta(hours=1, seconds=1) for delay in delays[14:])
    assert enrollment_of(certificate).tries == 20


@pytest.mark.parametrize("killed_at", ["hand_in", "make_ready", "poll"])
def test_a_worker_killed_after_the_authority_acted_issues_nothing_twice(
    authority: FakeAuthority, customer: User, killed_at: str
) -> None:
    certificate = handed_in(customer)
    while authority.calls[-1:] != [killed_at]:
        ask_only(next_job())  # killed here: nothing was stored
        if authority.calls[-1] == killed_at:
            break
        run(next_job())
        if state_of(certificate) == S.PENDING_VERIFICATION and enrollment_of(certificate).state == E.PENDING:
            prove(certificate)
    advance()
    if state_of(certificate) == S.PENDING_VERIFICATION:
        prove(certificate)
        advance()
    assert state_of(certificate) == S.ISSUED
    assert len(authority.issued) == 1
    assert fresh(certificate).pem == next(iter(authority.issued.values()))


def test_a_job_of_an_earlier_step_does_nothing(authority: FakeAuthority, customer: User) -> None:
    certificate = handed_in(customer)
    first = next_job()
    run(first)
    calls = list(authority.calls)
    if (store := authority_job.advance_enrollment(first.payload, at=NOON)) is not None:
        store()
    assert (authority.calls, enrollment_of(certificate).state) == (calls, E.PENDING)


def test_an_answer_that_comes_after_a_closing_was_asked_is_asked_for_anew(
    authority: FakeAuthority, customer: User
) -> None:
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    run(next_job())
    store = ask_only(next_job())  # the authority has issued, and the answer is on its way
    locked = fresh(certificate)
    enrolling.ask_to_close(locked, at=NOON)
    locked.save()
    assert store is not None
    store()
    assert state_of(certificate) == S.VALIDATING_APPLICATION
    advance()
    assert (state_of(certificate), fresh(certificate).closing_since) == (S.ISSUED, None)
    assert len(authority.issued) == 1


# --- Closing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [0, 6])
def test_a_closed_application_is_a_draft_again(authority: FakeAuthority, customer: User, rounds: int) -> None:
    certificate = handed_in(customer)
    advance(rounds=rounds)
    locked = fresh(certificate)
    enrolling.ask_to_close(locked, at=NOON)
    locked.save()
    assert fresh(certificate).closing_since == NOON
    advance()
    closed = fresh(certificate)
    assert (closed.state, closed.closing_since, closed.submitted_at) == (S.PENDING_APPLICATION, None, None)
    assert enrollment_of(certificate).state == E.CLOSED
    assert closed.application.company_name == "Shop Ltd"


def test_no_payout_is_ordered_before_the_authority_has_closed(authority: FakeAuthority, customer: User) -> None:
    certificate = handed_in(customer)
    advance()
    authority.fails = {"close"}
    request = factories.submit(certificate)
    advance(rounds=2)
    assert (RefundRequest.objects.get().state, Payout.objects.count()) == ("approved", 0)
    authority.fails = set()
    advance()
    assert Payout.objects.count() == 1
    factories.pay_out()
    request.refresh_from_db()
    assert (request.state, state_of(certificate)) == ("refunded", S.REFUNDED)


def test_an_issue_that_crosses_a_request_lapses_it_and_tells_to_revoke_first(
    authority: FakeAuthority, customer: User
) -> None:
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    run(next_job())
    ask_only(next_job())  # issued at the authority, and the worker was killed
    request = factories.submit(certificate)
    advance(at=NOON + SECOND)
    request.refresh_from_db()
    assert (request.state, request.lapse_cause, state_of(certificate)) == ("lapsed", "issued", S.ISSUED)
    assert (Payout.objects.count(), fresh(certificate).hold) == (0, "")
    assert Notice.objects.filter(template="refund_lapsed").count() == 1


# --- Revoking ----------------------------------------------------------------------------------


def test_a_confirmed_revocation_is_done_by_the_worker(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    advance(at=NOON + SECOND)
    revoked = fresh(certificate)
    assert (revoked.state, revoked.revoked_at) == (S.REVOKED, NOON + SECOND)
    assert enrollment_of(certificate).state == E.REVOKED
    assert Revocation.objects.get().state == RevocationState.COMPLETED
    assert Notice.objects.get(template="revocation_done").recipient == customer


def test_an_answer_stored_late_counts_from_the_authoritys_moment(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    ask_only(next_job(), at=NOON + DAY)
    advance(at=NOON + 30 * DAY)
    assert fresh(certificate).revoked_at == NOON + DAY


def test_an_unreachable_authority_leaves_a_certificate_revoking(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    authority.fails = {"revoke"}
    advance(at=NOON + SECOND, rounds=3)
    assert (state_of(certificate), fresh(certificate).authority_silent_since) == (S.REVOKING, NOON + SECOND)
    authority.fails = set()
    advance(at=NOON + DAY)
    assert fresh(certificate).revoked_at == NOON + DAY


def test_a_worker_killed_after_the_revocation_stores_its_first_moment(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    ask_only(next_job(), at=NOON + SECOND)
    advance(at=NOON + DAY)
    assert len(authority.revoked) == 1
    assert enrollment_of(certificate).revoked_at == NOON + SECOND
    assert fresh(certificate).revoked_at == NOON + SECOND


def test_a_revocation_waits_while_the_authority_is_at_it(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    authority.is_slow = True
    advance(rounds=2)
    assert state_of(certificate) == S.REVOKING
    authority.is_slow = False
    advance()
    assert state_of(certificate) == S.REVOKED


# --- Re-issues ---------------------------------------------------------------------------------


def reissued(customer: User) -> Certificate:
    certificate = issued(customer)
    enrolling.order_enrollment(certificate, certificate.application, ["shop.example.com"], at=NOON, is_reissue=True)
    advance()
    return certificate


def test_a_re_issue_moves_the_end_and_keeps_the_first_issue(authority: FakeAuthority, customer: User) -> None:
    authority.lifetime = 90 * DAY
    certificate = reissued(customer)
    assert enrollment_of(certificate).state == E.PENDING
    prove(certificate, at=NOON + 60 * DAY)
    advance(at=NOON + 60 * DAY)
    again = fresh(certificate)
    assert (again.state, again.issued_at, again.not_after) == (S.ISSUED, NOON, NOON + 150 * DAY)


def test_a_revocation_takes_every_issue_and_closes_the_one_under_way(authority: FakeAuthority, customer: User) -> None:
    certificate = fresh(reissued(customer))
    revoke(certificate)
    advance()
    states = list(certificate.enrollments.order_by("id").values_list("state", flat=True))
    assert (states, state_of(certificate)) == ([E.REVOKED, E.CLOSED], S.REVOKED)


def test_what_was_issued_after_the_end_is_revoked_too(authority: FakeAuthority, customer: User) -> None:
    """A re-issue that the authority finished while its certificate was being revoked."""
    certificate = fresh(reissued(customer))
    prove(certificate)
    run(next_job())
    ask_only(next_job())  # the re-issue is issued there, and nothing is stored
    authority_answers.end_as_revoked(fresh(certificate), revoked_at=NOON, at=NOON)
    enrolling.revoke_at_authority(certificate)
    advance()
    assert set(certificate.enrollments.values_list("state", flat=True)) == {E.REVOKED}
    assert (len(authority.revoked), state_of(certificate)) == (2, S.REVOKED)


def test_an_issue_for_an_application_that_was_refused_meanwhile_is_revoked(
    authority: FakeAuthority, customer: User
) -> None:
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    run(next_job())
    ask_only(next_job())
    locked = fresh(certificate)
    enrolling.refuse_running(locked, "The company is another one.", at=NOON)
    locked.save()
    advance()
    assert (state_of(certificate), enrollment_of(certificate).state) == (S.VALIDATION_FAILED, E.REVOKED)


def test_an_issue_that_has_expired_needs_no_revocation(authority: FakeAuthority, customer: User) -> None:
    authority.lifetime = 90 * DAY
    certificate = reissued(customer)
    prove(certificate, at=NOON + 60 * DAY)
    advance(at=NOON + 60 * DAY)
    revoke(fresh(certificate))
    advance(at=NOON + 100 * DAY)
    assert (state_of(certificate), len(authority.revoked)) == (S.REVOKED, 1)


def test_a_revocation_that_comes_too_late_ends_with_the_certificate(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    authority.fails = {"revoke"}
    advance(rounds=2)
    advance(at=fresh(certificate).expires_at, rounds=2)
    ended = fresh(certificate)
    assert (ended.state, ended.revocation_confirmed_at, ended.authority_silent_since) == (S.ISSUED, None, None)
    assert Revocation.objects.get().state == RevocationState.LAPSED


def test_no_payout_is_ordered_while_the_order_of_a_failed_application_is_open(
    authority: FakeAuthority, customer: User
) -> None:
    certificate = handed_in(customer)
    advance()
    authority.fails = {"close"}
    locked = fresh(certificate)
    enrolling.refuse_running(locked, "The company is another one.", at=NOON)
    locked.save()
    advance(rounds=2)
    factories.submit(certificate)
    assert (fresh(certificate).closing_since, Payout.objects.count()) == (NOON, 0)
    authority.fails = set()
    advance()
    assert (fresh(certificate).closing_since, Payout.objects.count()) == (None, 1)


def test_a_fault_that_nobody_foresaw_is_tried_again_and_said(
    authority: FakeAuthority, customer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = handed_in(customer)
    with monkeypatch.context() as patch:
        patch.setattr(FakeAuthority, "hand_in", lambda *_, **__: 1 / 0)
        run(next_job())
    assert fresh(certificate).authority_silent_since == NOON
    assert enrollment_of(certificate).trouble == "hand_in: ZeroDivisionError"
    advance()
    assert enrollment_of(certificate).state == E.PENDING


def test_the_key_made_here_goes_with_the_revocation(authority: FakeAuthority, customer: User) -> None:
    certificate = revoking(customer)
    Application.objects.update(key="sealed", key_fingerprint="ab")
    advance()
    assert Application.objects.values_list("key", "key_fingerprint").get(pk=certificate.pk) == ("", "ab")


def test_an_authority_that_takes_its_time_is_asked_ever_more_rarely(authority: FakeAuthority, customer: User) -> None:
    authority.is_slow = True
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    run(next_job())
    delays = []
    for _ in range(15):
        run(next_job())
        job = next_job()
        delays.append(job.run_at - job.created_at)
    assert delays[0] < timedelta(seconds=3) < delays[5] < timedelta(minutes=10, seconds=1)
    assert all(delay > timedelta(minutes=7) for delay in delays[12:])


def test_an_authority_that_issued_before_it_heard_of_the_closing_is_believed(
    authority: FakeAuthority, customer: User
) -> None:
    """Its order stood open still, and proven there by an earlier one."""
    certificate = handed_in(customer)
    advance()
    enrollment = enrollment_of(certificate)
    key = EC_KEY.public_key()
    authority.issued[enrollment.reference] = pem_for(("shop.example.com",), NOON, until=NOON + 365 * DAY, key=key)
    locked = fresh(certificate)
    enrolling.ask_to_close(locked, at=NOON)
    locked.save()
    advance()
    assert (state_of(certificate), enrollment_of(certificate).state) == (S.ISSUED, E.ISSUED)


def test_the_owner_hears_of_an_issue_and_of_a_failed_application(authority: FakeAuthority, customer: User) -> None:
    issued(customer)
    authority.refuses = "The domain may not be issued."
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    advance()
    told = {notice.template: compose(notice).body for notice in Notice.objects.filter(recipient=customer)}
    assert "is issued and valid until 2027-11-23" in told["certificate_issued"]
    assert authority.refuses in told["application_failed"]
