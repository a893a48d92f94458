"""Questions about certificates, dense where an answer may change: the same ones for the same seed."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from refunds.rules.assess import EVENTS, Facts
from tests.policy.oracle import SHANGHAI

TICK = timedelta(microseconds=1)
SHIFTS = (-TICK, timedelta(0), TICK)
TIMES = (time(0), time(0, 0, 0, 1), time(7, 59, 59), time(8), time(12), time(23, 59, 59, 999_999))
# Before Spring Festival and National Day with their make-up workdays, a leap day, the end of the announced years.
HOLIDAYS = (
    date(2024, 2, 1), date(2024, 2, 27), date(2025, 1, 20), date(2025, 9, 22), date(2025, 12, 12), date(2026, 1, 30),
    date(2026, 2, 10), date(2026, 9, 1), date(2026, 9, 22), date(2026, 12, 1), date(2026, 12, 24),
)  # fmt: skip
# The days after the payment or the issue on which an answer may be another one, by policy.
BOUNDS = {"intl-2021": (5, 28), "cn-2021-07": (7,), "cn-2021-07-package": (30,), "intl-2026-03": (7,)}
# Days before the end on which it may be.
BEFORE_THE_END = 15


def questions(number: int, *, seed: int, policies: tuple[str, ...] = tuple(BOUNDS)) -> Iterator[tuple[Facts, datetime]]:
    """So many facts, each with a moment to be asked about."""
    return islice(Questions(seed, policies), number)


class Questions:
    """The same questions for the same seed."""

    def __init__(self, seed: int, policies: tuple[str, ...]) -> None:
        self.policies = policies
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def __iter__(self) -> Iterator[tuple[Facts, datetime]]:
        while True:
            yield self._question()

    def _question(self) -> tuple[Facts, datetime]:
        pick = self.random.choice
        policy = pick(self.policies)
        bound = pick(BOUNDS[policy])
        bought_on = pick(HOLIDAYS) if pick([True, False]) else date(1995, 1, 1) + timedelta(pick(range(42_000)))
        bought_on += timedelta(pick(range(15)))
        purchased_at = self._moment(bought_on)
        ends_after = pick([*range(60), *[365] * 60])
        facts = Facts(
            source=pick(["purchased"] * 29 + ["uploaded"]),
            free=pick([False] * 29 + [True]),
            paid=pick([0] + [1, 120_000] * 15),
            voucher=pick([0, 5_000]),
            currency=pick(["CNY", "JPY", "KWD"]),
            purchased_at=purchased_at,
            expires_at=max(purchased_at + TICK, self._moment(bought_on + timedelta(ends_after))),
            policy=policy,
            **self._events(bought_on, purchased_at, bound),
        )
        return facts, self._asked_at(facts, bought_on, bound)

    def _events(self, bought_on: date, purchased_at: datetime, bound: int) -> dict[str, datetime]:
        names = self.random.choice(
            [
                [],
                ["submitted_at"],
                ["submitted_at", "validated_at"],
                ["submitted_at", "validated_at", "issued_at"],
                ["issued_at"],
                ["issued_at", "revocation_requested_at"],
                ["issued_at", "revocation_requested_at"],
                ["submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at"],
                ["issued_at", "revoked_at"],
                ["issued_at", "revoked_at"],
            ]
        )
        pick = self.random.choice
        first = timedelta(self.random.randrange(4))
        last = first + self._days(bound)
        days = [*pick([[], [last, first]]), *(pick([first, first, last]) for _ in names)][: len(names)]
        moments = [max(purchased_at, self._moment(bought_on + day)) for day in sorted(days)]
        return dict(zip(names, sorted(moments), strict=True))

    def _asked_at(self, facts: Facts, bought_on: date, bound: int) -> datetime:
        """At an event, when a bound is passed, before the payment, or on any day."""
        pick = self.random.choice
        kind = self.random.randrange(9)
        moments = [facts.purchased_at, *filter(None, (getattr(facts, name) for name in EVENTS))]
        if kind < 2:
            return pick([facts.expires_at, *moments, max(moments), max(moments)]) + pick(SHIFTS)
        if kind < 5:
            days = [_day(each) + timedelta(bound + 1) for each in (facts.purchased_at, facts.issued_at) if each]
            last = _day(facts.expires_at) - timedelta(BEFORE_THE_END - 1)
            midnight = datetime.combine(pick([*days, *days, last]), time(0), tzinfo=SHANGHAI)
            return (midnight + pick(SHIFTS)).astimezone(UTC)
        if kind == 6:
            return max(moments) + timedelta(self.random.randrange(40))
        if kind == 5:
            return facts.purchased_at - pick([TICK, timedelta(1), timedelta(self.random.randrange(40))])
        return self._moment(bought_on + self._days(bound))

    def _days(self, bound: int) -> timedelta:
        """Days after the payment, as often as not beside a bound."""
        pick = self.random.choice
        return timedelta(pick([pick(range(bound - 2, bound + 3)), pick(range(bound + 1)), pick(range(45)), 364]))

    def _moment(self, day: date) -> datetime:
        at = self.random.choice([*TIMES, time(self.random.randrange(24), self.random.randrange(60))])
        return datetime.combine(day, at, tzinfo=SHANGHAI).astimezone(UTC)


def _day(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()
