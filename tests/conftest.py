"""What every test stands on. Time is an argument; where a view reads the clock, `frozen` stops it at NOON."""

import os
from collections.abc import Generator, Iterator
from uuid import uuid4

import hypothesis
import pytest
import time_machine
from django.db import connection
from django.test import Client, TransactionTestCase
from pytest_django import Settings

from console.management.commands.check_ledger import offending
from core.guards import guards_lifted
from core.models import User
from payments.models import LedgerEntry, Payout
from tests import factories, template_database
from tests.factories import NOON

# In the gate the same examples each time; HYPOTHESIS_PROFILE=soak draws others, and many more where a test says so.
hypothesis.settings.register_profile("gate", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("soak", database=None, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long forms run when they are asked for: `-m soak`, or with the other ones by HYPOTHESIS_PROFILE=soak."""
    if "soak" in config.option.markexpr or os.environ.get("HYPOTHESIS_PROFILE") == "soak":
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("soak")])
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture
def frozen() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def customer(db: None) -> User:
    return factories.UserFactory(username="customer")


@pytest.fixture
def neighbour(db: None) -> User:
    return factories.UserFactory(username="neighbour")


@pytest.fixture
def reviewer(db: None) -> User:
    return factories.reviewer()


@pytest.fixture
def cashier(db: None) -> User:
    return factories.cashier()


@pytest.fixture
def clerk(db: None) -> User:
    return factories.clerk()


@pytest.fixture
def as_customer(customer: User) -> Client:
    return signed_in(customer)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def books_are_proved(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test that moves money leaves books that `check_ledger` finds in order."""
    needs_database = {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    if not (needs_database or request.node.get_closest_marker("django_db")):
        yield
        return
    # Set up before this fixture, so that the rows are still there after the test.
    request.getfixturevalue("db")
    yield
    is_broken = request.node.get_closest_marker("broken_books") or "without_database_guards" in request.fixturenames
    if is_broken or connection.needs_rollback:
        return
    if LedgerEntry.objects.exists() or Payout.objects.exists():
        assert [str(finding) for finding in offending()] == []


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """Asked for before the databases are made: they're copies of one that was migrated before."""
    with template_database.copied():
        yield


@pytest.fixture(scope="session", autouse=True)
def flush_lifts_guards() -> Iterator[None]:
    """Transactional tests empty the tables after themselves, which append-only triggers rightly refuse."""
    plain = TransactionTestCase._fixture_teardown

    def teardown(case: TransactionTestCase) -> None:
        with guards_lifted():
            plain(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture(autouse=True)
def cache_of_its_own(settings: Settings) -> None:
    """Sign-in limits live in the cache: no test may meet another's."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": uuid4().hex}}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A log line may hold half a character (it is what some tests are about); a report to another process may not."""
    report = yield
    report.sections = [(title, words.encode(errors="backslashreplace").decode()) for title, words in report.sections]
    return report
