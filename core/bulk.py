"""Many rows into one table in a third of the time of `bulk_create`: no model instances, the keys known beforehand."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import DateField, Field, JSONField, Model


def reserve_keys(model: type[Model], count: int) -> range | list[int]:
    """Primary keys for so many new rows, ascending. On SQLite they are kept for the caller's transaction only."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            last = (cursor.fetchone() or [0])[0]
            return range(last + 1, last + 1 + count)
        key = model._meta.pk.column
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)", [table, key, count]
        )
        return sorted(number for (number,) in cursor.fetchall())


def insert_rows(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of values, one for each named field (a foreign key by its id), in the caller's transaction.

    The fields not named get their default. Nothing is checked but by the database.
    """
    named = [cast("Field[Any, Any]", model._meta.get_field(name)) for name in names]
    others = [field for field in model._meta.concrete_fields if _needs_default(field) and field not in named]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in named + others)
    marks = ", ".join(["%s"] * len(named + others))
    table = connection.ops.quote_name(model._meta.db_table)
    defaults = tuple(_preparing(field)(field.get_default()) for field in others)
    values = ((*row, *defaults) for row in _prepared(named, rows))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names of the project's own models
            list(values),
        )


def _needs_default(field: Field) -> bool:
    return not (field.primary_key or field.generated or field.has_db_default())


def _prepared(fields: Sequence[Field], rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    """The rows as the database's driver takes them, column by column, since most columns need nothing done."""
    columns = zip(*rows, strict=True)
    return zip(*map(_prepared_column, fields, columns), strict=True)


def _prepared_column(field: Field, column: Sequence[Any]) -> Iterable[Any]:
    if isinstance(field, DateField):
        prepared = {value: _preparing(field)(value) for value in set(column)}  # most moments occur many times
        return map(prepared.__getitem__, column)
    return map(_preparing(field), column) if isinstance(field, JSONField) else column


def _preparing(field: Field) -> Callable[[Any], Any]:
    database = connections[DEFAULT_DB_ALIAS]  # itself, not the proxy: it is asked a million times
    return lambda value: field.get_db_prep_save(value, database)
