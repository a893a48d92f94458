"""The policy's table at every boundary, one second either side, in three zones and over holiday weeks.

Times without a zone in their name are written as the service's clock shows them.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from refunds.rules.assess import Facts, Warning, assess
from refunds.rules.policies import POLICIES, Rule
from refunds.rules.table import Review

SECOND = timedelta(seconds=1)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


def facts(**fields: Any) -> Facts:
    """Bought on a Wednesday morning for a year; moments as texts of the service's clock."""
    texts = {"purchased_at": "2026-08-26T10:00:00", "expires_at": "2027-08-26T10:00:00", **fields}
    values = {
        name: shanghai(value) if isinstance(value, str) and "T" in value else value for name, value in texts.items()
    }
    return Facts(
        **{"source": "purchased", "free": False, "paid": 120_000, "voucher": 5_000, "currency": "CNY", **values}
    )


UNISSUED = facts(submitted_at="2026-08-27T09:00:00")
ISSUED = replace(UNISSUED, validated_at=shanghai("2026-09-07T09:00:00"), issued_at=shanghai("2026-09-07T09:30:00"))
REQUESTED = replace(ISSUED, revocation_requested_at=shanghai("2026-09-10T12:00:00"))
REVOKED = replace(REQUESTED, revoked_at=shanghai("2026-09-12T12:00:00"))

# What is asked about, the first instant of the second rule, the rule until then, the rule from then on.
TURNS = [
    (UNISSUED, "2026-09-01T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL),
    (UNISSUED, "2027-08-12T00:00:00", Rule.UNISSUED_MANUAL, Rule.UNISSUED_TOO_LATE),
    (UNISSUED, "2027-08-26T10:00:00", Rule.UNISSUED_TOO_LATE, Rule.EXPIRED),
    # Bought a second before midnight, that day is day 0; a second later it is the next.
    (facts(purchased_at="2026-08-26T23:59:59"), "2026-09-01T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL),
    (facts(purchased_at="2026-08-27T00:00:00"), "2026-09-02T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL),
    # The end's day counts, not its hour.
    (facts(expires_at="2027-08-26T00:00:00"), "2027-08-12T00:00:00", Rule.UNISSUED_MANUAL, Rule.UNISSUED_TOO_LATE),
    (facts(expires_at="2027-08-25T23:59:59"), "2027-08-11T00:00:00", Rule.UNISSUED_MANUAL, Rule.UNISSUED_TOO_LATE),
    # A service period under 20 days: at once in its first five days; manual from 21 days on.
    (facts(expires_at="2026-09-05T10:00:00"), "2026-09-01T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_TOO_LATE),
    (facts(expires_at="2026-09-15T10:00:00"), "2026-09-01T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_TOO_LATE),
    (facts(expires_at="2026-09-16T10:00:00"), "2026-09-01T00:00:00", Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL),
    (facts(expires_at="2026-09-16T10:00:00"), "2026-09-02T00:00:00", Rule.UNISSUED_MANUAL, Rule.UNISSUED_TOO_LATE),
    (facts(expires_at="2026-08-28T10:00:00"), "2026-08-28T10:00:00", Rule.UNISSUED_IMMEDIATE, Rule.EXPIRED),
    # Each event, at its instant.
    (ISSUED, "2026-09-07T09:00:00", Rule.UNISSUED_MANUAL, Rule.VALIDATED_UNISSUED),
    (ISSUED, "2026-09-07T09:30:00", Rule.VALIDATED_UNISSUED, Rule.REVOKE_FIRST),
    (REQUESTED, "2026-09-10T12:00:00", Rule.REVOKE_FIRST, Rule.REVOCATION_PENDING),
    (REVOKED, "2026-09-12T12:00:00", Rule.REVOCATION_PENDING, Rule.ISSUED_REVOKED),
    # Day 28 after the issue is the last.
    (ISSUED, "2026-10-06T00:00:00", Rule.REVOKE_FIRST, Rule.ISSUED_TOO_LONG),
    (REQUESTED, "2026-10-06T00:00:00", Rule.REVOCATION_PENDING, Rule.ISSUED_TOO_LONG),
    (
        replace(ISSUED, issued_at=shanghai("2026-09-07T00:00:00")),
        "2026-10-06T00:00:00",
        Rule.REVOKE_FIRST,
        Rule.ISSUED_TOO_LONG,
    ),
    (
        replace(ISSUED, issued_at=shanghai("2026-09-06T23:59:59")),
        "2026-10-05T00:00:00",
        Rule.REVOKE_FIRST,
        Rule.ISSUED_TOO_LONG,
    ),
    (ISSUED, "2027-08-26T10:00:00", Rule.ISSUED_TOO_LONG, Rule.EXPIRED),
    (REVOKED, "2027-08-26T10:00:00", Rule.ISSUED_REVOKED, Rule.EXPIRED),
    # Approved by the authority and not handed over: "not yet", to the end.
    (
        replace(UNISSUED, validated_at=shanghai("2027-08-20T09:00:00")),
        "2027-08-20T09:00:00",
        Rule.UNISSUED_TOO_LATE,
        Rule.VALIDATED_UNISSUED,
    ),
    (
        replace(UNISSUED, validated_at=shanghai("2026-08-28T09:00:00")),
        "2026-08-28T09:00:00",
        Rule.UNISSUED_IMMEDIATE,
        Rule.VALIDATED_UNISSUED,
    ),
    (
        replace(UNISSUED, validated_at=shanghai("2027-08-20T09:00:00")),
        "2027-08-26T10:00:00",
        Rule.VALIDATED_UNISSUED,
        Rule.EXPIRED,
    ),
]


@pytest.mark.parametrize(("known", "turn", "before", "after"), TURNS)
def test_a_rule_holds_to_the_last_second_before_the_next(
    known: Facts, turn: str, before: Rule, after: Rule, reader_zone: ZoneInfo
):
    moment = shanghai(turn).astimezone(reader_zone)
    found = [assess(known, moment + shift).rule for shift in (-SECOND, timedelta(0), SECOND)]
    assert found == [before, after, after]


@pytest.mark.parametrize(
    ("revoked_at", "rule"),
    [
        ("2026-10-05T23:59:58", Rule.ISSUED_REVOKED),
        ("2026-10-05T23:59:59", Rule.ISSUED_REVOKED),
        ("2026-10-06T00:00:00", Rule.REVOKED_TOO_LATE),
        ("2026-10-06T00:00:01", Rule.REVOKED_TOO_LATE),
    ],
)
@pytest.mark.parametrize("asked_at", ["2026-10-06T00:00:01", "2026-12-01T12:00:00", "2027-08-26T09:59:59"])
def test_the_day_the_revocation_was_completed_decides_whenever_asked(
    revoked_at: str, rule: Rule, asked_at: str, reader_zone: ZoneInfo
):
    known = replace(REQUESTED, revoked_at=shanghai(revoked_at))
    assert assess(known, shanghai(asked_at).astimezone(reader_zone)).rule == rule


@pytest.mark.parametrize("known", [UNISSUED, ISSUED, REVOKED])
@pytest.mark.parametrize(
    "asked_at", ["2026-08-27T12:00:00", "2026-09-20T12:00:00", "2027-08-26T10:00:00", "2030-01-01T00:00:00"]
)
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"source": "uploaded"}, Rule.UPLOADED),
        ({"free": True}, Rule.FREE_DV),
        ({"paid": 0}, Rule.NOTHING_PAID),
        ({"source": "uploaded", "free": True, "paid": 0}, Rule.UPLOADED),
        ({"free": True, "paid": 0}, Rule.FREE_DV),
    ],
)
def test_what_cost_nothing_here_is_never_refundable(known: Facts, asked_at: str, fields: dict[str, Any], rule: Rule):
    assessment = assess(replace(known, **fields), shanghai(asked_at))
    assert assessment.rule == rule
    assert (assessment.supported, assessment.button, assessment.amount, assessment.changes_at) == (
        False,
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("known", "asked_at", "review", "button"),
    [
        (UNISSUED, "2026-08-27T12:00:00", Review.NONE, True),
        (UNISSUED, "2026-09-02T12:00:00", Review.MANUAL, True),
        (REVOKED, "2026-12-01T12:00:00", Review.MANUAL, True),
        (ISSUED, "2026-09-08T12:00:00", None, True),
        (REQUESTED, "2026-09-11T12:00:00", None, True),
        (ISSUED, "2026-09-07T09:15:00", None, False),
        (ISSUED, "2026-12-01T12:00:00", None, False),
        (UNISSUED, "2027-08-20T12:00:00", None, False),
        (UNISSUED, "2027-08-26T12:00:00", None, False),
    ],
)
def test_only_what_a_customer_can_bring_about_has_a_button(
    known: Facts, asked_at: str, review: Review | None, button: bool
):
    assessment = assess(known, shanghai(asked_at))
    assert (assessment.review, assessment.button) == (review, button)
    assert assessment.amount == (120_000 if review else None)


def test_a_voucher_never_comes_back():
    assert assess(replace(UNISSUED, paid=1, voucher=119_999), shanghai("2026-08-27T12:00:00")).amount == 1


# --- The dates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "asked_at", "request_by"),
    [
        (UNISSUED, "2026-08-27T12:00:00", date(2027, 8, 11)),
        (UNISSUED, "2026-10-27T12:00:00", date(2027, 8, 11)),
        # In a short service period the first five days are the last chance, and the end caps them.
        (facts(expires_at="2026-09-05T10:00:00"), "2026-08-27T12:00:00", date(2026, 8, 31)),
        (facts(expires_at="2026-08-28T10:00:00"), "2026-08-27T12:00:00", date(2026, 8, 28)),
        (REVOKED, "2026-12-01T12:00:00", date(2027, 8, 26)),
        (ISSUED, "2026-09-08T12:00:00", None),
        (UNISSUED, "2027-08-20T12:00:00", None),
    ],
)
def test_request_by_is_the_last_day_on_which_it_is_supported(known: Facts, asked_at: str, request_by: date | None):
    assert assess(known, shanghai(asked_at)).request_by == request_by


def test_revoke_by_is_not_capped_by_the_expiration():
    short = replace(ISSUED, expires_at=shanghai("2026-09-20T10:00:00"))
    assert assess(short, shanghai("2026-09-08T12:00:00")).revoke_by == date(2026, 10, 5)


def test_a_pending_revocation_has_no_safe_date_and_counts_no_business_days():
    assessment = assess(REQUESTED, shanghai("2026-09-11T12:00:00"))
    assert (assessment.revoke_by, assessment.safe_revoke_by, assessment.calendar) == (date(2026, 10, 5), None, None)


def test_an_immediate_refund_counts_no_business_days():
    assessment = assess(UNISSUED, shanghai("2026-08-27T12:00:00"))
    assert (assessment.review_due, assessment.calendar, assessment.warnings) == (None, None, ())


def test_national_day_week_puts_the_safe_date_before_the_holiday(reader_zone: ZoneInfo):
    """September 23, 24, 28, 29 and 30 are the five business days before October 5, which is a holiday like 1 to 7."""
    last_safe, first_late = shanghai("2026-09-22T23:59:59"), shanghai("2026-09-23T00:00:00")
    safe, late = (assess(ISSUED, moment.astimezone(reader_zone)) for moment in (last_safe, first_late))
    assert (safe.safe_revoke_by, safe.warnings) == (date(2026, 9, 22), ())
    assert (late.safe_revoke_by, late.warnings) == (date(2026, 9, 22), (Warning.REVOCATION_MAY_FINISH_LATE,))


@pytest.mark.parametrize(
    ("asked_at", "review_due"),
    [
        # Mid-Autumn (25th) and National Day (1 to 7) are off, Saturday October 10 is worked.
        ("2026-09-21T00:00:00", date(2026, 10, 19)),
        ("2026-09-20T23:59:59", date(2026, 10, 16)),
        # Spring Festival 2026: February 16 to 23 off, Saturdays 14 and 28 worked.
        ("2026-02-10T12:00:00", date(2026, 3, 9)),
        ("2026-02-13T12:00:00", date(2026, 3, 12)),
    ],
)
def test_review_is_due_by_business_days_with_their_make_up_workdays(
    asked_at: str, review_due: date, reader_zone: ZoneInfo
):
    known = facts(purchased_at="2026-01-05T10:00:00", expires_at="2027-01-05T10:00:00")
    assessment = assess(known, shanghai(asked_at).astimezone(reader_zone))
    assert (assessment.review_due, assessment.calendar) == (review_due, "announced")


@pytest.mark.parametrize(
    ("expires_at", "warnings"),
    [
        ("2026-10-19T00:00:00", ()),
        ("2026-10-18T23:59:59", (Warning.MAY_NOT_FINISH_BEFORE_EXPIRY,)),
    ],
)
def test_a_review_that_may_outlast_the_certificate_is_warned_of(expires_at: str, warnings: tuple[Warning, ...]):
    known = replace(REVOKED, expires_at=shanghai(expires_at))
    assessment = assess(known, shanghai("2026-09-21T12:00:00"))
    assert (assessment.review_due, assessment.warnings) == (date(2026, 10, 19), warnings)


@pytest.mark.parametrize(
    ("asked_at", "calendar"),
    [
        ("2026-12-10T12:00:00", "announced"),
        ("2026-12-11T12:00:00", "provisional"),
        ("2101-03-01T12:00:00", "provisional"),
    ],
)
def test_years_without_a_notice_make_the_date_provisional(asked_at: str, calendar: str):
    known = facts(purchased_at="2026-01-05T10:00:00", expires_at="2110-01-05T10:00:00")
    assert assess(known, shanghai(asked_at)).calendar == calendar


def test_changes_at_is_told_in_the_service_zone(reader_zone: ZoneInfo):
    changes_at = assess(UNISSUED, shanghai("2026-08-27T12:00:00").astimezone(reader_zone)).changes_at
    assert changes_at is not None
    assert changes_at.isoformat() == "2026-09-01T00:00:00+08:00"


def test_a_certificate_without_a_meaningful_end_is_answered():
    known = replace(REVOKED, expires_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    assessment = assess(known, shanghai("2026-12-01T12:00:00"))
    assert assessment.rule == Rule.ISSUED_REVOKED
    assert assessment.request_by == date(9999, 12, 31)


# --- What is asked wrongly ---------------------------------------------------------------------


def test_a_question_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="offset"):
        assess(UNISSUED, datetime(2026, 9, 1))  # noqa: DTZ001 - that is the point


def test_facts_without_an_offset_are_refused():
    with pytest.raises(ValueError, match="offset"):
        replace(UNISSUED, issued_at=datetime(2026, 9, 1))  # noqa: DTZ001 - that is the point


def test_an_unknown_policy_is_refused():
    with pytest.raises(KeyError):
        assess(replace(UNISSUED, policy="cn-2021"), shanghai("2026-09-01T00:00:00"))


def test_the_policy_of_the_product_page_stands_by_its_numbers():
    policy = POLICIES["intl-2021"]
    cuts = {column: list(cuts) for column, cuts in policy.table.cuts.items()}
    assert cuts == {"days_since_payment": [6], "days_left": [15], "days_since_issue": [29], "revoked_after": [29]}
    assert (policy.review_limit, policy.usual_review, policy.revocation_allowance) == (15, 5, 5)
