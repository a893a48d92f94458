"""How often something may be done: uses counted over a sliding window, in the cache that all processes share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import connection, transaction


@dataclass(frozen=True)
class Limit:
    """At most `amount` uses within any `window`."""

    amount: int
    window: timedelta


@dataclass(frozen=True)
class Use:
    """Something that counts under `key`. With a `part`, only uses of the same part count against it.

    Uses of a part still count against those without one.
    """

    key: str
    limit: Limit
    part: str = ""


class TooMany(Exception):
    """The limit is reached; `wait` is how long until there is room for another use."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(wait)
        self.wait = wait


def take(uses: Iterable[Use], *, at: datetime) -> None:
    """Count all of these uses, or none. Raises TooMany.

    Count before doing what is limited, and call `give_back` where it shouldn't count after all: checking first
    and counting later would let parallel requests through.
    """
    taken: list[Use] = []
    for use in uses:
        try:
            _take(use, at)
        except TooMany:
            give_back(taken, at=at)
            raise
        taken.append(use)


def give_back(uses: Iterable[Use], *, at: datetime) -> None:
    """Forget uses that were taken `at` this moment."""
    for use in uses:
        with _alone(use.key):
            recent = _recent(use, at)
            if (at, use.part) in recent:
                recent.remove((at, use.part))
                _store(use, recent)


def _take(use: Use, at: datetime) -> None:
    with _alone(use.key):
        recent = _recent(use, at)
        against = sorted(moment for moment, part in recent if part == use.part or not use.part)
        if len(against) >= use.limit.amount:
            raise TooMany(against[-use.limit.amount] + use.limit.window - at)
        _store(use, [*recent, (at, use.part)])


def _recent(use: Use, at: datetime) -> list[tuple[datetime, str]]:
    return [(moment, part) for moment, part in cache.get(use.key, []) if moment > at - use.limit.window]


def _store(use: Use, recent: list[tuple[datetime, str]]) -> None:
    # The database cache cuts an expiry down to whole seconds.
    cache.set(use.key, recent, use.limit.window.total_seconds() + 1)


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """One process at a time for a key. The cache itself can't read and write in one step.

    On SQLite every transaction takes the one write lock.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        yield
