"""Questions about the policies that count from the payment, dense at their bounds, and where two answers disagree.

`python -m tests.policy.windows 100000` compares as many; the gate compares a few thousand of them.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from refunds.rules.assess import Assessment, Facts, assess
from tests.policy import window_oracle
from tests.policy.oracle import SHANGHAI
from tests.policy.window_oracle import WINDOWS

TICK = timedelta(microseconds=1)
SHIFTS = (-TICK, timedelta(0), TICK)
TIMES = (time(0), time(0, 0, 0, 1), time(7, 59, 59), time(8), time(12), time(23, 59, 59, 999_999))
# Before Spring Festival and National Day with their make-up workdays, a leap day, the end of the announced years.
HOLIDAYS = (
    date(2024, 2, 1), date(2024, 2, 27), date(2025, 1, 20), date(2025, 9, 22), date(2025, 12, 12), date(2026, 1, 30),
    date(2026, 2, 10), date(2026, 9, 1), date(2026, 9, 22), date(2026, 12, 1), date(2026, 12, 24),
)  # fmt: skip


class Questions:
    """The same questions for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def __iter__(self) -> Iterator[tuple[Facts, datetime]]:
        while True:
            yield self._question()

    def _question(self) -> tuple[Facts, datetime]:
        pick = self.random.choice
        policy = pick(list(WINDOWS))
        bought_on = pick(HOLIDAYS) if pick([True, False]) else date(1995, 1, 1) + timedelta(pick(range(42_000)))
        bought_on += timedelta(pick(range(15)))
        purchased_at = self._moment(bought_on)
        ends_after = pick([0, 1, 6, 7, 8, 20, 29, 30, 31, 365, 365, 365, 365, *range(60)])
        facts = Facts(
            source=pick(["purchased"] * 29 + ["uploaded"]),
            free=pick([False] * 29 + [True]),
            paid=pick([0] + [1, 120_000] * 15),
            voucher=pick([0, 5_000]),
            currency=pick(["CNY", "JPY", "KWD"]),
            purchased_at=purchased_at,
            expires_at=max(purchased_at + TICK, self._moment(bought_on + timedelta(ends_after))),
            policy=policy,
            **self._events(bought_on, purchased_at, WINDOWS[policy]),
        )
        return facts, self._asked_at(facts, bought_on, WINDOWS[policy])

    def _events(self, bought_on: date, purchased_at: datetime, window: int) -> dict[str, datetime]:
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
        # All on few days, so that more often than not they have happened when it's asked.
        last = self._days(window) if self.random.randrange(3) else timedelta(self.random.randrange(4))
        moments = [max(purchased_at, self._moment(bought_on + self.random.choice([last, last / 2]))) for _ in names]
        return dict(zip(names, sorted(moments), strict=True))

    def _asked_at(self, facts: Facts, bought_on: date, window: int) -> datetime:
        """Near an event, near either end of the window, before the payment, or on any day."""
        kind = self.random.randrange(8)
        if kind < 2:
            moments = [each for field in fields(facts) if isinstance(each := getattr(facts, field.name), datetime)]
            newest = max(each for each in moments if each != facts.expires_at)
            return self.random.choice([*moments, newest, newest]) + self.random.choice(SHIFTS)
        if kind < 4:
            over_on = datetime.combine(bought_on + timedelta(window + 1), time(0), tzinfo=SHANGHAI)
            return (over_on + self.random.choice(SHIFTS)).astimezone(UTC)
        if kind == 4:
            return facts.purchased_at - self.random.choice([TICK, timedelta(1), timedelta(self.random.randrange(40))])
        return self._moment(bought_on + self._days(window))

    def _days(self, window: int) -> timedelta:
        """Days after the payment, as often as not beside the end of the window."""
        pick = self.random.choice
        return timedelta(pick([pick(range(window - 2, window + 3)), pick(range(window + 1)), pick(range(45)), 364]))

    def _moment(self, day: date) -> datetime:
        at = self.random.choice([*TIMES, time(self.random.randrange(24), self.random.randrange(60))])
        return datetime.combine(day, at, tzinfo=SHANGHAI).astimezone(UTC)


def as_told(assessment: Assessment) -> dict[str, Any]:
    """Everything that an assessment says, in plain values."""
    told = {field.name: getattr(assessment, field.name) for field in fields(assessment)}
    changes_at = assessment.changes_at and assessment.changes_at.astimezone(UTC)
    derived = {"supported": assessment.supported, "button": assessment.button}
    return {**told, **derived, "warnings": list(assessment.warnings), "changes_at": changes_at}


def compare(number: int, *, seed: int) -> tuple[list[tuple[Facts, datetime]], Counter[tuple[str, str]]]:
    """The questions on which `assess` and the oracle disagree, and how many were asked by policy and rule."""
    disagreed, asked = [], Counter[tuple[str, str]]()
    for _, (facts, at) in zip(range(number), Questions(seed), strict=False):
        wanted = window_oracle.answer(asdict(facts), at)
        asked[facts.policy, wanted["rule"]] += 1
        if as_told(assess(facts, at)) != wanted:
            disagreed.append((facts, at))
    return disagreed, asked


def main() -> None:
    number = int(sys.argv[1])
    disagreed, asked = compare(number, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for (policy, rule), count in sorted(asked.items()):
        sys.stdout.write(f"{policy} {rule} {count}\n")
    for facts, at in disagreed[:5]:
        said, wanted = as_told(assess(facts, at)), window_oracle.answer(asdict(facts), at)
        sys.stdout.write(f"{facts} at {at}: {said}, not {wanted}\n")
    sys.stdout.write(f"{number - len(disagreed)} of {number} agree\n")
    sys.exit(bool(disagreed))


if __name__ == "__main__":
    main()
