"""The worker's looks: one after the other, for seven days."""

from datetime import datetime, timedelta

import pytest

from certificates import hooks
from certificates.authority.base import Challenge
from certificates.models import Certificate, Enrollment
from certificates.resolving import Seen
from certificates.services import applications, enrolling, verifying
from certificates.services.verifying import DELAYS, look_for_proof, look_times
from certificates.states import CertificateState, EnrollmentState, Level
from certificates.verification import Finding
from core.models import AuditEntry, Job, User
from tests.factories import NOON
from tests.lifecycle import engine
from tests.lifecycle.engine import FakeAuthority, advance, enrollment_of, fresh, handed_in, run, state_of

S = CertificateState
DAY = timedelta(days=1)


class Sky:
    """What the looks find."""

    def __init__(self) -> None:
        self.is_published = False
        self.looks = 0

    def look(self, challenges: list[Challenge], verification: str) -> list[Finding]:
        self.looks += 1
        return [Finding(each, Seen.FOUND if self.is_published else Seen.NOTHING) for each in challenges]


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch, authority: FakeAuthority) -> Sky:
    sky = Sky()
    monkeypatch.setattr(verifying, "look", sky.look)
    return sky


def pending(customer: User, level: str = Level.DV) -> Certificate:
    certificate = handed_in(customer, level=level)
    advance()
    return certificate


def queued() -> list[Job]:
    return list(Job.objects.filter(kind="look_for_proof", state=Job.State.QUEUED).order_by("id"))


def look_once(*, at: datetime = NOON) -> None:
    [job] = queued()
    run(job, at=at)


def delay_of(job: Job) -> timedelta:
    """How long after it was ordered it is due, to the second."""
    return timedelta(seconds=round((job.run_at - job.created_at).total_seconds()))


@pytest.mark.parametrize("level", [Level.DV, Level.OV])
def test_worker_proves_what_is_published(customer: User, sky: Sky, level: str) -> None:
    certificate = pending(customer, level)
    sky.is_published = True
    look_once()
    assert queued() == []
    assert (enrollment_of(certificate).proven_at, fresh(certificate).proven_at) == (NOON, NOON)
    assert state_of(certificate) == S.VALIDATING_APPLICATION
    advance()
    assert state_of(certificate) == (S.ISSUED if level == Level.DV else S.VALIDATING_APPLICATION)


def test_worker_looks_again_later_each_time(customer: User, sky: Sky) -> None:
    pending(customer)
    delays = []
    for _ in range(len(DELAYS) + 2):
        look_once()
        delays.append(delay_of(queued()[0]))
    assert delays == [*DELAYS, DELAYS[-1], DELAYS[-1]]
    assert sky.looks == len(DELAYS) + 2


def test_last_look_is_when_the_time_is_over(customer: User, sky: Sky) -> None:
    pending(customer)
    for _ in DELAYS:
        look_once()
    look_once(at=NOON + 7 * DAY - timedelta(seconds=90))
    assert delay_of(queued()[0]) == timedelta(seconds=90)


@pytest.mark.parametrize("level", [Level.DV, Level.OV])
def test_application_fails_after_seven_days(
    customer: User, sky: Sky, level: str, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(hooks.certificate_changed, "function", lambda certificate, at: told.append(certificate))
    certificate = pending(customer, level)
    look_once(at=NOON + 7 * DAY - timedelta(seconds=1))
    assert state_of(certificate) != S.VALIDATION_FAILED
    look_once(at=NOON + 7 * DAY)
    now = fresh(certificate)
    assert (now.state, now.failure_cause) == (S.VALIDATION_FAILED, "Not proven within 7 days: shop.example.com.")
    assert (now.submitted_at, now.closing_since) == (None, None)
    assert told == [now]
    entry = AuditEntry.objects.get(act="domains_not_proven")
    assert (entry.note, entry.detail["names"]) == (now.failure_cause, ["shop.example.com"])
    assert queued() == []
    advance()
    assert enrollment_of(certificate).state == EnrollmentState.CLOSED
    assert authority.orders[enrollment_of(certificate).reference] == "closed"


def test_cause_names_three_and_counts_the_rest(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    challenges = [{"name": f"{n}.xn--bcher-kva.de", "place": "x", "value": "x"} for n in range(5)]
    Enrollment.objects.filter(certificate=certificate).update(challenges=challenges)
    look_once(at=NOON + 7 * DAY)
    cause = fresh(certificate).failure_cause
    assert "0.bücher.de (0.xn--bcher-kva.de)" in cause
    assert cause.endswith("2.bücher.de (2.xn--bcher-kva.de) and 2 more.")


def test_what_is_published_at_the_last_moment_counts(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    sky.is_published = True
    look_once(at=NOON + 9 * DAY)
    assert state_of(certificate) == S.VALIDATING_APPLICATION


# --- Exactly one next look ---------------------------------------------------------------------


def test_look_of_an_earlier_number_does_nothing(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    [first] = queued()
    look_once()
    assert sky.looks == 1
    assert look_for_proof(first.payload, at=NOON) is None
    assert sky.looks == 1
    assert enrollment_of(certificate).looks == 1


def test_worker_killed_after_looking_has_done_nothing(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    [job] = queued()
    assert look_for_proof(job.payload, at=NOON) is not None
    assert (enrollment_of(certificate).looks, len(queued())) == (0, 1)
    look_once()
    assert (enrollment_of(certificate).looks, len(queued())) == (1, 1)


def test_two_workers_with_one_look_order_one_next(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    [job] = queued()
    settles = [look_for_proof(job.payload, at=NOON) for _ in range(2)]
    for settle in settles:
        settle()
    assert enrollment_of(certificate).looks == 1
    assert Job.objects.filter(kind="look_for_proof").count() == 2


def test_two_workers_with_one_look_prove_once(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    sky.is_published = True
    [job] = queued()
    for settle in [look_for_proof(job.payload, at=NOON) for _ in range(2)]:
        settle()
    assert AuditEntry.objects.filter(act="domains_proven").count() == 1
    assert enrollment_of(certificate).proven_at == NOON


def test_look_under_way_while_the_application_is_cancelled_proves_nothing(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    sky.is_published = True
    [job] = queued()
    settle = look_for_proof(job.payload, at=NOON)
    applications.cancel_application(certificate.pk, by=customer, at=NOON)
    settle()
    assert enrollment_of(certificate).proven_at is None
    advance()
    assert state_of(certificate) == S.PENDING_APPLICATION
    for job in queued():
        run(job)
    assert queued() == [] and sky.looks == 1


def test_application_that_is_closing_fails_no_more(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    applications.cancel_application(certificate.pk, by=customer, at=NOON + 6 * DAY)
    look_once(at=NOON + 8 * DAY)
    assert (state_of(certificate), sky.looks) == (S.PENDING_VERIFICATION, 0)


# --- Re-issues ---------------------------------------------------------------------------------


def reissuing(customer: User, sky: Sky) -> Certificate:
    certificate = pending(customer)
    engine.prove(certificate)
    advance()
    look_once()
    now = fresh(certificate)
    enrolling.order_enrollment(now, now.application, ["shop.example.com"], at=NOON, is_reissue=True)
    advance()
    return certificate


def test_reissue_is_looked_for_daily_after_seven_days(customer: User, sky: Sky) -> None:
    certificate = reissuing(customer, sky)
    look_once(at=NOON + 7 * DAY)
    assert delay_of(queued()[0]) == DAY
    assert state_of(certificate) == S.ISSUED
    sky.is_published = True
    look_once(at=NOON + 20 * DAY)
    assert enrollment_of(certificate).proven_at == NOON + 20 * DAY


def test_reissue_is_looked_for_until_the_service_ends(customer: User, sky: Sky) -> None:
    certificate = reissuing(customer, sky)
    look_once(at=fresh(certificate).service_ends_at)
    assert queued() == []


def test_reissue_waits_while_a_revocation_may_still_be_withdrawn(customer: User, sky: Sky) -> None:
    certificate = reissuing(customer, sky)
    now = fresh(certificate)
    now.request_revocation()
    now.save()
    looks = sky.looks
    look_once(at=NOON + DAY)
    assert sky.looks == looks
    now.withdraw_revocation()
    now.save()
    sky.is_published = True
    look_once(at=NOON + DAY)
    assert enrollment_of(certificate).proven_at == NOON + DAY


# --- When ---------------------------------------------------------------------------------------


def test_panel_knows_when_was_looked_and_when_will_be(customer: User, sky: Sky) -> None:
    certificate = pending(customer)
    last, following = look_times(enrollment_of(certificate))
    assert last is None and following == queued()[0].run_at
    look_once()
    last, following = look_times(enrollment_of(certificate))
    assert last is not None and following == queued()[0].run_at
