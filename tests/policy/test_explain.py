"""`explain` is true and complete: for every rule of every policy, and with other numbers than those that ship."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.clock import SERVICE_ZONE, service_day, start_of_day
from refunds.rules import assess as assessing
from refunds.rules import policies
from refunds.rules.assess import Facts, assess, case_of, facts_as_of
from refunds.rules.explain import Explanation, explain, hint_of
from refunds.rules.policies import POLICIES, Policy, Rule
from refunds.rules.table import DayRange, Outcome, Review, Stage, Table, days, days_or_more, row
from tests.policy.questions import questions
from tests.policy.reading import read

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
BOUGHT = datetime(2026, 8, 3, 2, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "source": "purchased",
    "free": False,
    "paid": 29_800,
    "voucher": 0,
    "currency": "CNY",
    "purchased_at": BOUGHT,
    "expires_at": BOUGHT + timedelta(days=365),
}


def after(days: float) -> datetime:
    return BOUGHT + timedelta(days=days)


ASKED = tuple(questions(1_500, seed=12))


# --- Every rule of every policy ----------------------------------------------------------------


def test_every_row_of_every_policy_is_asked_about():
    found = Counter((facts.policy, assess(facts, at).rule) for facts, at in ASKED)
    assert set(found) == {(name, each.rule) for name, policy in POLICIES.items() for each in policy.table.rows}
    assert min(found.values()) >= 3, found


def test_conditions_are_complete_and_true():
    """What is refused shows an unmet condition, what is supported shows none; each is met where its words are true."""
    for facts, at in ASKED:
        explained, assessment = explain(facts, at), assess(facts, at)
        assert (explained.rule, explained.outcome) == (assessment.rule, assessment.outcome)
        assert explained.hint == hint_of(case_of(facts, at), assessment)
        assert explained.conditions
        assert bool(explained.unmet) == (explained.outcome != Outcome.YES)
        known = facts_as_of(facts, at)
        for condition in explained.conditions:
            assert condition.is_met == read(condition.text)(known, at), (condition, facts, at)
            assert read(condition.fact)(known, at), (condition, facts, at)


def test_each_named_day_is_the_first_on_which_the_condition_differs():
    """Found by reading the condition on every day, with nothing else happening."""
    for facts, at in ASKED:
        known, conditions = facts_as_of(facts, at), explain(facts, at).conditions
        named = {(condition.text, condition.changes_on) for condition in conditions}
        ends = list(ends_of_days(known, at))
        assert named == {(each.text, first_change(each.text, known, at, ends)) for each in conditions}, (facts, at)


def ends_of_days(facts: Facts, at: datetime) -> Iterator[tuple[date, datetime]]:
    """Each day from the one asked about on, with its last moment, until no bound of any policy is left."""
    midnight = start_of_day(service_day(at))
    for _ in range((max(at, facts.expires_at) - at).days + 60):
        day, midnight = midnight.date(), midnight + timedelta(days=1)
        yield day, (midnight - TICK).astimezone(UTC)


def first_change(text: str, facts: Facts, at: datetime, ends: list[tuple[date, datetime]]) -> date | None:
    """The first day by whose end a condition is true that isn't now, or the other way round."""
    is_true = read(text)
    now = is_true(facts, at)
    return next((day for day, end in ends if is_true(facts, end) != now), None)


def test_every_rule_of_every_policy_can_be_explained():
    found = {(name, explain(replace(facts, policy=name), at).rule) for name in POLICIES for facts, at in examples()}
    assert found == {(name, each.rule) for name, policy in POLICIES.items() for each in policy.table.rows}


def examples() -> Iterator[tuple[Facts, datetime]]:
    issued = {"issued_at": after(1)}
    for changed, asked in [
        ({}, 3),
        ({}, 100),
        ({}, 355),
        ({}, 366),
        (issued, 3),
        (issued, 29),
        (issued, 40),
        ({**issued, "revocation_requested_at": after(2)}, 3),
        ({**issued, "revoked_at": after(3)}, 4),
        ({**issued, "revoked_at": after(35)}, 36),
        ({**issued, "revoked_at": after(50)}, 51),
        ({"validated_at": after(1)}, 2),
        ({"free": True}, 2),
        ({"paid": 0}, 2),
        ({"source": "uploaded"}, 2),
    ]:
        yield Facts(**{**PLAIN, **changed}), after(asked)


# --- The safe day ------------------------------------------------------------------------------


def test_revoke_first_shows_the_safe_day_and_the_amount():
    explained = explain(Facts(**PLAIN, issued_at=after(1)), after(4))
    assert explained.hint == "Revoke by 2026-08-25 to get CNY 298.00 back"
    assert "2026-08-25" in explained.answer


def test_past_the_safe_day_it_says_that_it_may_be_too_late():
    explained = explain(Facts(**PLAIN, issued_at=after(1)), after(26))
    assert explained.hint == "Revoke today: it may be too late for CNY 298.00 (must be completed by 2026-09-01)"


SHORT: dict[str, Any] = {**PLAIN, "expires_at": after(12), "issued_at": after(1)}


def test_no_revocation_is_asked_for_after_the_last_day_for_a_refund():
    """It expires on 2026-08-15, and the fifth business day after 2026-08-09 is the 14th."""
    explained = explain(Facts(**SHORT), after(2))
    assert explained.hint == "Revoke by 2026-08-09 to get CNY 298.00 back"
    assert "Revoke the certificate by 2026-08-09" in explained.advice
    assert "Revoked by 2026-08-15 at the latest" in [condition.text for condition in explained.conditions]
    assert (explained.safe_revoke_by, explained.revoke_by) == (date(2026, 8, 9), date(2026, 8, 15))


def test_past_the_safe_day_of_an_early_end_it_says_that_it_may_be_too_late():
    explained = explain(Facts(**SHORT), after(8))
    assert explained.hint == "Revoke today: it may be too late for CNY 298.00 (must be completed by 2026-08-15)"
    assert len(explained.warnings) == 1


def days_of(explained: Explanation) -> dict[str, tuple[Any, str]]:
    return {named.label: (named.when, named.note) for named in explained.dates}


@pytest.mark.parametrize(("days", "asked"), [({}, 2), ({}, 8), ({"revocation_requested_at": after(3)}, 4)])
def test_dates_and_sentences_name_the_same_days_for_an_early_end(days: dict[str, Any], asked: int):
    explained = explain(Facts(**SHORT, **days), after(asked))
    assert explained.revoke_by == date(2026, 8, 15)
    shown = days_of(explained)
    assert shown["Revocation must be completed by"] == (date(2026, 8, 15), "")
    assert shown["Last day to request the refund"] == (date(2026, 8, 15), "")
    assert shown.get("Last safe day to request the revocation") == ((date(2026, 8, 9), "") if not days else None)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("asked", [1.5, 7])
def test_revoke_first_says_until_when_to_request_the_refund(policy: str, asked: float):
    """Past the safe day too: a revocation in time brings nothing back to those who ask too late."""
    explained = explain(Facts(**PLAIN, issued_at=after(1), policy=policy), after(asked))
    request_by, _ = days_of(explained)["Last day to request the refund"]
    assert f"Then request the refund by {request_by}." in explained.advice


IN_DECEMBER = datetime(2026, 12, 10, 4, tzinfo=UTC)


def issued_in_december(end: datetime) -> Facts:
    return Facts(**{**PLAIN, "purchased_at": IN_DECEMBER, "expires_at": end}, issued_at=IN_DECEMBER)


def test_a_safe_day_over_unknown_holidays_is_named_as_provisional():
    explained = explain(issued_in_december(after(500)), IN_DECEMBER)
    assert explained.safe_revoke_by == date(2026, 12, 30)
    assert "2026-12-30 is provisional: it depends on holidays that haven't been announced yet." in explained.advice
    assert days_of(explained)["Last safe day to request the revocation"][1]


def test_a_safe_day_before_an_early_end_is_provisional_only_by_its_own_holidays():
    explained = explain(issued_in_december(datetime(2026, 12, 25, 4, tzinfo=UTC)), IN_DECEMBER)
    assert explained.safe_revoke_by == date(2026, 12, 20)
    assert "provisional" not in explained.advice
    assert days_of(explained)["Last safe day to request the revocation"] == (date(2026, 12, 20), "")


def test_past_the_safe_day_no_day_that_is_certain_is_called_provisional():
    explained = explain(issued_in_december(after(500)), datetime(2027, 1, 6, 4, tzinfo=UTC))
    assert "Revoke the certificate today." in explained.advice
    assert "provisional" not in explained.advice


def test_a_revocation_under_way_counts_only_while_a_refund_can_be_requested():
    explained = explain(Facts(**SHORT, revocation_requested_at=after(3)), after(4))
    assert "if the revocation is completed by 2026-08-15" in explained.answer
    assert explained.hint == "CNY 298.00 if it's revoked by 2026-08-15"


def test_no_sentence_names_a_day_to_revoke_after_the_last_day_for_a_refund():
    for facts, at in ASKED:
        explained, case = explain(facts, at), case_of(facts, at)
        for day in filter(None, (explained.safe_revoke_by, explained.revoke_by)):
            assert day <= case.last_day_to_request_once_revoked


def test_after_a_window_the_request_was_late_not_the_revocation():
    facts = Facts(**PLAIN, issued_at=after(1), revoked_at=after(3), policy="intl-2026-03")
    labels = {named.label: named.when for named in explain(facts, after(20)).dates}
    assert labels["Last day to request a refund was"] == date(2026, 8, 10)
    assert "Revocation had to be completed by" not in labels


def test_under_a_window_the_refund_must_be_requested_within_it_too():
    facts = Facts(**PLAIN, issued_at=after(1), revocation_requested_at=after(2), policy="intl-2026-03")
    assert "request the refund by 2026-08-10" in explain(facts, after(3)).advice


@pytest.mark.parametrize("changed", [{"free": True}, {"paid": 0}])
def test_nobody_is_told_to_keep_using_a_revoked_certificate(changed: dict[str, Any]):
    facts = Facts(**{**PLAIN, **changed}, issued_at=after(1), revoked_at=after(2))
    assert explain(facts, after(3)).advice == ""


# --- A revocation without a bound --------------------------------------------------------------


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> str:
    """`intl-2026-03` without its window: a revocation counts whenever it's completed."""
    policy = POLICIES["intl-2026-03"]
    rows = tuple(each for each in policy.table.rows if each.rule != Rule.WINDOW_OVER)
    known = {**POLICIES, "unbounded": replace(policy, name="unbounded", table=Table("unbounded", rows))}
    monkeypatch.setattr(assessing, "POLICIES", known)
    return "unbounded"


@pytest.mark.parametrize("requested", [{}, {"revocation_requested_at": after(2)}])
def test_a_revocation_without_a_bound_has_no_last_day(unbounded: str, requested: dict[str, Any]):
    facts = Facts(**PLAIN, issued_at=after(1), **requested, policy=unbounded)
    assessment = assess(facts, after(3))
    assert (assessment.revoke_by, assessment.safe_revoke_by, assessment.calendar) == (None, None, None)
    assert assessment.warnings == ()


@pytest.mark.parametrize(
    ("requested", "hint"),
    [
        ({}, "Revoke by 2027-07-27 to get CNY 298.00 back"),
        ({"revocation_requested_at": after(2)}, "CNY 298.00 if it's revoked by 2027-08-03"),
    ],
)
def test_a_revocation_without_a_bound_is_useful_until_the_last_day_for_a_refund(
    unbounded: str, requested: dict[str, Any], hint: str
):
    explained = explain(Facts(**PLAIN, issued_at=after(1), **requested, policy=unbounded), after(3))
    assert explained.hint == hint
    last = date(2027, 8, 3)
    wanted = {"Revocation must be completed by": last, "Last day to request the refund": last}
    safe = {} if requested else {"Last safe day to request the revocation": date(2027, 7, 27)}
    assert {named.label: named.when for named in explained.dates} == {**wanted, **safe}


# --- Other numbers -----------------------------------------------------------------------------

THE_SHIPPED_NUMBERS = re.compile(
    r"\b(28|15|5|14|29|6|7|30) (calendar |business )?days?\b|\b(five|fifteen|twenty-eight) (business )?days\b", re.I
)


def odd_policy() -> Policy:
    """`intl-2021` with 41, 43 and 47 days and 11 and 13 business days."""
    bounds = {28: 41, 29: 42, 5: 43, 6: 44, 15: 47, 14: 46}
    rows = [
        replace(each, tests={column: with_other_bounds(test, bounds) for column, test in each.tests.items()})
        for each in POLICIES["intl-2021"].table.rows
    ]
    return replace(
        POLICIES["intl-2021"],
        name="odd",
        table=Table("odd", tuple(rows)),
        review_limit=13,
        usual_review=11,
        revocation_allowance=11,
    )


def with_other_bounds(test: Any, bounds: dict[int, int]) -> Any:
    if not isinstance(test, DayRange):
        return test
    return DayRange(bounds.get(test.first, test.first), bounds.get(test.last, test.last) if test.last else None)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> str:
    for module in (policies, assessing):
        monkeypatch.setattr(module, "POLICIES", {**POLICIES, "odd": odd_policy()})
    return "odd"


def test_with_other_numbers_no_sentence_keeps_the_old_ones(odd: str):
    seen = set()
    for facts, _at in examples():
        for day in (0, 3, 35, 40, 42, 44, 60, 100, 300, 320, 355, 366):
            explained = explain(replace(facts, policy=odd), after(day))
            seen.add(explained.rule)
            # The day counts of the facts themselves may be any number.
            said = [explained.answer, explained.hint, explained.advice, *explained.warnings]
            said += [condition.text for condition in explained.conditions]
            assert not [words for words in said if THE_SHIPPED_NUMBERS.search(words)], said
    assert seen == set(Rule) - {Rule.WINDOW_OVER}


def test_with_other_numbers_the_sentences_name_them(odd: str):
    late = explain(Facts(**PLAIN, issued_at=after(1), policy=odd), after(60))
    assert late.hint == "Not refundable: issued more than 41 days ago"
    close = explain(Facts(**PLAIN, policy=odd), after(355))
    assert [condition.text for condition in close.unmet] == [
        "Bought no more than 43 days ago, or at least 47 days left before it expires",
    ]


def test_a_range_in_the_middle_asks_for_either_side(monkeypatch: pytest.MonkeyPatch):
    rows = (
        row("window-over", Outcome.NO, days_since_payment=days(3, 9)),
        row("unissued-immediate", Outcome.YES, Review.NONE, days_left=days_or_more(0)),
    )
    policy = Policy("middle", "", date(2026, 1, 1), Table("middle", rows))
    monkeypatch.setattr(assessing, "POLICIES", {"middle": policy})
    facts = Facts(**PLAIN, policy="middle")
    (condition,) = explain(facts, after(5)).conditions
    assert (condition.text, condition.is_met) == (
        "Bought more than 9 days ago, or bought no more than 2 days ago",
        False,
    )
    assert condition.changes_on == service_day(after(10))
    assert assess(facts, after(5)).stage == Stage.UNISSUED


def test_an_end_at_midnight_leaves_nothing_of_its_day_to_request_on():
    ends = datetime(2026, 8, 20, tzinfo=SERVICE_ZONE)
    facts = replace(Facts(**PLAIN), purchased_at=ends - 40 * DAY, expires_at=ends)
    revoked = replace(facts, issued_at=ends - 20 * DAY, revoked_at=ends - 15 * DAY)
    assert explain(revoked, ends - 10 * DAY).request_by == date(2026, 8, 19)
    issued = explain(replace(facts, issued_at=ends - 20 * DAY), ends - 15 * DAY)
    assert (issued.request_by, issued.revoke_by) == (date(2026, 8, 19), date(2026, 8, 19))


def test_a_revocation_under_way_that_may_come_late_is_warned_of():
    facts = Facts(**PLAIN, issued_at=after(0), revocation_requested_at=after(26))
    assert explain(facts, after(26)).warnings
    assert not explain(replace(facts, revocation_requested_at=after(3)), after(3)).warnings
