"""The worker as a real process: what it does, how it stops, and what of the database it survives."""

import signal
import subprocess
from collections.abc import Iterator

import pytest
from django.db import connection

from core.models import Job
from refunds.models import RefundRequest
from tests import factories
from tests.faults import process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    """A worker that has started."""
    worker = process.start()
    try:
        process.listen_for(worker, "The worker has started")
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def is_refunded(request: RefundRequest) -> bool:
    return RefundRequest.objects.get(pk=request.pk).state == "refunded"


def test_idle_worker_pays_each_immediate_refund_as_it_comes(running, customer):
    """How soon is `worker.IDLE`: see `test_busy_lane_does_not_wait_and_an_idle_one_waits_briefly`."""
    for _ in range(5):
        request = factories.submit(factories.certificate(customer))
        process.wait_until(lambda request=request: is_refunded(request))


def test_mail_server_that_does_not_answer_keeps_no_money_waiting(customer, monkeypatch):
    """It's silent for an hour, so a refund that had to wait for a mail would never come."""
    monkeypatch.setenv("FAULT", "the mail server does not answer")
    worker = process.start()
    try:
        process.listen_for(worker, "The worker has started")
        for _ in range(2):
            request = factories.submit(factories.certificate(customer))
            process.wait_until(lambda request=request: is_refunded(request))
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_worker_told_to_stop_finishes_the_job_in_hand(customer, monkeypatch, number):
    monkeypatch.setenv("FAULT", "the channel takes its time")
    request = factories.submit(factories.certificate(customer))
    worker = process.start()
    process.wait_until(lambda: Job.objects.filter(kind="pay_payout").exclude(lease="").exists())
    worker.send_signal(number)
    code, words = process.end_of(worker)
    assert (code, is_refunded(request)) == (0, True), words
    assert "The worker has stopped" in words


def test_worker_that_loses_a_lane_ends_with_an_error(db):
    code, words = process.run(FAULT="a lane breaks")
    assert code == 1
    assert words.splitlines()[-1] == "CommandError: The worker has stopped by an error; see above."


def test_worker_survives_that_the_database_closes_its_connections(running, customer):
    """On SQLite nobody else can close them: the file is all there is, and the refund has only to go through."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'worker'"
            )
            assert cursor.fetchall(), "the worker had no connection to close"
    request = factories.submit(factories.certificate(customer))
    process.wait_until(lambda: is_refunded(request))
    running.terminate()
    code, words = process.end_of(running)
    assert code == 0
    assert words.count("The database cannot be used") == words.count("The database can be used again") <= 1
    assert "Traceback" not in words
