"""Job handlers for tests: each takes what it shall do from the payload."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection

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


def answer(payload: dict[str, Any], *, at: datetime) -> Callable[[], jobs.TryAgain | jobs.Later | None]:
    """Its settlement stores a job and says what the payload names."""
    said = {
        "try again": jobs.TryAgain(TimeoutError("no answer")),
        "later": jobs.Later(timedelta(minutes=15)),
        "done": None,
    }

    def settlement() -> jobs.TryAgain | jobs.Later | None:
        jobs.enqueue("note", key="stored", payload={"name": "stored"})
        return said[payload["says"]]

    return settlement


def given_up(payload: dict[str, Any], error: Exception) -> None:
    """Takes on what was given up: stores a job, and may break after that."""
    done.append((payload, str(error), connection.in_atomic_block))
    jobs.enqueue("note", key="for a person", payload={"name": "for a person"})
    if payload.get("breaks"):
        raise breaking[payload["breaks"]]


breaking = {"bug": RuntimeError("half taken on"), "outage": OperationalError("server closed the connection")}
