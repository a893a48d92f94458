"""The days that an explanation names, each with its meaning, found by asking `assess` about one day after another."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from core.clock import service_day
from refunds.rules.assess import Assessment, Facts, assess, facts_as_of
from refunds.rules.explain import explain
from refunds.rules.policies import POLICIES
from refunds.rules.table import Outcome, Review, Stage
from tests.policy.oracle import SHANGHAI, nth_business_day_after
from tests.policy.questions import questions

TICK = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)
ASKED = tuple(questions(1_500, seed=21))
NEVER = datetime(9000, 1, 1, tzinfo=UTC)
# These are the facts' own days, not the rules'.
OF_THE_FACTS = {"Issued on", "Revocation completed on", "Expired on", "Expires on", "Service period ends on"}

REQUEST, WAS_TO_REQUEST = "Last day to request the refund", "Last day to request a refund was"
REVOKE, WAS_TO_REVOKE = "Revocation must be completed by", "Revocation had to be completed by"
SAFE, AT_ONCE, DECIDED = (
    "Last safe day to request the revocation",
    "Without a review until",
    "Decided by, if you submit today",
)


def test_each_day_is_named_by_what_changes_after_it():
    for facts, at in ASKED:
        shown = {(named.label, named.when) for named in explain(facts, at).dates if named.label not in OF_THE_FACTS}
        assert shown == days_by_trying(facts_as_of(facts, at), at), (facts, at)


def test_every_meaning_is_shown_by_some_question():
    labels = {named.label for facts, at in ASKED for named in explain(facts, at).dates}
    assert {REQUEST, WAS_TO_REQUEST, REVOKE, WAS_TO_REVOKE, SAFE, AT_ONCE, DECIDED} <= labels


def days_by_trying(facts: Facts, at: datetime) -> set[tuple[str, date]]:
    now, today = assess(facts, at), service_day(at)
    if now.outcome == Outcome.NO:
        return days_of_refusal(facts, now, today)
    if now.outcome == Outcome.YES:
        return days_of_support(facts, now, today)
    if now.stage in {Stage.ISSUED, Stage.REVOKING}:
        return days_of_revocation(facts, now, today)
    whole = to_the_end_of_the_day(facts)
    return {(REQUEST, last_day(today, last_day_of(facts), lambda day: asked_on(whole, day).rule == now.rule))}


def days_of_support(facts: Facts, now: Assessment, today: date) -> set[tuple[str, date]]:
    end = last_day_of(facts)
    whole = to_the_end_of_the_day(facts)
    request_by = last_day(today, end, lambda day: asked_on(whole, day).supported)
    if now.review == Review.MANUAL:
        limit = POLICIES[facts.policy].review_limit
        return {(REQUEST, request_by), (DECIDED, nth_business_day_after(today, limit))}
    at_once = last_day(today, end, lambda day: asked_on(facts, day).rule == now.rule)
    return {(AT_ONCE, at_once)} | ({(REQUEST, request_by)} if request_by != at_once else set())


def days_of_revocation(facts: Facts, now: Assessment, today: date) -> set[tuple[str, date]]:
    open_end, end = replace(facts, expires_at=NEVER), last_day_of(facts)
    request_by = last_day(today, end, lambda day: asked_on(revoked_on(open_end, today), day).supported)
    # A revocation after the last day to request brings nothing back.
    revoke_by = last_day(today, request_by, lambda day: asked_on(revoked_on(open_end, day), day).supported)
    found = {(REVOKE, revoke_by), (REQUEST, request_by)}
    if now.stage == Stage.REVOKING:
        return found
    allowance, safe = POLICIES[facts.policy].revocation_allowance, revoke_by
    while nth_business_day_after(safe, allowance) > revoke_by:
        safe -= ONE_DAY
    return {*found, (SAFE, safe)}


def days_of_refusal(facts: Facts, now: Assessment, today: date) -> set[tuple[str, date]]:
    """The last day on which it was otherwise, if a bound has been passed since."""
    bought, open_end = service_day(facts.purchased_at), replace(facts, expires_at=NEVER)
    if now.rule == "expired":
        return set()
    if now.rule == "revoked-too-late":
        assert facts.issued_at
        issued = service_day(facts.issued_at)
        return {
            (WAS_TO_REVOKE, last_day(issued, today, lambda day: asked_on(revoked_on(open_end, day), today).supported))
        }
    day = today
    while day >= bought and asked_on(facts, day).rule == now.rule:
        day -= ONE_DAY
    if day < bought:
        return set()
    label = WAS_TO_REVOKE if now.rule == "issued-too-long" else WAS_TO_REQUEST
    return {(label, day)}


def last_day(first: date, last: date, fits: Callable[[date], bool]) -> date:
    """The last of the days from `first` on, without a break, that fit, not after `last`. The first one is taken to."""
    day = first
    while day < last and fits(day + ONE_DAY):
        day += ONE_DAY
    return day


def asked_on(facts: Facts, day: date) -> Assessment:
    """What is said as a day begins."""
    return assess(facts, datetime.combine(day, time(0), tzinfo=SHANGHAI).astimezone(UTC))


def last_day_of(facts: Facts) -> date:
    """An end at midnight leaves nothing of its day."""
    return service_day(facts.expires_at - TICK)


def to_the_end_of_the_day(facts: Facts) -> Facts:
    """The same, expiring as its last day ends: the last day to request counts whole, whatever the hour."""
    next_day = datetime.combine(service_day(facts.expires_at) + ONE_DAY, time(0), tzinfo=SHANGHAI)
    return replace(facts, expires_at=next_day.astimezone(UTC) - TICK)


def revoked_on(facts: Facts, day: date) -> Facts:
    """The revocation completed as soon as it can be on a day."""
    start = datetime.combine(day, time(0), tzinfo=SHANGHAI).astimezone(UTC)
    return replace(facts, revoked_at=start)
