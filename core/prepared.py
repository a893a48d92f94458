"""A query that is put together once and asked with other values each time.

Putting a query with many parts together takes Django longer than the database takes to answer it. Write `Late("name")`
where a value comes in later, prepare the query once for a process, and give the values with each call.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Expression, Field, QuerySet


class Late(Expression):
    """Stands in a query for a value that is given when it is asked; a moment may be shifted: `Late("at") + days`."""

    def __init__(self, name: str, output_field: Field, shift: timedelta | None = None) -> None:
        super().__init__(output_field=output_field)
        self.name, self.shift = name, shift

    def __add__(self, shift: timedelta) -> "Late":  # type: ignore[override]
        return Late(self.name, self.output_field, shift)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def given(self, values: dict[str, Any]) -> Any:
        value = values[self.name]
        if isinstance(value, datetime):
            return connection.ops.adapt_datetimefield_value(value + self.shift if self.shift else value)
        return value


class Prepared:
    """A query's SQL with its late values left open."""

    def __init__(self, queryset: QuerySet[Any, Any]) -> None:
        self.sql, self.params = queryset.query.sql_with_params()

    def ask(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows as the database gives them. Raises KeyError when a late value is missing."""
        given = [param.given(values) if isinstance(param, Late) else param for param in self.params]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, given)
            return cursor.fetchall()
