"""The database goes away while a channel is paying, and comes back: the payout is paid once, nothing is left behind.

A PostgreSQL is stopped in the midst of all and started again; an SQLite file is locked for longer than anybody waits.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from tests.faults import process
from tests.faults.databases import LockedFile, OwnServer, unsteady_database
from tests.faults.outside import Outside

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = 120_000
OUTAGE = "The database cannot be used"


@pytest.fixture
def database() -> Iterator[OwnServer | LockedFile]:
    with unsteady_database() as database:
        yield database


@pytest.fixture
def environment(outside: Outside, database: OwnServer | LockedFile) -> dict[str, str]:
    return {**outside.address, "DATABASE_URL": database.url, "DJANGO_SETTINGS_MODULE": "tests.faults.impatient"}


def python(*arguments: str, **environment: str) -> str:
    """What a command says, on standard output."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@contextmanager
def working(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    worker = process.start("--lease", "1", **environment)
    try:
        yield worker
    finally:
        worker.terminate()
        process.end_of(worker)


def test_payout_whose_database_goes_away_while_the_channel_pays_is_paid_once(outside, database, environment):
    if isinstance(database, OwnServer):
        python("manage.py", "migrate", "-v0", **environment)
    python("-m", "tests.faults.ordering", outside.stripe.sell(2 * AMOUNT), str(AMOUNT), **environment)
    outside.stripe.is_holding = True
    with working(environment) as worker:
        assert outside.stripe.has_paid.wait(process.PATIENCE)
        with database.away():
            outside.stripe.may_answer.set()
            said = process.listen_for(worker, "job pay_payout")
            if OUTAGE not in "".join(said):
                process.listen_for(worker, OUTAGE)
        process.wait_until(lambda: database.ask("SELECT DISTINCT state FROM core_job") == [("done",)])
        assert worker.poll() is None
    # The first answer was lost; the second try found what had been done.
    assert [request.method for request in outside.stripe.requests] == ["POST", "GET"]
    assert outside.stripe.books() == [(AMOUNT, "succeeded")]
    assert database.ask("SELECT state FROM payments_payout") == [("paid",)]
    assert database.ask("SELECT state FROM refunds_refundrequest") == [("refunded",)]
    assert "OK: " in python("manage.py", "check_ledger", **environment)
