"""What every test stands on. Time is an argument; where a view reads the clock, `frozen` stops it at NOON."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import time_machine
from django.test import Client, TransactionTestCase
from pytest_django import Settings

from core.guards import guards_lifted
from core.models import User
from tests import factories
from tests.factories import NOON


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
