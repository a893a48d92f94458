"""A Pebble for these tests, and the console set up to use it. The tests are one xdist group: they share it."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from tests.acme.pebble import Pebble, running_pebble


@pytest.fixture(scope="session")
def shared_pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("pebble")) as pebble:
        yield pebble


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> None:
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]


@pytest.fixture
def pebble(shared_pebble: Pebble, settings: Settings) -> Pebble:
    """The shared Pebble as the directory of this test; the console's account there is made anew."""
    return use(shared_pebble, settings)


def use(pebble: Pebble, settings: Settings) -> Pebble:
    settings.ACME_DIRECTORY, settings.ACME_TRUST = pebble.directory, str(pebble.trust)
    settings.ACME_CONTACT = "staff@example.com"
    return pebble
