"""Triggers that hold in the database what no code may break: append-only tables and the edges of a state machine.

A model lists its guards in `database_guards`. They are put back after every `migrate`, since SQLite drops the
triggers of a table that it rebuilds, without a word.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Model


@dataclass(frozen=True)
class Trigger:
    """One trigger. `refuse_when` is an SQL condition over OLD and NEW; None refuses always."""

    table: str
    event: str  # INSERT, UPDATE, DELETE or TRUNCATE
    message: str
    refuse_when: str | None = None
    column: str | None = None

    @property
    def name(self) -> str:
        return f"guard_{self.table}_{self.event.lower()}"

    def create_on_sqlite(self) -> list[str]:
        columns = f" OF {self.column}" if self.column else ""
        condition = f" WHEN {self.refuse_when}" if self.refuse_when else ""
        return [
            f"DROP TRIGGER IF EXISTS {self.name}",
            f"CREATE TRIGGER {self.name} BEFORE {self.event}{columns} ON {self.table} FOR EACH ROW{condition} "
            f"BEGIN SELECT RAISE(ABORT, '{self.message}'); END",
        ]

    def create_on_postgresql(self) -> list[str]:
        columns = f" OF {self.column}" if self.column else ""
        each = "STATEMENT" if self.event == "TRUNCATE" else "ROW"
        condition = self.refuse_when or "TRUE"
        return [
            f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {condition} THEN RAISE EXCEPTION '{self.message}' USING ERRCODE = 'integrity_constraint_violation'; "
            f"END IF; RETURN COALESCE(NEW, OLD); END $$",
            f"CREATE OR REPLACE TRIGGER {self.name} BEFORE {self.event}{columns} ON {self.table} "
            f"FOR EACH {each} EXECUTE FUNCTION {self.name}()",
        ]


class AppendOnly:
    """No row of the table may be changed or removed."""

    def triggers(self, model: type[Model], vendor: str) -> list[Trigger]:
        table = model._meta.db_table
        events = ["UPDATE", "DELETE"] + (["TRUNCATE"] if vendor == "postgresql" else [])
        return [Trigger(table, event, f"{table} is append-only") for event in events]


class StateEdges:
    """The state column moves along the model's EDGES only, and starts in one of its INITIAL states.

    A row that has moved on stays: removed and stored anew (on SQLite one INSERT OR REPLACE), it would begin again.
    """

    def triggers(self, model: Any, vendor: str) -> list[Trigger]:
        table = model._meta.db_table
        edges = sorted(f"'{source}>{target}'" for source, targets in model.EDGES.items() for target in targets)
        initial = ", ".join(sorted(f"'{state}'" for state in model.INITIAL))
        moves = f"OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({', '.join(edges)})"
        return [
            Trigger(table, "UPDATE", f"{table}: unknown edge of its states", moves, column="state"),
            Trigger(table, "INSERT", f"{table}: not a first state", f"NEW.state NOT IN ({initial})"),
            Trigger(table, "DELETE", f"{table}: no longer in a first state", f"OLD.state NOT IN ({initial})"),
        ]


def guarded_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if getattr(model, "database_guards", ())]


def triggers_of(model: Any, vendor: str) -> list[Trigger]:
    return [trigger for guard in model.database_guards for trigger in guard.triggers(model, vendor)]


def restore_after_migrate(sender: AppConfig, using: str, plan: Any = None, **_: Any) -> None:
    restore_guards([model for model in guarded_models() if model._meta.app_label == sender.label], using)


def restore_guards(models: list[type[Model]], using: str = DEFAULT_DB_ALIAS) -> None:
    """Create every missing trigger of these models, and replace those that have changed."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for model in models:
            if model._meta.db_table not in tables:
                continue
            for trigger in triggers_of(model, connection.vendor):
                # Both statements or none: a console that runs meanwhile must find the guard in its place.
                with transaction.atomic(using=using):
                    for statement in getattr(trigger, f"create_on_{connection.vendor}")():
                        cursor.execute(statement)


_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
}


def missing_guards(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """The names of the triggers that should stand in the database and do not, sorted."""
    connection = connections[using]
    wanted = {trigger.name for model in guarded_models() for trigger in triggers_of(model, connection.vendor)}
    with connection.cursor() as cursor:
        cursor.execute(_PRESENT[connection.vendor])
        present = {name for (name,) in cursor.fetchall()}
    return sorted(wanted - present)


def require_guards(using: str = DEFAULT_DB_ALIAS) -> None:
    """Raise ImproperlyConfigured when a trigger is missing: better no console than one whose books can be rewritten."""
    missing = missing_guards(using)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ImproperlyConfigured(
            f"The database lacks its guards {', '.join(missing[:3])}{more}. "
            "Run `manage.py migrate`, which puts them back."
        )


@contextmanager
def guards_lifted(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Take every trigger away for the block and put them back after it. For tests that empty the database, only."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for model in guarded_models():
            for trigger in triggers_of(model, connection.vendor):
                on_table = f" ON {trigger.table}" if connection.vendor == "postgresql" else ""
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger.name}{on_table}")
    try:
        yield
    finally:
        restore_guards(guarded_models(), using)
