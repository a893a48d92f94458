"""`assess(facts, at)`: what a policy says of one certificate at a moment. Pure: no ORM, no request, no clock.

Reduces the facts to the columns of the policy's table, takes the row that decides, and derives every date from the
table's own bounds. Days are calendar days of the service's zone (`core.clock`), the day of an event is day 0;
everything else compares instants. Amounts are minor units.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from core.business_days import BusinessDay, add_business_days, last_day_with_nth_business_day_by
from core.clock import as_utc, in_service_zone, service_day, start_of_day
from refunds.rules.policies import POLICIES, Policy
from refunds.rules.table import DayRange, Outcome, Position, Review, Row, Stage

# Orders and lines that name no policy were made under the first one.
DEFAULT_POLICY = next(iter(POLICIES))


class Warning(StrEnum):
    MAY_NOT_FINISH_BEFORE_EXPIRY = "may-not-finish-before-expiry"
    REVOCATION_MAY_FINISH_LATE = "revocation-may-finish-late"


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
# "Not yet" shows the button where the customer can bring a refund about by revoking.
_REVOCATION_LEADS_ON = frozenset({Stage.ISSUED, Stage.REVOKING})


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

    rule: str
    outcome: Outcome
    stage: Stage
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
        return self.outcome == Outcome.YES

    @property
    def needs_revocation(self) -> bool:
        """Whether revoking the certificate, or waiting until it is revoked, leads to a refund."""
        return self.outcome == Outcome.NOT_YET and self.stage in _REVOCATION_LEADS_ON

    @property
    def button(self) -> bool:
        return self.supported or self.needs_revocation


def facts_as_of(facts: Facts, at: datetime) -> Facts:
    """The facts without the events that are later than `at`."""
    later: dict[str, Any] = {
        name: None for name in EVENTS if (moment := getattr(facts, name)) is not None and moment > at
    }
    return replace(facts, **later) if later else facts


class Case:
    """Facts at a moment as a position in their policy's table. Days are ordinals, as `date.toordinal` counts them."""

    def __init__(self, facts: Facts, policy: Policy, at: datetime) -> None:
        self.facts, self.policy, self.table = facts, policy, policy.table
        self.today = service_day(at).toordinal()
        self.payment_day = service_day(facts.purchased_at).toordinal()
        self.expiration_day = service_day(facts.expires_at).toordinal()
        self.issue_day = service_day(facts.issued_at).toordinal() if facts.issued_at else None
        self.revocation_day = service_day(facts.revoked_at).toordinal() if self.issue_day and facts.revoked_at else None
        self.stage = _stage_of(facts)
        self.is_expired = at >= facts.expires_at
        self.row = self.table.decide(self.position(self.today, expired=self.is_expired))
        # The days after today on which time alone passes a bound of the table, in order.
        self.cut_days = sorted({day for day in self._cut_days() if self.today < day})

    def position(self, day: int, *, expired: bool) -> Position:
        """Where the certificate is in the table on a day, if nothing more happens to it."""
        issue_day, revocation_day = self.issue_day, self.revocation_day
        return Position(
            self.facts.source == "uploaded",
            self.facts.free,
            self.facts.paid == 0,
            expired,
            self.stage,
            day - self.payment_day,
            self.expiration_day - day,
            None if issue_day is None else day - issue_day,
            None if issue_day is None or revocation_day is None else revocation_day - issue_day,
        )

    def once_revoked(self, day: int, *, revoked_on: int) -> Row:
        """What would decide on a day if the revocation were completed on `revoked_on`."""
        assert self.issue_day is not None  # only issued certificates are revoked
        position = self.position(day, expired=False)
        return self.table.decide(position._replace(stage=Stage.REVOKED, revoked_after=revoked_on - self.issue_day))

    # --- Dates from the table's bounds ---------------------------------------------------------

    def changes_at(self) -> datetime | None:
        """The first later moment at which another row decides, with no further event, in the service's zone."""
        expires_at = self.facts.expires_at
        expired, is_ahead = self.is_expired, not self.is_expired
        for day in self.cut_days:
            if day > LAST_DAY:
                break
            midnight = start_of_day(date.fromordinal(day))
            if is_ahead and expires_at <= midnight:
                is_ahead, expired = False, True
                if self.table.decide(self.position(self.expiration_day, expired=True)) is not self.row:
                    return in_service_zone(expires_at)
            if self.table.decide(self.position(day, expired=expired)) is not self.row:
                return midnight
        if is_ahead and self.table.decide(self.position(self.expiration_day, expired=True)) is not self.row:
            return in_service_zone(expires_at)
        return None

    def last_day_of_yes(self) -> date:
        """The last day on which time alone leaves the outcome *yes*, never past the expiration day."""
        for day in self.cut_days:
            if self.table.decide(self.position(day, expired=False)).outcome != Outcome.YES:
                return date.fromordinal(min(day - 1, self.expiration_day))
        return date.fromordinal(self.expiration_day)

    @cached_property
    def last_day_to_revoke(self) -> date | None:
        """The last day on which a completed revocation leads to *yes*; the expiration doesn't cap it.

        None where no bound of the table ends it.
        """
        assert self.issue_day is not None
        bounds = (self.issue_day + cut for cut in self.table.cuts["revoked_after"])
        for day in sorted({*self.cut_days, *(bound for bound in bounds if self.today < bound)}):
            if self.once_revoked(day, revoked_on=day).outcome != Outcome.YES:
                return date.fromordinal(min(day - 1, LAST_DAY))
        return None

    @cached_property
    def last_day_to_request_once_revoked(self) -> date:
        """The last day on which the refund can be requested if the revocation is completed today."""
        for day in self.cut_days:
            if self.once_revoked(day, revoked_on=self.today).outcome != Outcome.YES:
                return min(date.fromordinal(day - 1), self.last_day_before_expiration)
        return self.last_day_before_expiration

    @cached_property
    def last_day_before_expiration(self) -> date:
        """The last day of which a part lies before the expiration: one that ends at midnight has nothing of its day."""
        return service_day(self.facts.expires_at - timedelta(microseconds=1))

    @cached_property
    def last_useful_day_to_revoke(self) -> date:
        """`last_day_to_revoke`, but not after the last day to request the refund: from then on it brings nothing."""
        request_by, revoke_by = self.last_day_to_request_once_revoked, self.last_day_to_revoke
        return request_by if revoke_by is None else min(request_by, revoke_by)

    def days_of_bounds(self, column: str, test: DayRange) -> list[int]:
        """The days on which time alone may change whether a test of this column holds, in order."""
        return sorted(self._days_of(column, test.bounds))

    def last_day_without(self, column: str, test: DayRange) -> int | None:
        """The last day before a test of this column began to hold; None where it held from the start."""
        if column == "revoked_after":
            return None if self.issue_day is None or not test.first else self.issue_day + test.first - 1
        earlier = [day - 1 for day in self.days_of_bounds(column, test) if day <= self.today]
        return max(earlier, default=None)

    def _cut_days(self) -> Iterator[int]:
        for column, cuts in self.table.cuts.items():
            yield from self._days_of(column, cuts)

    def _days_of(self, column: str, cuts: Iterable[int]) -> list[int]:
        """The first day in each piece that begins at a cut; as time goes by, the days left run backwards."""
        if column == "days_since_payment":
            return [self.payment_day + cut for cut in cuts]
        if column == "days_left":
            return [self.expiration_day - cut + 1 for cut in cuts]
        if column == "days_since_issue" and self.issue_day is not None:
            return [self.issue_day + cut for cut in cuts]
        return []


LAST_DAY = date.max.toordinal()


def _stage_of(facts: Facts) -> Stage:
    if facts.issued_at is None:
        return Stage.VALIDATED if facts.validated_at is not None else Stage.UNISSUED
    if facts.revoked_at is not None:
        return Stage.REVOKED
    return Stage.ISSUED if facts.revocation_requested_at is None else Stage.REVOKING


def assess(facts: Facts, at: datetime) -> Assessment:
    """What the policy says of these facts at a moment, past or future. Events later than `at` have not happened yet.

    Raises ValueError when `at` has no offset, KeyError when the policy is not known.
    """
    return assess_case(case_of(facts, at))


def case_of(facts: Facts, at: datetime) -> Case:
    """The facts of a moment as a position in their policy's table. Raises as `assess`."""
    at = as_utc(at)
    return Case(facts_as_of(facts, at), POLICIES[facts.policy], at)


def assess_case(case: Case) -> Assessment:
    """What the case's policy says. Days are the service's, the amount is minor units of the case's currency."""
    return Assessment(
        rule=case.row.rule,
        outcome=case.row.outcome,
        stage=case.stage,
        currency=case.facts.currency,
        review=case.row.review,
        changes_at=case.changes_at(),
        **_what_follows(case),
    )


def _what_follows(case: Case) -> dict[str, Any]:
    if case.row.outcome == Outcome.YES:
        return _of_supported(case)
    leads_on = case.row.outcome == Outcome.NOT_YET and case.stage in _REVOCATION_LEADS_ON
    return _of_revocation(case) if leads_on else {}


def _of_supported(case: Case) -> dict[str, Any]:
    granted = {"amount": case.facts.paid, "request_by": case.last_day_of_yes()}
    if case.row.review == Review.NONE:
        return granted
    due = add_business_days(date.fromordinal(case.today), case.policy.review_limit)
    is_tight = due.date.toordinal() > case.expiration_day
    warnings = (Warning.MAY_NOT_FINISH_BEFORE_EXPIRY,) if is_tight else ()
    return {**granted, "review_due": due.date, "calendar": _calendar(due), "warnings": warnings}


def _of_revocation(case: Case) -> dict[str, Any]:
    revoke_by = case.last_day_to_revoke
    if revoke_by is None or case.stage == Stage.REVOKING:
        return {"revoke_by": revoke_by}
    safe = last_day_with_nth_business_day_by(revoke_by, case.policy.revocation_allowance)
    is_late = case.today > safe.date.toordinal()
    warnings = (Warning.REVOCATION_MAY_FINISH_LATE,) if is_late else ()
    return {
        "revoke_by": revoke_by,
        "safe_revoke_by": safe.date,
        "calendar": _calendar(safe),
        "warnings": warnings,
    }


def _calendar(day: BusinessDay) -> str:
    return "provisional" if day.provisional else "announced"
