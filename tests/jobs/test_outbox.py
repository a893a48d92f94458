"""The outbox: what is ordered in a transaction is done outside it, by one worker at a time, until it succeeds."""

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from core import jobs
from core.models import Job
from tests.factories import NOON


def noon():
    return NOON


def note(name: str, **fields: Any) -> Job:
    jobs.enqueue("note", key=name, payload={"name": name})
    return store(f"note:{name}", **fields)


def store(key: str, **fields: Any) -> Job:
    Job.objects.filter(key=key).update(**fields)
    return Job.objects.get(key=key)


def run_due(**options: Any) -> int:
    return jobs.run_due("worker", clock=noon, **options)


# --- Ordering ----------------------------------------------------------------------------------


def test_job_of_a_transaction_that_fails_is_never_run(db, done):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        note("gone")
        raise ZeroDivisionError
    assert (run_due(), done) == (0, [])


def test_known_key_orders_nothing_more(db, done):
    note("once")
    assert run_due() == 1
    note("once")
    assert (run_due(), done) == (0, ["once"])


def test_delayed_job_waits(db, done):
    jobs.enqueue("note", key="later", payload={"name": "later"}, delay=timedelta(minutes=1))
    assert run_due() == 0
    store("note:later", run_at=Now())
    assert run_due() == 1


def test_longest_due_job_is_first(db, done):
    note("second", run_at=Now() - timedelta(seconds=1))
    note("first", run_at=Now() - timedelta(seconds=2))
    run_due()
    assert done == ["first", "second"]


# --- Handling and settling ---------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_handler_runs_outside_any_transaction_and_its_settlement_inside_one(done):
    jobs.enqueue("settle", key="1", payload={})
    run_due(limit=1)
    assert done == [("handled", False, NOON), ("settled", True, NOON)]
    job = Job.objects.get(key="settle:1")
    assert (job.state, job.lease, job.leased_until) == (Job.State.DONE, "", None)
    assert job.finished_at


def test_settlement_that_breaks_leaves_nothing_and_is_tried_again(db, done):
    jobs.enqueue("settle", key="1", payload={"breaks": True})
    run_due()
    job = Job.objects.get()
    assert (job.state, job.attempts, job.last_error) == (Job.State.QUEUED, 1, "RuntimeError: half done")
    assert job.lease == ""
    assert not jobs.due().exists()


def test_job_that_always_fails_holds_up_no_other(db, done):
    jobs.enqueue("fail", key="poison", payload={})
    note("bread")
    assert run_due() == 2
    assert done == ["bread"]


def test_error_with_characters_that_no_database_stores_is_kept_without_them(db, done):
    jobs.enqueue("fail_oddly", key="1", payload={})
    run_due()
    assert Job.objects.get().last_error == "RuntimeError: ab ?"


def test_job_of_an_unknown_kind_waits_for_a_console_that_knows_it(db, done, settings):
    jobs.enqueue("feed_cat", key="1", payload={"name": "cat"})
    note("bread")
    assert run_due() == 2
    job = Job.objects.get(kind="feed_cat")
    assert (job.state, job.last_error) == (Job.State.QUEUED, "UnknownKind: feed_cat")
    settings.JOB_HANDLERS = {"feed_cat": "tests.jobs.handlers.note"}
    store(job.key, run_at=Now())
    run_due()
    assert done == ["bread", "cat"]


# --- Trying again ------------------------------------------------------------------------------


def test_waits_double_from_a_second_to_an_hour(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    waits = [jobs.back_off(attempts).total_seconds() for attempts in (1, 2, 3, 12, 13, 1000)]
    assert waits == [1, 2, 4, 2048, 3600, 3600]


def test_waits_are_spread_by_a_quarter():
    waits = [jobs.back_off(3).total_seconds() for _ in range(200)]
    assert 3 <= min(waits) < max(waits) <= 4


def test_job_that_failed_too_often_is_left_to_a_person(db, done):
    jobs.enqueue("fail", key="1", payload={})
    store("fail:1", attempts=jobs.MAX_ATTEMPTS - 2)
    run_due()
    assert store("fail:1", run_at=Now()).state == Job.State.QUEUED
    run_due()
    assert store("fail:1", run_at=Now()).state == Job.State.GIVEN_UP
    assert run_due() == 0


def test_person_queues_a_given_up_job_from_its_first_attempt(db, done):
    job = note("again", state=Job.State.GIVEN_UP, attempts=12, last_error="RuntimeError: tired")
    jobs.try_again(job)
    assert (run_due(), done) == (1, ["again"])
    assert store("note:again").attempts == 1


def test_person_cannot_queue_a_done_job_again(db, done):
    job = note("once")
    run_due()
    jobs.try_again(job)
    assert (run_due(), done) == (0, ["once"])


def test_job_whose_workers_all_died_is_left_to_a_person_and_the_next_one_runs(db, done):
    note("deadly", attempts=jobs.MAX_ATTEMPTS, lease="dead", leased_until=Now() - timedelta(seconds=1))
    note("bread")
    assert (run_due(), done) == (1, ["bread"])
    job = store("note:deadly")
    assert (job.state, job.last_error) == (
        Job.State.GIVEN_UP,
        f"WorkersDied: Every worker that took it up died, {jobs.MAX_ATTEMPTS} times.",
    )


# --- Leases ------------------------------------------------------------------------------------


def test_leased_job_is_nobody_elses(db, done):
    note("one")
    assert jobs.claim("first").attempts == 1
    assert jobs.claim("second") is None


def test_job_of_a_worker_that_died_is_taken_over_after_its_lease(db, done):
    note("one")
    jobs.claim("first")
    store("note:one", leased_until=Now() - timedelta(milliseconds=50))
    taken_over = jobs.claim("second")
    assert taken_over.attempts == 2
    assert store("note:one").lease == taken_over.lease


def test_lease_runs_by_the_databases_clock_not_the_workers(db, done):
    note("one")
    jobs.claim("first")
    with time_machine.travel(NOON + timedelta(days=3650)):
        assert jobs.claim("worker whose clock is wrong") is None


def test_worker_that_lost_its_lease_stores_nothing(db, done):
    jobs.enqueue("settle", key="1", payload={})
    slow = jobs.claim("slow")
    store("settle:1", leased_until=Now() - timedelta(seconds=1))
    quick = jobs.claim("quick")
    jobs.run(slow, at=NOON)
    job = store("settle:1")
    assert (job.state, job.lease) == (Job.State.QUEUED, quick.lease)
    assert not Job.objects.filter(kind="note").exists()
    jobs.run(quick, at=NOON)
    assert store("settle:1").state == Job.State.DONE
    assert Job.objects.filter(kind="note").count() == 1


def test_worker_that_lost_its_lease_does_not_put_the_job_off(db, done):
    jobs.enqueue("fail", key="1", payload={})
    slow = jobs.claim("slow")
    store("fail:1", leased_until=Now() - timedelta(seconds=1))
    quick = jobs.claim("quick")
    jobs.run(slow, at=NOON)
    job = store("fail:1")
    assert (job.lease, job.last_error) == (quick.lease, "")


def test_lane_takes_only_what_is_its(db, done):
    note("mine")
    jobs.enqueue("fail", key="1", payload={})
    assert run_due(lane=Q(kind="note")) == 1
    assert store("fail:1").attempts == 0


# --- Several workers ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_idle_worker_takes_no_lock(done):
    with CaptureQueriesContext(connection) as queries:
        assert jobs.claim("idle") is None
    assert [query["sql"].split()[0] for query in queries] == ["SELECT"]


def test_claim_skips_what_others_hold_where_the_database_can(db, done):
    note("one")
    with CaptureQueriesContext(connection) as queries:
        jobs.claim("worker")
    is_skipping = any("SKIP LOCKED" in query["sql"] for query in queries)
    assert is_skipping == connection.features.has_select_for_update_skip_locked


@pytest.mark.django_db(transaction=True)
def test_four_workers_run_each_job_once(done):
    names = [f"job {number:02}" for number in range(24)]
    for name in names:
        note(name)
    in_parallel(4, lambda: run_due(limit=len(names)))
    assert sorted(done) == names
    assert set(Job.objects.values_list("state", "attempts")) == {(Job.State.DONE, 1)}


def in_parallel(workers: int, work: Callable[[], object]) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
