"""A real Chromium. `make test` finds or installs one and names it in CHROMIUM; without it the tests fail, never skip.

`page` is a page of a context of its own, 1440 pixels wide; `plain_page` one without JavaScript. What is done with them
stands in `tests.browser.helpers`. Time runs on in these tests, from NOON, for the server alone: see `noon`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from playwright.sync_api import BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from core.models import User
from tests.browser.helpers import WIDE
from tests.factories import NOON, UserFactory

# Playwright keeps an event loop in the test's thread, which Django takes for an async caller.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.fail("No Chromium: set CHROMIUM to its path, or run `make test`, which finds or installs one.")
    return {**browser_type_launch_args, "executable_path": path, "args": FLAGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    # A reader far from the service's zone, so that a date in the browser's zone is seen to be wrong.
    return {**browser_context_args, "viewport": WIDE, "locale": "en-US", "timezone_id": "America/Los_Angeles"}


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    return _patient(new_context())


@pytest.fixture
def plain_page(new_context: Callable[..., BrowserContext], live_server: LiveServer, noon: None) -> Page:
    """A page of a browser whose reader has switched JavaScript off."""
    return _patient(new_context(java_script_enabled=False)).new_page()


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer, noon: None) -> Page:
    return context.new_page()


def _patient(context: BrowserContext) -> BrowserContext:
    """Enough for a loaded machine, and short enough that a missing button is heard of soon."""
    context.set_default_timeout(10_000)
    return context


@pytest.fixture
def noon() -> Iterator[None]:
    """The server's clock starts at NOON and runs: sessions, polls and leases go on as in life."""
    with time_machine.travel(NOON, tick=True):
        yield


@pytest.fixture
def shopper(live_server: LiveServer) -> User:
    """The account that owns what a browser test makes; its password is that of every account here."""
    return UserFactory(username="shopper")
