"""Customers' pages at NOON: `as_customer` asks as a browser without JavaScript does, `htmx` as the drawer does."""

import pytest
from django.test import Client

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def at_noon(frozen: object) -> None:
    """Views read the clock."""


@pytest.fixture
def htmx(as_customer: Client) -> Client:
    """The customer's client as htmx sends its requests; signed in like the other."""
    client = Client(headers=HTMX)
    client.cookies = as_customer.cookies
    return client
