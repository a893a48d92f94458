"""A policy in words, row by row, and what differs between two: for the policy pages, `manage.py policies` and docs.

Pure. Everything is read from the tables themselves, so nothing printed can disagree with what decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product, takewhile
from types import MappingProxyType

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from core.clock import SERVICE_ZONE_LABEL
from refunds.rules.conditions import requirement
from refunds.rules.policies import Policy
from refunds.rules.sentences import Words, joined
from refunds.rules.table import (
    DAYS,
    FLAGS,
    DayRange,
    Outcome,
    Position,
    Review,
    Row,
    Stage,
    Table,
    TableError,
    Test,
)

STAGES: Mapping[Stage, Words] = MappingProxyType(
    {
        Stage.UNISSUED: gettext_lazy("Not issued"),
        Stage.VALIDATED: gettext_lazy("Approved by the authority but not issued"),
        Stage.ISSUED: gettext_lazy("Issued"),
        Stage.REVOKING: gettext_lazy("Revocation requested"),
        Stage.REVOKED: gettext_lazy("Revoked"),
    }
)
_FLAGS: Mapping[str, Words] = MappingProxyType(
    {
        "uploaded": gettext_lazy("Bought elsewhere and uploaded"),
        "free": gettext_lazy("Free certificate"),
        "nothing_paid": gettext_lazy("Paid with a voucher alone"),
        "expired": gettext_lazy("Expired"),
    }
)
_OUTCOMES: Mapping[Outcome, Words] = MappingProxyType(
    {
        Outcome.YES: gettext_lazy("Full refund"),
        Outcome.NOT_YET: gettext_lazy("Not yet"),
        Outcome.NO: gettext_lazy("No refund"),
    }
)
_YES: Mapping[Review, Words] = MappingProxyType(
    {
        Review.NONE: gettext_lazy("Full refund, at once"),
        Review.MANUAL: gettext_lazy("Full refund, after a review"),
    }
)


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One row of a policy: the rule's name, when it decides, and what follows."""

    rule: str
    when: str
    result: str


def rows_of(policy: Policy) -> list[PrintedRow]:
    return [PrintedRow(row.rule, when_of(row), result_of(row)) for row in policy.table.rows]


def when_of(row: Row) -> str:
    """The tests of a row in words."""
    return joined("; ", _tests(row)) or _("Always")


def result_of(row: Row) -> str:
    """What follows from a row: a refund, with or without a review, or none."""
    return answer_in_words(answer_of(row))


def _tests(row: Row) -> Iterator[str]:
    for column, test in row.tests.items():
        if isinstance(test, DayRange):
            yield requirement(column, test, wanted=True)
        elif column == "stage" and "revoked_after" not in row.tests:
            yield joined(_(", or "), (str(STAGES[stage]) for stage in Stage if stage in test))
        elif column != "stage":
            yield str(_FLAGS[column]) if True in test else _("Not: %(flag)s") % {"flag": _FLAGS[column]}


def markdown_of(policies: Mapping[str, Policy]) -> str:
    """All policies as one Markdown page, in English."""
    with override("en"):
        return "\n".join([_HEAD, *map(_section, policies.values())])


_HEAD = f"""# Refund policies

Each policy is a table, and the first row that fits decides. Days are calendar days in {SERVICE_ZONE_LABEL}; the
day of an event is day 0. An order keeps the policy that it was made under. `manage.py policies` prints this page.
"""


def _section(policy: Policy) -> str:
    lines = [
        f"## {policy.name}",
        "",
        f"From {policy.first_day}. Source: {policy.source}.",
        "",
        f"- A review takes at most {policy.review_limit} business days, usually {policy.usual_review}.",
        f"- An authority may take {policy.revocation_allowance} business days to revoke.",
        *([f"- {policy.note}"] if policy.note else []),
        "",
        "| Rule | When | Refund |",
        "| --- | --- | --- |",
        *(f"| `{row.rule}` | {row.when} | {row.result} |" for row in rows_of(policy)),
        "",
    ]
    return "\n".join(lines)


# --- What differs between two ------------------------------------------------------------------

Answer = tuple[Outcome, Review | None]
# The first and the last piece of each day column.
Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """Certificates that two policies decide differently: their stage, their days, and what each policy says."""

    stage: Stage
    days: Mapping[str, DayRange]
    before: Answer
    now: Answer

    @property
    def when(self) -> str:
        tests = (requirement(column, test, wanted=True) for column, test in self.days.items())
        is_implied = "revoked_after" in self.days
        return joined("; ", tests if is_implied else [str(STAGES[self.stage]), *tests])

    @property
    def before_in_words(self) -> str:
        return answer_in_words(self.before)

    @property
    def now_in_words(self) -> str:
        return answer_in_words(self.now)


def differences_between(one: Policy, other: Policy) -> list[PolicyDifference]:
    """Where two policies differ in outcome or review, neighboring cells merged.

    Leaves out columns that don't apply at a stage, and cells that no certificate can be in. Raises TableError unless
    both begin with the same rows about what was never paid for here and what is over.
    """
    _require_same_beginning(one, other)
    return [difference for stage in Stage for difference in _Comparison(one.table, other.table, stage).differences()]


def _require_same_beginning(one: Policy, other: Policy) -> None:
    """Flags aren't compared, so both must decide by the same rows, before all others, wherever one is set."""
    for policy in (one, other):
        late = next((row for row in _after_beginning(policy.table) if row.tests.keys() & set(FLAGS)), None)
        if late:
            raise TableError(f"{policy.name} can't be compared: the row {late.rule} tests a flag after the first rows.")
    if _beginning(one.table) != _beginning(other.table):
        raise TableError(f"{one.name} and {other.name} can't be compared: their first rows, about flags, differ.")


def _beginning(table: Table) -> list[tuple[Mapping[str, Test], Answer]]:
    """The first rows, which test flags alone, and what they decide."""
    rows = takewhile(lambda row: row.tests and row.tests.keys() <= set(FLAGS), table.rows)
    return [(row.tests, answer_of(row)) for row in rows]


def _after_beginning(table: Table) -> tuple[Row, ...]:
    return table.rows[len(_beginning(table)) :]


class _Comparison:
    """Two tables at one stage, cut at the bounds of both.

    Only certificates that were paid for here and haven't expired are compared; see `_require_same_beginning`.
    """

    def __init__(self, one: Table, other: Table, stage: Stage) -> None:
        self.stage = stage
        self.columns = [column for column, stages in DAYS.items() if stage in stages]
        self.starts = [(0, *sorted({*one.cuts[column], *other.cuts[column]})) for column in self.columns]
        cells = product(*(range(len(starts)) for starts in self.starts))
        self.answers = {
            cell: tuple(answer_of(table.decide(self._position(cell))) for table in (one, other))
            for cell in cells
            if self._is_possible(cell)
        }

    def differences(self) -> Iterator[PolicyDifference]:
        covered: set[tuple[int, ...]] = set()
        for cell, (before, now) in self.answers.items():
            if before == now or cell in covered:
                continue
            box = self._grown(cell)
            covered |= set(product(*(range(first, last + 1) for first, last in box)))
            yield PolicyDifference(self.stage, dict(self._days(box)), before, now)

    def _position(self, cell: tuple[int, ...]) -> Position:
        days = {column: starts[piece] for column, starts, piece in zip(self.columns, self.starts, cell, strict=True)}
        return Position(False, False, False, False, self.stage, **{"days_since_payment": 0, "days_left": 0, **days})

    def _range(self, cell: tuple[int, ...], column: str) -> tuple[int, float]:
        """The first and the last day of a cell in a column that applies."""
        index = self.columns.index(column)
        starts, piece = self.starts[index], cell[index]
        return starts[piece], starts[piece + 1] - 1 if piece + 1 < len(starts) else float("inf")

    def _is_possible(self, cell: tuple[int, ...]) -> bool:
        """A certificate is issued after its payment and revoked after its issue."""
        order = [name for name in ("revoked_after", "days_since_issue", "days_since_payment") if name in self.columns]
        ranges = [self._range(cell, name) for name in order]
        return all(first <= last for n, (first, _) in enumerate(ranges) for _, last in ranges[n:])

    def _grown(self, cell: tuple[int, ...]) -> Box:
        """The largest box around a cell, column by column, in which nothing possible has another answer."""
        box = tuple((piece, piece) for piece in cell)
        for index, starts in enumerate(self.starts):
            for step in (-1, 1):
                while (wider := _widened(box, index, step, len(starts))) and self._is_alike(wider, cell):
                    box = wider
        return box

    def _is_alike(self, box: Box, cell: tuple[int, ...]) -> bool:
        inside = product(*(range(first, last + 1) for first, last in box))
        return all(self.answers.get(each, self.answers[cell]) == self.answers[cell] for each in inside)

    def _days(self, box: Box) -> Iterator[tuple[str, DayRange]]:
        """The columns that a box doesn't span whole."""
        for column, starts, (first, last) in zip(self.columns, self.starts, box, strict=True):
            if first > 0 or last < len(starts) - 1:
                yield column, DayRange(starts[first], starts[last + 1] - 1 if last + 1 < len(starts) else None)


def _widened(box: Box, index: int, step: int, pieces: int) -> Box | None:
    first, last = box[index]
    first, last = (first - 1, last) if step < 0 else (first, last + 1)
    return None if first < 0 or last >= pieces else (*box[:index], (first, last), *box[index + 1 :])


def answer_of(row: Row) -> Answer:
    return row.outcome, row.review


def answer_in_words(answer: Answer) -> str:
    outcome, review = answer
    return str(_OUTCOMES[outcome] if review is None else _YES[review])
