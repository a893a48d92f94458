"""Policies as tables: a broken one never loads, and the four that ship are what their pages say."""

from typing import Any

import pytest

from refunds.rules.policies import POLICIES
from refunds.rules.table import (
    DAYS,
    DayRange,
    Outcome,
    Position,
    Review,
    Row,
    Stage,
    Table,
    TableError,
    days,
    days_or_more,
    row,
)

NO, YES = Outcome.NO, Outcome.YES
OTHERS = row("others", NO, stage=set(Stage))


def table(*rows: Row) -> Table:
    return Table("test", rows)


# --- Broken tables -----------------------------------------------------------------------------


def test_a_gap_is_refused_with_the_cell():
    with pytest.raises(TableError) as refused:
        table(
            row("soon", YES, Review.NONE, days_since_payment=days(0, 4)),
            row("later", NO, days_since_payment=days_or_more(6)),
        )
    assert str(refused.value) == (
        "test: no row decides the cell not uploaded, not free, not nothing_paid, not expired, stage unissued, "
        "days_since_payment 5 to 5, days_left 0 or more."
    )


def test_a_table_without_rows_has_a_gap():
    with pytest.raises(TableError, match="no row decides"):
        table()


def test_a_column_that_does_not_apply_leaves_a_gap_at_that_stage():
    with pytest.raises(TableError, match="stage unissued"):
        table(row("issued", NO, days_since_issue=days_or_more(0)))


def test_a_row_that_never_decides_is_refused_by_its_name():
    with pytest.raises(TableError, match="test: the row shadowed is never reached"):
        table(
            row("first", YES, Review.NONE, days_left=days_or_more(10)),
            row("shadowed", NO, stage=Stage.ISSUED, days_left=days(12, 20)),
            OTHERS,
        )


def test_a_row_that_repeats_another_is_never_reached():
    with pytest.raises(TableError, match="the row others is never reached"):
        table(OTHERS, row("others", NO, stage=set(Stage)))


def test_the_same_row_a_second_time_is_never_reached():
    with pytest.raises(TableError, match="the row others is never reached"):
        table(OTHERS, OTHERS)


def test_an_unknown_column_is_refused_by_its_name():
    with pytest.raises(TableError, match="the row odd tests days_since_paid, which isn't a column"):
        table(row("odd", NO, days_since_paid=days(0, 5)), OTHERS)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (days(5, 4), "an empty range, days_left 5 to 4: it ends before it begins."),
        (days(0, -1), "an empty range, days_left 0 to -1: it ends before it begins."),
        (days(-1, 4), "a range that begins below 0, days_left -1 to 4; 0 includes everything below it."),
        (days_or_more(-3), "a range that begins below 0, days_left -3 or more; 0 includes everything below it."),
    ],
)
def test_an_empty_or_negative_range_is_refused_with_its_row_and_days(broken: DayRange, said: str):
    with pytest.raises(TableError) as refused:
        table(row("odd", NO, days_left=broken), OTHERS)
    assert str(refused.value) == f"test: the row odd has {said}"


@pytest.mark.parametrize("tests", [{"stage": "shipped"}, {"stage": set()}, {"free": "yes"}])
def test_values_that_a_column_does_not_have_are_refused(tests: dict[str, Any]):
    with pytest.raises(TableError, match="for values that it doesn't have"):
        table(row("odd", NO, **tests), OTHERS)


@pytest.mark.parametrize(("tests", "wanted"), [({"days_left": 5}, "a range of days"), ({"free": days(0, 1)}, "values")])
def test_a_test_of_the_wrong_kind_is_refused(tests: dict[str, Any], wanted: str):
    with pytest.raises(TableError, match=f"by {wanted}"):
        table(row("odd", NO, **tests), OTHERS)


@pytest.mark.parametrize(("outcome", "review"), [(YES, None), (NO, Review.MANUAL)])
def test_a_review_goes_with_yes_and_with_nothing_else(outcome: Outcome, review: Review | None):
    with pytest.raises(TableError, match="must name a review exactly where its outcome is yes"):
        table(row("odd", outcome, review, free=True), OTHERS)


# --- How a table decides -----------------------------------------------------------------------


def test_the_first_row_whose_tests_all_hold_decides_every_cell():
    """Each cell once more by reading the rows, without the compiled form."""
    for policy in POLICIES.values():
        for cell, decided in policy.table.cells.items():
            assert decided is next(each for each in policy.table.rows if holds(policy.table, each, cell))


def holds(table: Table, each: Row, cell: tuple[Any, ...]) -> bool:
    values = dict(zip((*("uploaded", "free", "nothing_paid", "expired"), "stage", *DAYS), cell, strict=True))
    return all(is_true(table, column, test, values) for column, test in each.tests.items())


def is_true(table: Table, column: str, test: Any, values: dict[str, Any]) -> bool:
    if column not in DAYS:
        return values[column] in test
    piece = table.piece(column, values[column])
    fits = test.first <= piece.first and (test.last is None or (piece.last is not None and piece.last <= test.last))
    return values["stage"] in DAYS[column] and fits


def test_the_product_page_has_1280_cells():
    assert len(POLICIES["intl-2021"].table.cells) == 1280


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_begins_with_what_was_never_paid_for_and_what_is_over(name: str):
    rules = [each.rule for each in POLICIES[name].table.rows]
    assert rules[:4] == ["uploaded", "free-dv", "nothing-paid", "expired"]


@pytest.mark.parametrize(
    ("name", "window", "unissued", "review"),
    [
        ("cn-2021-07", 7, "unissued-manual", "manual"),
        ("cn-2021-07-package", 30, "unissued-manual", "manual"),
        ("intl-2026-03", 7, "unissued-immediate", "none"),
    ],
)
def test_later_policies_count_from_the_payment(name: str, window: int, unissued: str, review: str):
    rows = {each.rule: each for each in POLICIES[name].table.rows}
    assert rows["window-over"].tests["days_since_payment"] == days_or_more(window + 1)
    assert (rows[unissued].outcome, rows[unissued].review) == (YES, review)


def test_the_lowest_piece_takes_in_everything_below_zero():
    policy = POLICIES["intl-2021"].table
    before = Position(False, False, False, False, Stage.UNISSUED, -40, 400)
    assert policy.decide(before).rule == "unissued-immediate"
