"""The form of a refund policy: a table of rows, where the first row whose tests all hold decides. Pure.

A test is one column and either a set of values or an inclusive range of whole days. There are no functions and no
expressions, so the finite number of cells that the table's own bounds cut out can all be tried: building a `Table`
proves that every cell is decided and that every row decides at least one.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple


class Outcome(StrEnum):
    YES = "yes"
    # The customer can still bring a refund about, or has to wait for the authority.
    NOT_YET = "not yet"
    NO = "no"


class Review(StrEnum):
    NONE = "none"
    MANUAL = "manual"


class Stage(StrEnum):
    """How far the certificate itself is, at the moment asked about."""

    UNISSUED = "unissued"
    # The authority has approved the application; the certificate isn't out yet.
    VALIDATED = "validated"
    ISSUED = "issued"
    REVOKING = "revoking"
    REVOKED = "revoked"


FLAGS = ("uploaded", "free", "nothing_paid", "expired")
# The columns that count days, and the stages at which they have a value.
DAYS: Mapping[str, frozenset[Stage]] = MappingProxyType(
    {
        "days_since_payment": frozenset(Stage),
        "days_left": frozenset(Stage),
        "days_since_issue": frozenset({Stage.ISSUED, Stage.REVOKING, Stage.REVOKED}),
        "revoked_after": frozenset({Stage.REVOKED}),
    }
)
COLUMNS = (*FLAGS, "stage", *DAYS)
_VALUES: Mapping[str, frozenset[Any]] = MappingProxyType(
    {**dict.fromkeys(FLAGS, frozenset({False, True})), "stage": frozenset(Stage)}
)


class TableError(ValueError):
    """A policy's table is broken; the message names the policy and the row or the cell."""


class DayRange(NamedTuple):
    """Whole days from `first` to `last`, both included; `last` None has no end. 0 includes everything below it."""

    first: int
    last: int | None = None

    def __str__(self) -> str:
        return f"{self.first} or more" if self.last is None else f"{self.first} to {self.last}"

    @property
    def bounds(self) -> tuple[int, ...]:
        """The days on which another piece of the column begins."""
        return tuple(day for day in (self.first, None if self.last is None else self.last + 1) if day)


def days(first: int, last: int) -> DayRange:
    return DayRange(first, last)


def days_or_more(first: int) -> DayRange:
    return DayRange(first)


Test = frozenset[Any] | DayRange


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the rule that it states, what follows, and the tests that must all hold."""

    rule: str
    outcome: Outcome
    review: Review | None
    tests: Mapping[str, Test]


def row(rule: str, outcome: Outcome, review: Review | None = None, **tests: Any) -> Row:
    """A row as policies write it: a flag, a stage, a set of stages or a `DayRange` by column."""
    return Row(rule, outcome, review, MappingProxyType({name: _test(value) for name, value in tests.items()}))


def _test(value: Any) -> Test:
    if isinstance(value, DayRange | frozenset):
        return value
    return frozenset(value) if isinstance(value, set) else frozenset({value})


class Position(NamedTuple):
    """A certificate at a moment, reduced to the columns. A day column that doesn't apply at its stage is None."""

    uploaded: bool
    free: bool
    nothing_paid: bool
    expired: bool
    stage: Stage
    days_since_payment: int
    days_left: int
    days_since_issue: int | None = None
    revoked_after: int | None = None


# A position with the piece of each day column in place of its days, in the order of COLUMNS.
Cell = tuple[Any, ...]


class Table:
    """The rows of one policy, proved complete. Raises TableError for a broken one."""

    def __init__(self, name: str, rows: tuple[Row, ...]) -> None:
        self.name, self.rows = name, rows
        for each in rows:
            _require_well_formed(name, each)
        self.cuts: Mapping[str, tuple[int, ...]] = MappingProxyType({column: _cuts(rows, column) for column in DAYS})
        self._since_payment, self._left, self._since_issue, self._revoked_after = self.cuts.values()
        self._decides = self._prove()

    def decide(self, at: Position) -> Row:
        """The first row that fits."""
        return self._decides[self.cell_of(at)]

    def cell_of(self, at: Position) -> Cell:
        # Spelled out, since this is asked for every row of every list.
        return (
            at.uploaded,
            at.free,
            at.nothing_paid,
            at.expired,
            at.stage,
            bisect_right(self._since_payment, at.days_since_payment),
            bisect_right(self._left, at.days_left),
            0 if at.days_since_issue is None else bisect_right(self._since_issue, at.days_since_issue),
            0 if at.revoked_after is None else bisect_right(self._revoked_after, at.revoked_after),
        )

    @property
    def cells(self) -> Mapping[Cell, Row]:
        """Every elementary cell with the row that decides it."""
        return MappingProxyType(self._decides)

    def describe(self, cell: Cell) -> str:
        """A cell in words, such as "stage unissued, days_left 0 to 14"."""
        return ", ".join(self._parts(cell))

    def _parts(self, cell: Cell) -> Iterator[str]:
        *flags, stage = cell[: len(FLAGS) + 1]
        for name, flag in zip(FLAGS, flags, strict=True):
            yield name if flag else f"not {name}"
        yield f"stage {stage}"
        for (column, stages), piece in zip(DAYS.items(), cell[len(FLAGS) + 1 :], strict=True):
            if stage in stages:
                yield f"{column} {self.piece(column, int(piece))}"

    def piece(self, column: str, index: int) -> DayRange:
        """The days of one piece of a column."""
        starts = (0, *self.cuts[column])
        return DayRange(starts[index], starts[index + 1] - 1 if index + 1 < len(starts) else None)

    def _prove(self) -> dict[Cell, Row]:
        """The row of every cell. Raises TableError for a cell without one and a row without any."""
        pieces = [range(len(cuts) + 1) for cuts in self.cuts.values()]
        wanted = [self._allowed(each) for each in self.rows]
        decides: dict[Cell, Row] = {}
        reached: set[int] = set()
        for cell in product(*[(False, True)] * len(FLAGS), Stage, *pieces):
            index = next((n for n, tests in enumerate(wanted) if all(cell[at] in values for at, values in tests)), None)
            if index is None:
                raise TableError(f"{self.name}: no row decides the cell {self.describe(cell)}.")
            decides[cell] = self.rows[index]
            reached.add(index)
        for index, each in enumerate(self.rows):
            if index not in reached:
                raise TableError(f"{self.name}: the row {each.rule} is never reached, the rows above it decide first.")
        return decides

    def _allowed(self, each: Row) -> list[tuple[int, frozenset[Any]]]:
        """A row's tests as places of a cell and the values that hold there."""
        found: list[tuple[int, frozenset[Any]]] = []
        for column, test in each.tests.items():
            if isinstance(test, DayRange):
                # Where a column doesn't apply, no test of it holds.
                found.append((COLUMNS.index("stage"), DAYS[column]))
                found.append((COLUMNS.index(column), self._pieces_in(column, test)))
            else:
                found.append((COLUMNS.index(column), test))
        return found

    def _pieces_in(self, column: str, test: DayRange) -> frozenset[int]:
        starts = (0, *self.cuts[column])
        return frozenset(
            index
            for index, start in enumerate(starts)
            if test.first <= start and (test.last is None or start <= test.last)
        )


def _cuts(rows: tuple[Row, ...], column: str) -> tuple[int, ...]:
    """Where the table's own bounds cut a column, in ascending order."""
    tests = (each.tests.get(column) for each in rows)
    return tuple(sorted({bound for test in tests if isinstance(test, DayRange) for bound in test.bounds}))


def _require_well_formed(name: str, each: Row) -> None:
    for column, test in each.tests.items():
        if column not in COLUMNS:
            raise TableError(f"{name}: the row {each.rule} tests {column}, which isn't a column.")
        if isinstance(test, DayRange) != (column in DAYS):
            wanted = "a range of days" if column in DAYS else "values"
            raise TableError(f"{name}: the row {each.rule} must test {column} by {wanted}.")
        if isinstance(test, DayRange):
            _require_days(f"{name}: the row {each.rule}", column, test)
        elif not test or not test <= _VALUES[column]:
            raise TableError(f"{name}: the row {each.rule} tests {column} for values that it doesn't have.")
    if (each.review is not None) != (each.outcome == Outcome.YES):
        raise TableError(f"{name}: the row {each.rule} must name a review exactly where its outcome is yes.")


def _require_days(where: str, column: str, test: DayRange) -> None:
    if test.first < 0:
        raise TableError(f"{where} has a range that begins below 0, {column} {test}; 0 includes everything below it.")
    if test.last is not None and test.last < test.first:
        raise TableError(f"{where} has an empty range, {column} {test}: it ends before it begins.")
