"""The three policies that count from the payment once more, slowly: by trying one day after another.

Written from the provider's pages alone; knows nothing of `core` or `refunds`. Each window is a list of calendar days.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from tests.policy.oracle import (
    NO_DAYS,
    ONE_DAY,
    SHANGHAI,
    Facts,
    count_business_days,
    day_of,
    so_far,
)

# Days after the day of the payment on which a refund can still be had.
WINDOWS = {"cn-2021-07": 7, "cn-2021-07-package": 30, "intl-2026-03": 7}
# Where a certificate that isn't issued is refunded at once; elsewhere staff check it.
AT_ONCE = {"intl-2026-03"}
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


def window_of(facts: Facts) -> list[date]:
    """The day of the payment and those that follow it within the window, in order."""
    found = [day_of(facts["purchased_at"])]
    for _ in range(WINDOWS[facts["policy"]]):
        found.append(found[-1] + ONE_DAY)
    return found


def stage_of(facts: Facts) -> str:
    if facts["issued_at"] and facts["revoked_at"]:
        return "revoked"
    if facts["issued_at"]:
        return "revoking" if facts["revocation_requested_at"] else "issued"
    return "validated" if facts["validated_at"] else "unissued"


def rule_at(facts: Facts, at: datetime) -> str:
    if facts["source"] == "uploaded":
        return "uploaded"
    if facts["free"]:
        return "free-dv"
    if not facts["paid"]:
        return "nothing-paid"
    if facts["expires_at"] <= at:
        return "expired"
    if day_of(at) > window_of(facts)[-1]:
        return "window-over"
    return {
        "revoked": "issued-revoked",
        "revoking": "revocation-pending",
        "issued": "revoke-first",
        "validated": "validated-unissued",
        "unissued": "unissued-immediate" if facts["policy"] in AT_ONCE else "unissued-manual",
    }[stage_of(facts)]


YES = {"issued-revoked", "unissued-immediate", "unissued-manual"}
NOT_YET = {"revocation-pending", "revoke-first", "validated-unissued"}


def outcome_of(rule: str) -> str:
    if rule in YES:
        return "yes"
    return "not yet" if rule in NOT_YET else "no"


def days_from(day: date) -> Iterator[date]:
    while True:
        yield day
        day += ONE_DAY


def next_change(facts: Facts, at: datetime) -> datetime | None:
    """Look at every midnight that is to come, and at the expiration."""
    rule, end = rule_at(facts, at), day_of(facts["expires_at"])
    for day in days_from(day_of(at)):
        if day > end + ONE_DAY:
            return None
        midnight = datetime.combine(day, time.min, tzinfo=SHANGHAI)
        for moment in (midnight, facts["expires_at"]) if day == end else (midnight,):
            if moment > at and rule_at(facts, moment) != rule:
                return moment.astimezone(UTC)
    raise AssertionError


def last_while(fits: Callable[[date], bool], first: date) -> date:
    """The last of the days from `first` on, without a break, that fit."""
    assert fits(first)
    return next(day for day in days_from(first) if not fits(day + ONE_DAY))


def is_supported_on(facts: Facts, day: date) -> bool:
    """Whether the refund can be requested on a day; whether it has expired by then is left aside."""
    noon = datetime.combine(day, time(12), tzinfo=SHANGHAI)
    return rule_at({**facts, "expires_at": NEVER}, noon) in YES


def is_worth_revoking_on(facts: Facts, day: date) -> bool:
    """Whether the refund can be requested on the day on which the revocation is completed."""
    return is_supported_on({**facts, "revoked_at": datetime.combine(day, time(12), tzinfo=SHANGHAI)}, day)


def answer(facts: Facts, at: datetime) -> dict[str, Any]:
    known = so_far(facts, at)
    rule, today, end = rule_at(known, at), day_of(at), day_of(facts["expires_at"])
    supported = rule in YES
    given: dict[str, Any] = {
        "rule": rule,
        "outcome": outcome_of(rule),
        "stage": stage_of(known),
        "supported": supported,
        "review": ("none" if rule == "unissued-immediate" else "manual") if supported else None,
        "amount": facts["paid"] if supported else None,
        "currency": facts["currency"],
        "button": supported or rule in {"revoke-first", "revocation-pending"},
        **NO_DAYS,
        "changes_at": next_change(known, at),
    }
    if supported:
        given["request_by"] = last_while(lambda day: day <= end and is_supported_on(known, day), today)
    if rule in {"revoke-first", "revocation-pending"}:
        given["revoke_by"] = last_while(lambda day: is_worth_revoking_on(known, day), today)
    count_business_days(given, today, end)
    return given
