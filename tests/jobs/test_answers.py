"""What a handler may answer besides "done", who takes on what was given up, and how work is ordered once more."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as project
from django.core.checks import run_checks
from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now

from core import jobs
from core.models import Job
from tests.factories import NOON


def noon():
    return NOON


def run_due() -> int:
    return jobs.run_due("worker", clock=noon)


def ordered(kind: str, payload: dict[str, Any], **fields: Any) -> Job:
    jobs.enqueue(kind, key="one", payload=payload)
    return changed(kind, **fields)


def changed(kind: str, **fields: Any) -> Job:
    Job.objects.filter(kind=kind, key=f"{kind}:one").update(**fields)
    return Job.objects.get(kind=kind, key=f"{kind}:one")


def seconds_until(job: Job) -> float:
    """By the database's clock."""
    return Job.objects.annotate(wait=F("run_at") - Now()).get(pk=job.pk).wait.total_seconds()


def is_stored(name: str = "stored") -> bool:
    return Job.objects.filter(key=f"note:{name}").exists()


def last_attempt(kind: str, payload: dict[str, Any]) -> Job:
    return ordered(kind, payload, attempts=jobs.MAX_ATTEMPTS - 1)


@pytest.fixture
def somebody(done, settings):
    """Takes on jobs of two kinds that were given up."""
    settings.JOB_GIVEN_UP = dict.fromkeys(["answer", "fail"], "tests.jobs.handlers.given_up")
    return done


# --- Try again ---------------------------------------------------------------------------------


def test_unanswered_job_stores_its_settlement_and_is_put_off_by_its_back_off(db, done, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    ordered("answer", {"says": "try again"}, attempts=6)
    run_due()
    job = changed("answer")
    assert (job.state, job.attempts, job.lease, job.leased_until) == (Job.State.QUEUED, 7, "", None)
    assert job.last_error == "TimeoutError: no answer"
    assert 60 < seconds_until(job) <= 64
    assert is_stored()


def test_unanswered_job_is_no_error_of_ours(db, done, caplog):
    ordered("answer", {"says": "try again"})
    run_due()
    assert "failed" not in caplog.text


def test_job_unanswered_too_often_is_given_up(db, done, caplog):
    last_attempt("answer", {"says": "try again"})
    run_due()
    assert changed("answer", run_at=Now()).state == Job.State.GIVEN_UP
    assert run_due() == 0
    assert [record.message for record in caplog.records] == [
        f"job answer answer:one needs a person: given up after {jobs.MAX_ATTEMPTS} attempts"
    ]


# --- Later -------------------------------------------------------------------------------------


def test_job_told_to_wait_stores_its_settlement_and_waits_so_long(db, done):
    ordered("answer", {"says": "later"})
    run_due()
    job = changed("answer")
    assert (job.state, job.lease, job.leased_until, job.last_error) == (Job.State.QUEUED, "", None, "")
    assert 895 < seconds_until(job) <= 900
    assert is_stored()


def test_waiting_is_never_counted_as_failing(db, somebody):
    last_attempt("answer", {"says": "later"})
    run_due()
    assert changed("answer", run_at=Now()).attempts == 0
    run_due()
    assert (changed("answer").state, changed("answer").attempts) == (Job.State.QUEUED, 0)


@pytest.mark.parametrize("says", ["try again", "later", "done"])
def test_worker_that_lost_its_lease_stores_no_answer(db, somebody, says):
    ordered("answer", {"says": says}, attempts=jobs.MAX_ATTEMPTS - 2)
    slow = jobs.claim("slow")
    changed("answer", leased_until=Now() - timedelta(seconds=1))
    quick = jobs.claim("quick")
    slow.attempts = jobs.MAX_ATTEMPTS
    jobs.run(slow, at=NOON)
    job = changed("answer")
    assert (job.state, job.lease, job.attempts) == (Job.State.QUEUED, quick.lease, jobs.MAX_ATTEMPTS)
    assert not is_stored()
    assert not is_stored("for a person")


# --- Given up ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"), [("answer", "no answer"), ("fail", "the mail server is away")], ids=["unanswered", "failed"]
)
def test_whoever_is_named_takes_on_what_was_given_up(db, somebody, kind, words):
    last_attempt(kind, {"says": "try again"})
    run_due()
    assert somebody[0] == ({"says": "try again"}, words, True)
    assert is_stored("for a person")


def test_nobody_takes_on_what_is_tried_again(db, somebody):
    ordered("answer", {"says": "try again"}, attempts=jobs.MAX_ATTEMPTS - 2)
    run_due()
    assert not is_stored("for a person")


def test_job_whose_workers_all_died_is_taken_on_too(db, somebody):
    ordered("answer", {"says": "done"}, attempts=jobs.MAX_ATTEMPTS, lease="dead", leased_until=Now() - timedelta(1))
    run_due()
    assert somebody[0] == ({"says": "done"}, f"Every worker that took it up died, {jobs.MAX_ATTEMPTS} times.", True)
    assert changed("answer").state == Job.State.GIVEN_UP


def test_words_that_no_database_stores_reach_nobody(db, done, settings):
    settings.JOB_GIVEN_UP = {"fail_oddly": "tests.jobs.handlers.given_up"}
    last_attempt("fail_oddly", {})
    run_due()
    assert done[0] == ({}, "ab ?", True)


def test_job_that_nobody_can_take_on_is_given_up_all_the_same_and_the_next_one_runs(db, somebody, caplog):
    last_attempt("fail", {"breaks": "bug"})
    jobs.enqueue("note", key="bread", payload={"name": "bread"})
    assert run_due() == 2
    assert changed("fail").state == Job.State.GIVEN_UP
    assert somebody[1:] == ["bread"]
    assert not is_stored("for a person")
    assert "nobody has taken on job fail fail:one" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_job_is_not_given_up_while_the_database_is_away(somebody):
    last_attempt("fail", {"breaks": "outage"})
    with pytest.raises(OperationalError):
        run_due()
    job = changed("fail")
    assert (job.state, job.attempts) == (Job.State.QUEUED, jobs.MAX_ATTEMPTS)
    assert job.lease


def test_check_fails_for_somebody_who_is_not_there(settings):
    settings.JOB_GIVEN_UP = {**project.JOB_GIVEN_UP, "pay_payout": "payments.services.take_it_on"}
    [error] = [error for error in run_checks() if error.id == "core.E002"]
    assert "pay_payout" in error.msg


# --- Ordered once more -------------------------------------------------------------------------


def order_note_again() -> None:
    jobs.enqueue_again("note", key="one", payload={"name": "one"})


def test_unknown_work_ordered_again_is_ordered(db, done):
    order_note_again()
    assert (run_due(), done) == (1, ["one"])


def test_done_work_ordered_again_begins_anew(db, done):
    order_note_again()
    run_due()
    order_note_again()
    job = changed("note")
    assert (job.state, job.attempts, job.finished_at) == (Job.State.QUEUED, 0, None)
    assert (run_due(), done) == (1, ["one", "one"])


@pytest.mark.parametrize("state", [Job.State.GIVEN_UP, Job.State.QUEUED], ids=["given up", "put off"])
def test_failed_work_ordered_again_begins_at_once_from_its_first_attempt(db, done, state):
    ordered("note", {"name": "one"}, state=state, attempts=11, run_at=Now() + timedelta(hours=1))
    order_note_again()
    assert changed("note").attempts == 0
    assert (run_due(), done) == (1, ["one"])


def test_worker_that_has_the_job_in_hand_cannot_end_the_work_ordered_again(db, done):
    """It may have found nothing to do, a moment before there was something."""
    ordered("note", {"name": "one"})
    old = jobs.claim("old")
    order_note_again()
    jobs.run(old, at=NOON)
    assert changed("note").state == Job.State.QUEUED
    assert (run_due(), done) == (1, ["one", "one"])


def test_work_ordered_again_in_a_transaction_that_fails_stays_as_it_was(db, done):
    order_note_again()
    run_due()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        order_note_again()
        raise ZeroDivisionError
    assert (changed("note").state, run_due(), done) == (Job.State.DONE, 0, ["one"])
