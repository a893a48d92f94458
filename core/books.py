"""How the books are proved: each floor looks for rows that contradict one another and names them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from string import Formatter

from django.db import connection
from django.db.models import BigIntegerField, Case, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from core.prepared import Prepared


@dataclass(frozen=True)
class Finding:
    """One row of a table, and what is wrong with it."""

    table: str
    id: int
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.id}: {self.what}"


class Question:
    """Rows that contradict others, if there are any; `what` may name their fields and annotations in braces."""

    def __init__(self, rows: QuerySet, what: str) -> None:
        self.table, self.what = rows.model._meta.db_table, what
        self.columns = _columns(what)
        self.query = Prepared(_asked(rows, self.columns))

    def findings(self) -> Iterator[Finding]:
        """A finding for each row, in order."""
        for row in self.query.ask():
            values = dict(zip(self.columns, row, strict=True))
            yield Finding(self.table, values["pk"], self.what.format(**values))


def _columns(what: str) -> list[str]:
    return list(dict.fromkeys(["pk", *(name for _, name, _, _ in Formatter().parse(what) if name)]))


def _asked(rows: QuerySet, columns: list[str]) -> QuerySet:
    return rows.order_by("pk").values(*columns)


@cache
def _prepared(questions: Callable[[], Iterator[Question]]) -> tuple[Question, ...]:
    return tuple(questions())


def answers_to(questions: Callable[[], Iterator[Question]]) -> Iterator[Finding]:
    """What these questions find. They never change, so their queries are put together once per process."""
    for question in _prepared(questions):
        yield from question.findings()


def findings(rows: QuerySet, what: str) -> Iterator[Finding]:
    """A finding for each of these rows, in order, for rows that are known only now; `what` as in `Question`."""
    for row in _asked(rows, _columns(what)):
        yield Finding(rows.model._meta.db_table, row["pk"], what.format(**row))


def sum_of(rows: QuerySet, field: str, *, outer: str = "pk", of: str = "amount") -> Coalesce:
    """The sum over those rows whose `field` is the outer row's `outer`; 0 where there are none."""
    same = rows.order_by().filter(**{field: OuterRef(outer)}).values(field)
    return Coalesce(Subquery(same.annotate(all=Sum(of)).values("all")), 0, output_field=BigIntegerField())


def unless(condition: Q) -> Case:
    """True for a row that does not meet the condition, for `filter`; where SQL would say NULL, too."""
    return Case(When(condition, then=Value(False)), default=Value(True))


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the whole database for the block, which only reads; nobody is kept from writing.

    Inside a transaction there is nothing to do: it must be its caller's.
    """
    if connection.in_atomic_block:
        yield
        return
    # Django's own would begin IMMEDIATE on SQLite and lock every writer out, and READ COMMITTED on PostgreSQL.
    begin = {"sqlite": "BEGIN DEFERRED", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
    with connection.cursor() as cursor:
        cursor.execute(begin[connection.vendor])
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
