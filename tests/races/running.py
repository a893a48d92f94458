"""Runs acts at the same time, each in a thread with a connection of its own.

And takes the guards away, to see whether what they prevent would really happen.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Barrier, Event, Thread, current_thread
from types import ModuleType
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.models import Model, QuerySet, UniqueConstraint
from django.db.transaction import Atomic
from django_fsm import ConcurrentTransitionMixin

from core.guards import guards_lifted
from payments.models import LedgerEntry
from refunds.models import RefundRequest

Act = Callable[[], Any]

# Seconds after which a thread that has not ended is a deadlock that nobody noticed.
TOO_LONG = 60
# Seconds for which somebody who must wait is seen to wait.
PATIENCE = 0.15


class Runner(Thread):
    """One act in a thread; its outcome is what it returned or raised."""

    def __init__(self, act: Act) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.outcome: Any = None

    def run(self) -> None:
        try:
            self.outcome = self.act()
        except Exception as error:
            self.outcome = error
        finally:
            connections.close_all()

    def end(self) -> Any:
        self.join(TOO_LONG)
        assert not self.is_alive(), "a thread never ended"
        return self.outcome


def together(*acts: Act) -> list[Any]:
    """Start all acts at once; what each returned or raised, in their order."""
    start = Barrier(len(acts))
    runners = [Runner(_after(start, act)) for act in acts]
    for runner in runners:
        runner.start()
    return [runner.end() for runner in runners]


def _after(start: Barrier, act: Act) -> Act:
    def run() -> Any:
        start.wait(TOO_LONG)
        return act()

    return run


class Overtaking:
    """Two acts of which the second starts when the first has looked and not yet stored.

    Guarded, the second waits until the first is through; unguarded, it goes through in between.
    """

    def __init__(self, first: Act, second: Act, *, at: tuple[ModuleType | type, str], patience: float) -> None:
        self.has_looked, self.may_go_on = Event(), Event()
        self.first, self.second = Runner(first), Runner(second)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*at, self._pausing(getattr(*at)))
            self.first.start()
            assert self.has_looked.wait(TOO_LONG), "the first act never came to its pause"
            self.second.start()
            self.second.join(patience)
            self.was_overtaken = not self.second.is_alive()
            self.may_go_on.set()
            self.outcomes = [self.first.end(), self.second.end()]

    def _pausing(self, look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*args: Any, **kwargs: Any) -> Any:
            answer = look(*args, **kwargs)
            if current_thread() is self.first and not self.has_looked.is_set():
                self.has_looked.set()
                assert self.may_go_on.wait(TOO_LONG)
            return answer

        return looked


def overtake(first: Act, second: Act, *, at: tuple[ModuleType | type, str]) -> list[Any]:
    """The outcomes of both acts, the second of which must have waited for the first."""
    race = Overtaking(first, second, at=at, patience=PATIENCE)
    assert not race.was_overtaken, "the second act did not wait for the first"
    return race.outcomes


def overtake_unguarded(first: Act, second: Act, *, at: tuple[ModuleType | type, str]) -> list[Any]:
    """The outcomes of both acts without any guard, the second of which must have gone through in between."""
    with unguarded():
        race = Overtaking(first, second, at=at, patience=TOO_LONG)
    assert race.was_overtaken, "the second act waited, so the control shows nothing"
    return race.outcomes


@contextmanager
def unguarded() -> Iterator[None]:
    """No transaction, no row lock, no look at the state that was read: every statement stands for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Atomic, "__enter__", lambda self: None)
        patch.setattr(Atomic, "__exit__", lambda self, *_: None)
        patch.setattr(QuerySet, "select_for_update", lambda self, **_: self.all())
        patch.delattr(ConcurrentTransitionMixin, "_do_update")
        yield


CONSTRAINTS: list[tuple[type[Model], str]] = [
    (RefundRequest, "one_live_request_per_certificate"),
    (LedgerEntry, "payout_paid_once"),
]


@contextmanager
def database_unguarded() -> Iterator[None]:
    """The database's own guards away: triggers, and the constraints of one live request and one payment of a payout."""
    with ExitStack() as stack:
        stack.enter_context(guards_lifted())
        for model, name in CONSTRAINTS:
            stack.enter_context(_dropped(model, name))
        # Runs before the constraints come back, which the rows of a control would break.
        stack.callback(call_command, "flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
        yield


@contextmanager
def _dropped(model: type[Model], name: str) -> Iterator[None]:
    [constraint] = [each for each in model._meta.constraints if each.name == name]
    assert isinstance(constraint, UniqueConstraint)
    statement = str(constraint.create_sql(model, connection.schema_editor()))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(statement)
