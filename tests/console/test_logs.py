"""What the log does not hold."""

import logging

import pytest
from django.conf import settings
from django.test import Client

from console.logs import HideLinks


def logged(message: str, *args: object) -> str:
    record = logging.LogRecord("django.security.csrf", logging.WARNING, "", 1, message, args, None)
    assert HideLinks().filter(record)
    return record.getMessage()


def test_the_log_keeps_the_beginning_of_a_link_that_acts() -> None:
    assert logged("Not Found: %s", "/accounts/password/reset/key/1-ab-cd/") == (
        "Not Found: /accounts/password/reset/key/…/"
    )
    assert logged("Forbidden (%s): %s", "CSRF", "/revocations/WzEs:secret/") == "Forbidden (CSRF): /revocations/…/"
    for link in ("/email/confirm/", "/email/restore/"):
        assert logged("Not Found: %s", f"{link}WzEs:secret/") == f"Not Found: {link}…/"
    assert logged("Not Found: %s", "/certificates/cas-1/") == "Not Found: /certificates/cas-1/"


def test_every_handler_leaves_such_links_out() -> None:
    assert all("hide_links" in handler["filters"] for handler in settings.LOGGING["handlers"].values())


@pytest.mark.django_db
def test_a_refused_form_leaves_its_link_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(HideLinks())
    assert Client(enforce_csrf_checks=True).post("/revocations/WzEsMV0:abc/").status_code in {403, 404}
    assert "WzEsMV0:abc" not in caplog.text
