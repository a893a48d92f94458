"""Guesses that come at the same moment are counted before any password is looked at."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from core.models import User
from tests.factories import UserFactory
from tests.races.running import together

pytestmark = pytest.mark.django_db(transaction=True)
GUESSES = 12


@pytest.fixture(autouse=True)
def shared_cache(cache_of_its_own: None, settings: Settings) -> None:
    """The cache that the console really counts in."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "console_cache"}
    }


def guess(number: int) -> Callable[[], bool]:
    """A try from an address of its own; whether the password was looked at."""

    def act() -> bool:
        typed = {"login": "customer", "password": f"wrong-{number}"}
        answer = Client().post("/accounts/login/", typed, REMOTE_ADDR=f"192.0.2.{number}")
        return "not correct" in answer.content.decode()

    return act


def test_guessers_at_once_get_no_more_tries_than_one_after_another() -> None:
    UserFactory(username="customer")
    assert sum(together(*[guess(number) for number in range(GUESSES)])) == 5


def test_guessers_at_once_get_no_more_tries_when_earlier_failures_have_run_out(time_machine) -> None:
    UserFactory(username="customer")
    time_machine.move_to("2026-11-23T04:00:00Z", tick=False)
    assert sum(guess(number)() for number in range(6)) == 5
    time_machine.move_to("2026-11-23T04:05:01Z", tick=False)
    assert sum(together(*[guess(number) for number in range(GUESSES)])) == 5


def test_people_who_sign_in_at_once_are_all_let_in() -> None:
    user: User = UserFactory(username="customer")

    def sign_in() -> int:
        return Client().post("/accounts/login/", {"login": user.username, "password": "refund-demo"}).status_code

    assert together(*[sign_in] * 5) == [302] * 5
