"""Job handlers for tests: each takes what it shall do from the payload."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import connection

from core import jobs

done: list[Any] = []


def note(payload: dict[str, Any], *, at: datetime) -> None:
    done.append(payload["name"])


def fail(payload: dict[str, Any], *, at: datetime) -> None:
    raise RuntimeError("the mail server is away")


def fail_oddly(payload: dict[str, Any], *, at: datetime) -> None:
    raise RuntimeError("a\0b \ud800")


def settle(payload: dict[str, Any], *, at: datetime) -> Callable[[], None]:
    """Notes where handler and settlement were called; the settlement orders another job and may break after that."""
    done.append(("handled", connection.in_atomic_block, at))

    def settlement() -> None:
        done.append(("settled", connection.in_atomic_block, at))
        jobs.enqueue("note", key="follow-up", payload={"name": "follow-up"})
        if payload.get("breaks"):
            raise RuntimeError("half done")

    return settlement
