"""The policy against what must hold for any facts, and against an oracle written in another manner."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from refunds.rules.assess import EVENTS, MOMENTS, Assessment, Facts, assess
from refunds.rules.policies import SUPPORTED
from tests.policy import oracle
from tests.policy.strategies import questions, repeatable

TICK = timedelta(microseconds=1)


def as_told(assessment: Assessment) -> dict[str, object]:
    told = {name: getattr(assessment, name) for name in oracle_keys()}
    told["warnings"] = list(assessment.warnings)
    told["changes_at"] = assessment.changes_at and assessment.changes_at.astimezone(UTC)
    return told


def oracle_keys() -> list[str]:
    return [
        "supported", "rule", "review", "amount", "currency", "button", "warnings", "request_by", "revoke_by",
        "safe_revoke_by", "review_due", "calendar", "changes_at",
    ]  # fmt: skip


@repeatable
@given(questions())
def test_policy_answers_as_the_oracle_does(question: tuple[Facts, datetime]):
    facts, at = question
    assert as_told(assess(facts, at)) == oracle.answer(asdict(facts), at)


def verdict(facts: Facts, at: datetime) -> tuple[object, ...]:
    assessment = assess(facts, at)
    return assessment.supported, assessment.rule, assessment.review


def without_later_events(facts: Facts, at: datetime) -> Facts:
    return replace(facts, **{name: None for name in EVENTS if (moment := getattr(facts, name)) and moment > at})


@repeatable
@given(questions(), st.floats(0, 1))
def test_nothing_changes_before_changes_at_and_something_does_at_it(question: tuple[Facts, datetime], part: float):
    facts, at = question
    known = without_later_events(facts, at)
    changes_at = assess(facts, at).changes_at
    horizon = changes_at - TICK if changes_at else max(at, facts.expires_at) + timedelta(days=2000)
    between = at + (horizon - at) * part
    assert {verdict(known, moment) for moment in (between, horizon)} == {verdict(facts, at)}
    if changes_at:
        assert changes_at > at
        assert verdict(known, changes_at) != verdict(facts, at)


@repeatable
@given(questions())
def test_events_later_than_the_question_decide_nothing(question: tuple[Facts, datetime]):
    facts, at = question
    assert assess(facts, at) == assess(without_later_events(facts, at), at)


@repeatable
@given(questions(), st.sampled_from([-11, -8, 0, 5.75, 8, 14]))
def test_only_the_instant_counts_not_the_offset_it_is_written_in(question: tuple[Facts, datetime], hours: float):
    facts, at = question
    zone = timezone(timedelta(hours=hours))
    moved = {name: moment.astimezone(zone) for name in MOMENTS if (moment := getattr(facts, name))}
    assert assess(replace(facts, **moved), at.astimezone(zone)) == assess(facts, at)


@repeatable
@given(questions(), st.integers(0, 10**6))
def test_voucher_and_submission_decide_nothing(question: tuple[Facts, datetime], voucher: int):
    facts, at = question
    assert assess(replace(facts, voucher=voucher, submitted_at=None), at) == assess(facts, at)


@repeatable
@given(questions())
def test_money_is_all_of_the_paid_part_or_none(question: tuple[Facts, datetime]):
    facts, at = question
    assessment = assess(facts, at)
    assert assessment.amount == (facts.paid if assessment.rule in SUPPORTED else None)
    assert assessment.supported == (assessment.review is not None)
    assert not assessment.supported or (assessment.button and facts.paid > 0 and at < facts.expires_at)


@repeatable
@given(questions())
def test_facts_come_back_from_json_as_they_were(question: tuple[Facts, datetime]):
    facts, _at = question
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
