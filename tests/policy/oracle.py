"""The policy once more, slowly and in another manner, from the table in words: day by day, rule by rule.

Knows nothing of `core` or `refunds`. Days are those of UTC+8, which is Asia/Shanghai after 1991.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from typing import Any

import holidays

SHANGHAI = timezone(timedelta(hours=8))
ONE_DAY = timedelta(days=1)
EVENTS = ("submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at")
CALENDAR = holidays.country_holidays("CN", years=range(1990, 2160))

Facts = dict[str, Any]


def day_of(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()


def days_between(earlier: date, later: date) -> int:
    """Counted one by one; negative when the days stand the other way round."""
    if later < earlier:
        return -days_between(later, earlier)
    count = 0
    while earlier < later:
        earlier += ONE_DAY
        count += 1
    return count


@cache
def is_business_day(day: date) -> bool:
    return CALENDAR.is_working_day(day)


def nth_business_day_after(day: date, n: int) -> date:
    while n:
        day += ONE_DAY
        n -= is_business_day(day)
    return day


def calendar_of(first: date, last: date) -> str:
    known = range(1950, 2027)
    return "announced" if first.year in known and last.year in known else "provisional"


def so_far(facts: Facts, at: datetime) -> Facts:
    return {key: None if key in EVENTS and value and value > at else value for key, value in facts.items()}


def _since(facts: Facts, key: str, day: date) -> int:
    return days_between(day_of(facts[key]), day)


def _left(facts: Facts, at: datetime) -> int:
    return days_between(day_of(at), day_of(facts["expires_at"]))


TABLE: list[tuple[str, Callable[[Facts, datetime], bool]]] = [
    ("uploaded", lambda f, at: f["source"] == "uploaded"),
    ("free-dv", lambda f, at: f["free"]),
    ("nothing-paid", lambda f, at: f["paid"] == 0),
    ("expired", lambda f, at: not at < f["expires_at"]),
    (
        "issued-revoked",
        lambda f, at: (
            bool(f["issued_at"] and f["revoked_at"]) and _since(f, "issued_at", day_of(f["revoked_at"])) <= 28
        ),
    ),
    ("revoked-too-late", lambda f, at: bool(f["issued_at"] and f["revoked_at"])),
    ("issued-too-long", lambda f, at: bool(f["issued_at"]) and _since(f, "issued_at", day_of(at)) > 28),
    ("revocation-pending", lambda f, at: bool(f["issued_at"] and f["revocation_requested_at"])),
    ("revoke-first", lambda f, at: bool(f["issued_at"])),
    ("validated-unissued", lambda f, at: bool(f["validated_at"])),
    ("unissued-immediate", lambda f, at: _since(f, "purchased_at", day_of(at)) <= 5),
    ("unissued-manual", lambda f, at: _left(f, at) >= 15),
    ("unissued-too-late", lambda f, at: _left(f, at) < 15),
]


def rule_at(facts: Facts, at: datetime) -> str:
    return next(name for name, fits in TABLE if fits(facts, at))


def next_change(facts: Facts, at: datetime) -> datetime | None:
    """Look at every midnight that is to come, and at the expiration."""
    rule, day = rule_at(facts, at), day_of(at)
    while day <= day_of(facts["expires_at"]) + ONE_DAY:
        midnight = datetime.combine(day, time.min, tzinfo=SHANGHAI)
        for moment in sorted({midnight, facts["expires_at"]} if day == day_of(facts["expires_at"]) else {midnight}):
            if moment > at and rule_at(facts, moment) != rule:
                return moment.astimezone(UTC)
        day += ONE_DAY
    return None


# Until the rule names some.
NO_DAYS: dict[str, Any] = {
    "warnings": [],
    "request_by": None,
    "revoke_by": None,
    "safe_revoke_by": None,
    "review_due": None,
    "calendar": None,
}


def count_business_days(given: dict[str, Any], today: date, end: date) -> None:
    """Fill in what's counted in business days, which all policies count alike: the review and the safe day."""
    if given["review"] == "manual":
        given["review_due"] = nth_business_day_after(today, 15)
        given["calendar"] = calendar_of(today + ONE_DAY, given["review_due"])
        given["warnings"] = ["may-not-finish-before-expiry"] if given["review_due"] > end else []
    if given["rule"] == "revoke-first":
        safe = given["revoke_by"]
        while nth_business_day_after(safe, 5) > given["revoke_by"]:
            safe -= ONE_DAY
        given["safe_revoke_by"] = safe
        given["calendar"] = calendar_of(safe + ONE_DAY, given["revoke_by"])
        given["warnings"] = ["revocation-may-finish-late"] if today > safe else []


def answer(facts: Facts, at: datetime) -> dict[str, Any]:
    known = so_far(facts, at)
    rule, today = rule_at(known, at), day_of(at)
    supported = rule in {"issued-revoked", "unissued-immediate", "unissued-manual"}
    given: dict[str, Any] = {
        "supported": supported,
        "rule": rule,
        "review": {"unissued-immediate": "none"}.get(rule, "manual") if supported else None,
        "amount": facts["paid"] if supported else None,
        "currency": facts["currency"],
        "button": supported or rule in {"revoke-first", "revocation-pending"},
        **NO_DAYS,
        "changes_at": next_change(known, at),
    }
    end = day_of(facts["expires_at"])
    if rule == "issued-revoked":
        given["request_by"] = end
    if rule.startswith("unissued") and supported:
        days = [day_of(facts["purchased_at"]) + 5 * ONE_DAY, end - 15 * ONE_DAY]
        given["request_by"] = min(sorted(days)[-1], end)
    if rule in {"revoke-first", "revocation-pending"}:
        given["revoke_by"] = day_of(facts["issued_at"]) + 28 * ONE_DAY
    count_business_days(given, today, end)
    return given
