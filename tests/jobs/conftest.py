from typing import Any

import pytest
from pytest_django import Settings

from tests.jobs import handlers


@pytest.fixture
def done(settings: Settings) -> list[Any]:
    """What the handlers did that the outbox knows meanwhile."""
    kinds = ("note", "fail", "fail_oddly", "settle", "answer")
    settings.JOB_HANDLERS = {kind: f"tests.jobs.handlers.{kind}" for kind in kinds}
    settings.JOB_GIVEN_UP = {}
    handlers.done.clear()
    return handlers.done
