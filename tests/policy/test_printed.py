"""Policies in words: the page in docs is what the tables say, and a comparison is true and complete."""

from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from refunds.rules.policies import POLICIES, Policy
from refunds.rules.printed import PolicyDifference, answer_in_words, answer_of, differences_between, rows_of
from refunds.rules.table import DAYS, Outcome, Position, Review, Row, Stage, Table, TableError, row

DOCS = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
# On both sides of every bound of every policy.
TRIED = (0, 5, 6, 7, 8, 14, 15, 28, 29, 30, 31, 400)


def test_docs_policies_is_what_the_command_prints():
    printed = StringIO()
    call_command("policies", stdout=printed)
    assert DOCS.read_text() == printed.getvalue()


def test_a_row_reads_as_the_product_page_does():
    rows = {row.rule: row for row in rows_of(POLICIES["intl-2021"])}
    manual = rows["unissued-manual"]
    assert manual.when == "Not issued; bought more than 5 days ago; at least 15 days left before it expires"
    assert manual.result == "Full refund, after a review"
    assert rows["issued-revoked"].when == "Revoked within 28 days of the issue"
    assert rows["unissued-too-late"].when.endswith("fewer than 15 days left before it expires")


PAIRS = [(one, other) for one, other in product(POLICIES, POLICIES) if one != other]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_comparison_names_every_position_that_differs_and_no_other(one: str, other: str):
    found = differences_between(POLICIES[one], POLICIES[other])
    for position in positions():
        before, now = (answer_of(POLICIES[name].table.decide(position)) for name in (one, other))
        said = {(each.before, each.now) for each in found if is_in(position, each)}
        assert said == ({(before, now)} if before != now else set()), position


def positions() -> Any:
    """Every stage with every combination of days that a certificate can have."""
    for stage, paid, left, issued, revoked in product(Stage, TRIED, TRIED, TRIED, TRIED):
        if revoked > issued or issued > paid:
            continue
        days = {"days_since_payment": paid, "days_left": left, "days_since_issue": issued, "revoked_after": revoked}
        yield Position(
            *(False, False, False, False),
            stage,
            **{column: days[column] for column, stages in DAYS.items() if stage in stages},
        )


def is_in(position: Position, difference: PolicyDifference) -> bool:
    return position.stage == difference.stage and all(
        days.first <= getattr(position, column) and (days.last is None or getattr(position, column) <= days.last)
        for column, days in difference.days.items()
    )


def test_a_policy_does_not_differ_from_itself():
    assert [differences_between(policy, policy) for policy in POLICIES.values()] == [[]] * len(POLICIES)


def changed(**rows: Row | None) -> Policy:
    """`intl-2021` with other rows, by rule, or without them where None; the table is proved as usual."""
    policy = POLICIES["intl-2021"]
    kept = [rows.get(row.rule.replace("-", "_"), row) for row in policy.table.rows]
    return replace(policy, name="changed", table=Table("changed", tuple(row for row in kept if row)))


FREE_IS_PAID_BACK = row("free-dv", Outcome.YES, Review.MANUAL, free=True)
VALIDATED_IF_PAID = row("validated-unissued", Outcome.NOT_YET, stage=Stage.VALIDATED, nothing_paid=False)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(free_dv=FREE_IS_PAID_BACK), "intl-2021 and changed can't be compared: their first rows, about flags"),
        (changed(free_dv=None), "intl-2021 and changed can't be compared: their first rows, about flags, differ"),
        (
            changed(validated_unissued=VALIDATED_IF_PAID),
            "changed can't be compared: the row validated-unissued tests a flag after the first rows",
        ),
    ],
)
def test_policies_that_begin_with_other_rows_are_not_compared(other: Policy, said: str):
    """Their differences would be hidden, since flags aren't among the columns that are compared."""
    with pytest.raises(TableError, match=said):
        differences_between(POLICIES["intl-2021"], other)


def test_a_comparison_merges_neighbors_and_leaves_out_what_cannot_occur():
    found = differences_between(POLICIES["intl-2021"], POLICIES["intl-2026-03"])
    assert [(each.when, answer_in_words(each.before), answer_in_words(each.now)) for each in found if each.days][
        -1
    ] == (
        "Bought more than 7 days ago; revoked within 28 days of the issue",
        "Full refund, after a review",
        "No refund",
    )
    # "Issued no more than 28 days ago" follows from "bought no more than 7 days ago", so nobody has to read it.
    assert len(found) == 7
