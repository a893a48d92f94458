"""The refund policy: what may be given back, why, until when. Pure: no ORM, no request, no clock of its own.

Source: the product page "Request a refund for an SSL certificate", its table and notes. Days are calendar days of the
service's zone (`core.clock`), the day of an event is day 0; everything else compares instants. Amounts are minor units.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from core.business_days import BusinessDay, add_business_days, last_day_with_nth_business_day_by
from core.clock import as_utc, in_service_zone, service_day, shift_day, start_of_day

DEFAULT_POLICY = "intl-2021"


class Rule(StrEnum):
    """The rows of the policy's table, in their order."""

    UPLOADED = "uploaded"
    FREE_DV = "free-dv"
    NOTHING_PAID = "nothing-paid"
    EXPIRED = "expired"
    ISSUED_REVOKED = "issued-revoked"
    REVOKED_TOO_LATE = "revoked-too-late"
    ISSUED_TOO_LONG = "issued-too-long"
    REVOCATION_PENDING = "revocation-pending"
    REVOKE_FIRST = "revoke-first"
    VALIDATED_UNISSUED = "validated-unissued"
    UNISSUED_IMMEDIATE = "unissued-immediate"
    UNISSUED_MANUAL = "unissued-manual"
    UNISSUED_TOO_LATE = "unissued-too-late"


class Review(StrEnum):
    NONE = "none"
    MANUAL = "manual"


class Warning(StrEnum):
    MAY_NOT_FINISH_BEFORE_EXPIRY = "may-not-finish-before-expiry"
    REVOCATION_MAY_FINISH_LATE = "revocation-may-finish-late"


# The rules that support a refund, each with the review that it asks for.
REVIEWS: Mapping[Rule, Review] = MappingProxyType(
    {
        Rule.ISSUED_REVOKED: Review.MANUAL,
        Rule.UNISSUED_IMMEDIATE: Review.NONE,
        Rule.UNISSUED_MANUAL: Review.MANUAL,
    }
)
# "Not yet": the customer can bring a refund about, so the button shows.
REVOCATION_LEADS_ON = frozenset({Rule.REVOKE_FIRST, Rule.REVOCATION_PENDING})

MOMENTS = (
    "purchased_at",
    "expires_at",
    "submitted_at",
    "validated_at",
    "issued_at",
    "revocation_requested_at",
    "revoked_at",
)
EVENTS = MOMENTS[2:]


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of one dated policy: calendar days, but for the two that end in `_business_days`."""

    immediate_days: int
    days_left: int
    revocation_days: int
    review_business_days: int
    revocation_business_days: int


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        DEFAULT_POLICY: Policy(
            immediate_days=5,
            days_left=15,
            revocation_days=28,
            review_business_days=15,
            revocation_business_days=5,
        )
    }
)


def known_policies() -> frozenset[str]:
    """The names under which an order may have been made."""
    return frozenset(POLICIES)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the policy needs to know of one certificate. Moments are aware, kept in UTC; an event's is None if absent.

    `expires_at` is an issued certificate's notAfter, else the end of the service period. Raises ValueError for a moment
    without an offset.
    """

    source: str  # "purchased" or "uploaded"
    free: bool
    paid: int
    voucher: int
    currency: str
    purchased_at: datetime
    expires_at: datetime
    submitted_at: datetime | None = None
    validated_at: datetime | None = None
    issued_at: datetime | None = None
    revocation_requested_at: datetime | None = None
    revoked_at: datetime | None = None
    policy: str = DEFAULT_POLICY

    def __post_init__(self) -> None:
        for name in MOMENTS:
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, as_utc(moment))

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values, moments as ISO 8601 in UTC."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, **{name: values[name].isoformat() for name in MOMENTS if values[name]}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Facts":
        """The facts that `to_json` gave."""
        return cls(**{**data, **{name: datetime.fromisoformat(data[name]) for name in MOMENTS if data[name]}})


@dataclass(frozen=True, slots=True)
class Assessment:
    """The policy's answer. `amount` is minor units; days are the service's; `changes_at` is in the service's zone."""

    rule: Rule
    currency: str
    review: Review | None = None
    amount: int | None = None
    warnings: tuple[Warning, ...] = ()
    request_by: date | None = None
    revoke_by: date | None = None
    safe_revoke_by: date | None = None
    review_due: date | None = None
    calendar: str | None = None  # "announced" or "provisional", where business days were counted
    changes_at: datetime | None = None

    @property
    def supported(self) -> bool:
        return self.rule in REVIEWS

    @property
    def button(self) -> bool:
        return self.supported or self.rule in REVOCATION_LEADS_ON


def assess(facts: Facts, at: datetime) -> Assessment:
    """What the policy says of these facts at a moment, past or future. Events later than `at` have not happened yet.

    Raises ValueError when `at` has no offset, KeyError when the policy is not known.
    """
    at = as_utc(at)
    policy = POLICIES[facts.policy]
    known = _as_of(facts, at)
    rule = _rule(known, policy, at)
    assessment = Assessment(rule=rule, currency=facts.currency, changes_at=_changes_at(known, policy, rule, at))
    if rule in REVIEWS:
        return _supported(assessment, known, policy, at)
    if rule in REVOCATION_LEADS_ON:
        return _not_yet(assessment, known, policy, at)
    return assessment


def _as_of(facts: Facts, at: datetime) -> Facts:
    later: dict[str, Any] = {
        name: None for name in EVENTS if (moment := getattr(facts, name)) is not None and moment > at
    }
    return replace(facts, **later) if later else facts


def _rule(facts: Facts, policy: Policy, at: datetime) -> Rule:
    if facts.source == "uploaded":
        return Rule.UPLOADED
    if facts.free:
        return Rule.FREE_DV
    if facts.paid == 0:
        return Rule.NOTHING_PAID
    if at >= facts.expires_at:
        return Rule.EXPIRED
    if facts.issued_at is not None:
        return _rule_of_issued(facts, facts.issued_at, policy, at)
    return _rule_of_unissued(facts, policy, at)


def _rule_of_issued(facts: Facts, issued_at: datetime, policy: Policy, at: datetime) -> Rule:
    last_day = shift_day(service_day(issued_at), policy.revocation_days)
    if facts.revoked_at is not None:
        return Rule.ISSUED_REVOKED if service_day(facts.revoked_at) <= last_day else Rule.REVOKED_TOO_LATE
    if service_day(at) > last_day:
        return Rule.ISSUED_TOO_LONG
    return Rule.REVOKE_FIRST if facts.revocation_requested_at is None else Rule.REVOCATION_PENDING


def _rule_of_unissued(facts: Facts, policy: Policy, at: datetime) -> Rule:
    today = service_day(at)
    if facts.validated_at is not None:
        return Rule.VALIDATED_UNISSUED
    if today <= _last_immediate_day(facts, policy):
        return Rule.UNISSUED_IMMEDIATE
    if today <= _last_manual_day(facts, policy):
        return Rule.UNISSUED_MANUAL
    return Rule.UNISSUED_TOO_LATE


def _last_immediate_day(facts: Facts, policy: Policy) -> date:
    return shift_day(service_day(facts.purchased_at), policy.immediate_days)


def _last_manual_day(facts: Facts, policy: Policy) -> date:
    return shift_day(service_day(facts.expires_at), -policy.days_left)


def _supported(assessment: Assessment, facts: Facts, policy: Policy, at: datetime) -> Assessment:
    review = REVIEWS[assessment.rule]
    granted = replace(
        assessment, review=review, amount=facts.paid, request_by=_request_by(assessment.rule, facts, policy)
    )
    if review == Review.NONE:
        return granted
    due = add_business_days(service_day(at), policy.review_business_days)
    is_tight = due.date > service_day(facts.expires_at)
    return replace(
        granted,
        review_due=due.date,
        calendar=_calendar(due),
        warnings=(Warning.MAY_NOT_FINISH_BEFORE_EXPIRY,) if is_tight else (),
    )


def _request_by(rule: Rule, facts: Facts, policy: Policy) -> date:
    end = service_day(facts.expires_at)
    if rule == Rule.ISSUED_REVOKED:
        return end
    return min(end, max(_last_immediate_day(facts, policy), _last_manual_day(facts, policy)))


def _not_yet(assessment: Assessment, facts: Facts, policy: Policy, at: datetime) -> Assessment:
    assert facts.issued_at is not None  # both rules are of issued certificates
    revoke_by = shift_day(service_day(facts.issued_at), policy.revocation_days)
    if assessment.rule == Rule.REVOCATION_PENDING:
        return replace(assessment, revoke_by=revoke_by)
    safe = last_day_with_nth_business_day_by(revoke_by, policy.revocation_business_days)
    is_late = service_day(at) > safe.date
    return replace(
        assessment,
        revoke_by=revoke_by,
        safe_revoke_by=safe.date,
        calendar=_calendar(safe),
        warnings=(Warning.REVOCATION_MAY_FINISH_LATE,) if is_late else (),
    )


def _calendar(day: BusinessDay) -> str:
    return "provisional" if day.provisional else "announced"


def _changes_at(facts: Facts, policy: Policy, rule: Rule, at: datetime) -> datetime | None:
    """The first later moment at which another rule fits, with no further event; a rule names support and review too."""
    for moment in sorted(map(as_utc, _turning_moments(facts, policy))):
        if moment > at and _rule(facts, policy, moment) != rule:
            return in_service_zone(moment)
    return None


def _turning_moments(facts: Facts, policy: Policy) -> Iterator[datetime]:
    """Every moment at which time alone may bring another rule about."""
    yield facts.expires_at
    yield start_of_day(shift_day(_last_immediate_day(facts, policy), 1))
    yield start_of_day(shift_day(_last_manual_day(facts, policy), 1))
    if facts.issued_at is not None:
        yield start_of_day(shift_day(service_day(facts.issued_at), policy.revocation_days + 1))
