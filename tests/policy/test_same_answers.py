"""`assess` by the tables answers as `refunds.policy` does, for every case of `intl-2021`."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given

from refunds import policy
from refunds.rules import assess as rules
from tests.policy.strategies import questions, repeatable

ANSWERED = (
    *("supported", "rule", "review", "amount", "currency", "button", "warnings"),
    *("request_by", "revoke_by", "safe_revoke_by", "review_due", "calendar", "changes_at"),
)
CASES = 5_000
# Around every bound, and anywhere in a year and some.
NEAR = (0, 1, 5, 6, 14, 15, 27, 28, 29, 30)


def answers(assessment: Any) -> dict[str, Any]:
    return {name: getattr(assessment, name) for name in ANSWERED}


def same(facts: policy.Facts, at: datetime) -> None:
    tables = rules.Facts(**{field.name: getattr(facts, field.name) for field in fields(rules.Facts)})
    assert answers(rules.assess(tables, at)) == answers(policy.assess(facts, at))


@repeatable
@given(questions())
def test_both_answer_alike_near_every_turn(question: tuple[policy.Facts, datetime]):
    same(*question)


def test_both_answer_alike_over_thousands_of_cases_moments_before_the_payment_included():
    asked = [at < facts.purchased_at for facts, at in cases(Random(7))]  # noqa: S311 - the same cases each time
    assert len(asked) == CASES
    assert sum(asked) > CASES // 20


def cases(random: Random) -> Iterator[tuple[policy.Facts, datetime]]:
    """Every case is compared as it's made."""
    for _ in range(CASES):
        facts = made(random)
        turns = [moment for name in policy.MOMENTS if (moment := getattr(facts, name))]
        at = random.choice(turns) + timedelta(days=random.choice((*NEAR, -1, -14, -15, random.randint(-40, 420))))
        at += timedelta(seconds=random.choice((0, 0, 1, -1, random.randint(-86_400, 86_400))))
        same(facts, at)
        yield facts, at


def made(random: Random) -> policy.Facts:
    year = random.choice((1988, 2019, 2024, 2025, 2026, 2027, 2090))
    midnight = random.choice((0, 57_599, 57_600, 57_601, random.randint(0, 86_399)))
    bought = datetime(year, random.randint(1, 12), random.randint(1, 28), tzinfo=UTC) + timedelta(seconds=midnight)
    issued = later(random, bought)
    requested = later(random, issued) if issued else None
    life = timedelta(days=random.choice((1, 4, 5, 6, 14, 15, 19, 20, 21, 90, 365, 398)), seconds=random.choice((0, 1)))
    return policy.Facts(
        source=random.choice(["purchased"] * 12 + ["uploaded"]),
        free=random.random() < 0.05,
        paid=random.choice([0] + [100] * 12),
        voucher=0,
        currency="CNY",
        purchased_at=bought,
        expires_at=bought + life,
        validated_at=later(random, bought) if random.random() < 0.4 else None,
        issued_at=issued,
        revocation_requested_at=requested,
        revoked_at=later(random, requested or issued) if issued else None,
    )


def later(random: Random, moment: datetime | None) -> datetime | None:
    if moment is None or random.random() < 0.4:
        return None
    return moment + timedelta(days=random.choice((*NEAR, random.randint(0, 420))), seconds=random.choice((0, 3_601)))
