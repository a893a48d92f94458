"""Every row of every policy has words, and they say what follows from the row."""

import re

import pytest

from refunds.rules import sentences
from refunds.rules.assess import Assessment
from refunds.rules.explain import name_of
from refunds.rules.policies import POLICIES, Rule
from refunds.rules.table import DAYS, Outcome, Review, Row, Stage, days, days_or_more, row

# What an answer must say, by what follows from the row.
FITTING: dict[tuple[Outcome, Review | None], str] = {
    (Outcome.YES, Review.NONE): r"back at once, without a review",
    (Outcome.YES, Review.MANUAL): r"back after a review",
    (Outcome.NOT_YET, None): r"^Not refundable yet: ",
    (Outcome.NO, None): r"^Not refundable: ",
}


def unfit_words(each: Row) -> str:
    """What is wrong with the words of a row's rule; empty where they fit the row."""
    try:
        said = sentences.of(Assessment(each.rule, each.outcome, Stage.ISSUED, "CNY"), is_late=False)
        name_of(each.rule)
    except KeyError:
        return "none"
    if not re.search(FITTING[each.outcome, each.review], str(said.answer)):
        return f"not those of {each.outcome}, review {each.review}: {said.answer}"
    bounds = {column for column in DAYS for part in (said.answer, said.hint, said.advice) if f"%({column})s" in part}
    missing = sorted(bounds - each.tests.keys())
    return f"about {missing}, which the row doesn't test" if missing else ""


ROWS = [pytest.param(each, id=f"{name}-{each.rule}") for name in POLICIES for each in POLICIES[name].table.rows]


@pytest.mark.parametrize("each", ROWS)
def test_every_row_has_words_that_fit_what_follows_from_it(each: Row):
    assert unfit_words(each) == ""


@pytest.mark.parametrize(
    ("odd_row", "said"),
    [
        (row("nameless", Outcome.NO, free=True), "none"),
        (row(Rule.UNISSUED_MANUAL, Outcome.YES, Review.NONE, stage=Stage.UNISSUED), "not those of yes, review none"),
        (row(Rule.WINDOW_OVER, Outcome.NOT_YET, days_since_payment=days_or_more(8)), "not those of not yet"),
        (row(Rule.REVOKE_FIRST, Outcome.NO, stage=Stage.ISSUED), "not those of no"),
        (row(Rule.WINDOW_OVER, Outcome.NO, days_left=days(0, 8)), "about ['days_since_payment']"),
    ],
)
def test_words_that_do_not_fit_a_row_are_found(odd_row: Row, said: str):
    assert unfit_words(odd_row).startswith(said)
