"""Whoever watches the console asks /healthz: without signing in, over plain http, and with an answer in any case."""

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from core.models import User
from tests.conftest import signed_in


@pytest.mark.django_db
def test_a_watcher_hears_that_the_console_is_well() -> None:
    answer = Client().get("/healthz")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_a_watcher_on_plain_http_is_not_redirected(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/accounts/login/").status_code == 301
    assert Client().get("/healthz").status_code == 200


@pytest.mark.django_db
def test_a_watcher_hears_503_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as outage:
        outage.setattr(connection, "cursor", away)
        answer = Client().get("/healthz")
    assert answer.status_code == 503


def test_a_watcher_who_is_signed_in_hears_it_too(customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    client = signed_in(customer)
    with monkeypatch.context() as outage:
        outage.setattr(connection, "cursor", away)
        answer = client.get("/healthz")
    assert answer.status_code == 503
