"""What every test stands on. Time is an argument; where a view reads the clock, `frozen` stops it at NOON."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
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


ROOT = Path(__file__).parent
# What these prove is the same on every database, so the gate runs them on SQLite alone: rules and their words, reading
# and signing, X.509, templates, pages in the browser, the processes around the console.
ONE_DATABASE = (
    *("acme/test_in_the_browser.py", "acme/test_published.py", "bench", "browser"),
    *("channels/test_alipay_answers.py", "console/test_settings.py", "console/test_tidy_forms.py"),
    *("console/test_turned_text.py", "customer/test_refund_panel.py", "customer/test_refund_policy.py"),
    *("importing/test_bad_files.py", "importing/test_bad_values.py", "importing/test_certificate_files.py"),
    *("importing/test_docs.py", "importing/test_spreadsheets.py", "importing/test_x509.py"),
    *("lifecycle/test_apply_bad_input.py", "lifecycle/test_ca_pages.py", "lifecycle/test_csr.py"),
    *("lifecycle/test_download.py", "lifecycle/test_downloads_verify.py", "lifecycle/test_foreign.py"),
    *("lifecycle/test_names.py", "lifecycle/test_packages.py", "lifecycle/test_pem.py"),
    *("lifecycle/test_upload_bad_input.py", "lifecycle/test_vectors.py", "lifecycle/test_verification.py"),
    *("ops/test_gate.py", "ops/test_run.py", "ops/test_server.py", "ops/test_settings.py", "ops/test_supervisor.py"),
    "policy",
)
_DATABASE_FIXTURES = frozenset({"db", "transactional_db", "live_server"})


def needs_database(item: pytest.Item) -> bool:
    return item.get_closest_marker("django_db") is not None or not _DATABASE_FIXTURES.isdisjoint(item.fixturenames)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long forms, unless asked for by `-m soak`, and on PostgreSQL what needs one database alone."""
    places = [ROOT / place for place in ONE_DATABASE]
    if missing := [str(place) for place in places if not place.exists()]:
        raise pytest.UsageError(f"tests/conftest.py names what isn't there: {missing}")
    for item in items:
        if not needs_database(item) or not {item.path, *item.path.parents}.isdisjoint(places):
            item.add_marker("one_database")
    is_long = "soak" in config.option.markexpr or os.environ.get("HYPOTHESIS_PROFILE") == "soak"
    skipped = [*([] if is_long else ["soak"]), *(["one_database"] if connection.vendor == "postgresql" else [])]
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (left_out if any(map(item.get_closest_marker, skipped)) else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


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
    if not needs_database(request.node):
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
