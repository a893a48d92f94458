import pytest
import time_machine

from core.models import User
from tests import factories
from tests.lifecycle.conftest import authority

__all__ = ["authority"]


@pytest.fixture(autouse=True)
def at_noon(frozen: time_machine.Traveller) -> None:
    """The desk reads the clock: it stands at NOON."""


@pytest.fixture
def approver(db: None) -> User:
    """Who approved what a page stands before, where somebody else acts on it."""
    return factories.reviewer("approver")


@pytest.fixture
def superuser(db: None) -> User:
    return factories.UserFactory(username="admin", is_staff=True, is_superuser=True)


@pytest.fixture
def validator(db: None) -> User:
    return factories.staff("validator", "certificates.validate_application", "certificates.view_certificate")
