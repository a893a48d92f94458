# ruff: noqa: S608 - the statements are put together from the tables' own names
"""What the database itself refuses, whoever asks: asked past models and services, with plain SQL."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import QuerySet
from django_fsm import RETURN_VALUE

from certificates.models import Certificate, Enrollment, Revocation
from core.encryption import encrypt
from core.guards import guarded_models, guards_lifted, missing_guards, require_guards, restore_guards, triggers_of
from core.models import AppendOnlyError, AppendOnlyModel, AuditEntry, EmailChange, User
from core.states import StatefulModel
from payments.models import BankBatch, BatchLine, Difference, LedgerEntry, Payout
from payments.services import record_paid
from refunds.models import Decision, RefundRequest
from tests import factories
from tests.factories import NOON

APPEND_ONLY = [AuditEntry, BatchLine, LedgerEntry, Decision]
STATEFUL = [Certificate, Difference, EmailChange, Enrollment, Payout, RefundRequest, Revocation]


def by_name(model: type[models.Model]) -> str:
    return model.__name__


def execute(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def refunded(customer, cashier) -> RefundRequest:
    """A refund from end to end: every guarded table has a row."""
    request = factories.submit(factories.certificate(customer, payments={"bank": 120_000}))
    enrollment = Enrollment.objects.create(certificate=request.certificate, reference="cas-1", ordered_at=NOON)
    enrollment.close()
    enrollment.save()
    revocation = Revocation.objects.create(
        certificate=request.certificate,
        state="confirmed",
        reason="superseded",
        requested_by=customer,
        requested_at=NOON,
    )
    revocation.complete()
    revocation.save()
    change = EmailChange.objects.create(
        account=customer, old_email=customer.email, new_email="new@example.com", requested_at=NOON
    )
    change.confirm()
    change.save()
    batch = BankBatch.objects.create(
        number=1, day=NOON.date(), made_at=NOON, made_by=customer, content=encrypt(b""), digest=sha256(b"").hexdigest()
    )
    payout = Payout.objects.get(reference=request.reference)
    BatchLine.objects.create(batch=batch, position=1, payout=payout)
    record_paid(payout.pk, "2026-0001", by=cashier, at=NOON)
    difference = Difference.objects.create(
        channel="bank", day=NOON.date(), kind="missing_here", subject="1", currency="CNY", found_at=NOON
    )
    difference.heal()
    difference.save()
    return RefundRequest.objects.get(pk=request.pk)


# --- That they are there -----------------------------------------------------------------------


def subclasses(base: type[models.Model]) -> list[type[models.Model]]:
    return sorted((model for model in apps.get_models() if issubclass(model, base)), key=by_name)


def test_every_append_only_and_every_stateful_model_is_guarded():
    assert subclasses(AppendOnlyModel) == sorted(APPEND_ONLY, key=by_name)
    assert subclasses(StatefulModel) == sorted(STATEFUL, key=by_name)
    assert sorted(guarded_models(), key=by_name) == sorted(APPEND_ONLY + STATEFUL, key=by_name)


PRESENT = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND tgenabled = 'O'"
    ),
}


def test_the_database_has_exactly_the_triggers_of_the_guarded_models_after_all_migrations(db):
    with connection.cursor() as cursor:
        cursor.execute(PRESENT[connection.vendor])
        present = sorted(cursor.fetchall())
    wanted = [trigger for model in guarded_models() for trigger in triggers_of(model, connection.vendor)]
    assert present == sorted((trigger.name, trigger.table) for trigger in wanted)
    # An append-only table has one more on PostgreSQL, against TRUNCATE.
    assert len(present) == 29 + (4 if connection.vendor == "postgresql" else 0)


def test_console_does_not_start_on_a_database_that_lacks_one(db):
    require_guards()
    lose_one = {
        "sqlite": "DROP TRIGGER guard_core_auditentry_update",
        "postgresql": "ALTER TABLE core_auditentry DISABLE TRIGGER guard_core_auditentry_update",
    }
    execute(lose_one[connection.vendor])
    assert missing_guards() == ["guard_core_auditentry_update"]
    with pytest.raises(ImproperlyConfigured, match=r"lacks its guards guard_core_auditentry_update\. Run"):
        require_guards()


@pytest.fixture
def rebuilt_table(transactional_db) -> Iterator[None]:
    """The audit trail's table with a field more, as a migration would add it."""
    field = models.CharField(max_length=5, default="empty")
    field.set_attributes_from_name("scratch")
    field.model = AuditEntry
    with connection.schema_editor() as editor:
        editor.add_field(AuditEntry, field)
    yield
    with connection.schema_editor() as editor:
        editor.remove_field(AuditEntry, field)
    restore_guards([AuditEntry])


def test_migrate_puts_back_what_a_rebuilt_table_lost(rebuilt_table):
    lost = missing_guards()
    assert (len(lost) > 0) == (connection.vendor == "sqlite")
    call_command("migrate", verbosity=0)
    assert missing_guards() == []


def test_migrate_replaces_a_trigger_that_no_longer_says_what_it_should(refunded):
    execute("DROP TRIGGER guard_core_auditentry_update" + on_its_table())
    execute(
        {
            "sqlite": (
                "CREATE TRIGGER guard_core_auditentry_update BEFORE UPDATE ON core_auditentry BEGIN SELECT 1; END"
            ),
            "postgresql": (
                "CREATE OR REPLACE FUNCTION guard_core_auditentry_update() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ BEGIN RETURN NEW; END $$"
            ),
        }[connection.vendor]
    )
    execute("UPDATE core_auditentry SET act = 'forged'")
    restore_guards([AuditEntry])
    with pytest.raises(IntegrityError, match="append-only"):
        execute("UPDATE core_auditentry SET act = 'forged again'")


def on_its_table() -> str:
    return " ON core_auditentry" if connection.vendor == "postgresql" else ""


def test_lifted_guards_come_back_even_after_an_error(db):
    with pytest.raises(ZeroDivisionError), guards_lifted():
        assert len(missing_guards()) >= 12
        raise ZeroDivisionError
    assert missing_guards() == []


# --- Append-only -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", APPEND_ONLY, ids=by_name)
def test_row_of_an_append_only_table_is_neither_changed_nor_removed_nor_replaced(refunded, model):
    table, before = model._meta.db_table, list(model.objects.order_by("pk").values())
    assert before
    # PostgreSQL truncates no table for which foreign keys are still to be checked.
    connection.check_constraints()
    attempts = [
        f"UPDATE {table} SET id = id",
        f"UPDATE {table} SET id = id + 1000 WHERE id = {before[0]['id']}",
        f"DELETE FROM {table}",
    ]
    attempts += {
        "sqlite": [f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"],
        "postgresql": [
            f"TRUNCATE {table} CASCADE",
            f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET id = excluded.id",
        ],
    }[connection.vendor]
    for attempt in attempts:
        with pytest.raises(IntegrityError, match=f"{table} is append-only"):
            execute(attempt)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("model", APPEND_ONLY, ids=by_name)
def test_model_says_so_before_the_database_has_to(refunded, model):
    row = model.objects.first()
    for attempt in (row.save, row.delete, model.objects.all().delete, lambda: model.objects.update(id=1)):
        with pytest.raises(AppendOnlyError):
            attempt()


# --- States ------------------------------------------------------------------------------------


def one_in_each_state(row: models.Model) -> dict[str, int]:
    """Copies of a row, one in each known state, made while nothing guards."""
    model, made = type(row), {}
    connection.check_constraints()
    with guards_lifted():
        for state in model.EDGES:
            made[str(state)] = copy(row, state)
        connection.check_constraints()
    return made


def copy(row: models.Model, state: str) -> int:
    # A certificate of its own for each live request, enrollment and revocation.
    needs_one = type(row) in {RefundRequest, Enrollment, Revocation}
    certificate = factories.certificate(User.objects.first()) if needs_one else None
    special = {
        Certificate: {"instance_id": f"cas-{state}", "order": None, "source": "uploaded"},
        Difference: {"subject": state, "resolved_by": User.objects.first()},
        Payout: {"key": uuid4(), "reference": f"RF-{state}", "external_reference": state, **days_of(state)},
        RefundRequest: {
            "form_key": uuid4(),
            "reference": f"RF-{state}",
            "certificate": certificate,
            "lapse_cause": "expired",
            "answer": "no",
        },
        Enrollment: {"reference": f"cas-{state}", "certificate": certificate},
        Revocation: {"certificate": certificate},
        EmailChange: {},
    }[type(row)]
    fields = {field.name: getattr(row, field.name) for field in row._meta.fields if not field.generated}
    twin = type(row)(**{**fields, **special, "id": None, "state": state})
    QuerySet(type(row)).bulk_create([twin])
    return type(row).objects.order_by("-pk").values_list("pk", flat=True)[0]


def days_of(state: str) -> dict[str, Any]:
    """The days that a payout in this state has, and no other may have."""
    return {
        "booked_on": NOON.date() if state in {"paid", "returned"} else None,
        "returned_at": NOON if state == "returned" else None,
    }


def tried(sql: str) -> str:
    """What the database says to a statement, which is undone; empty when it agrees."""
    try:
        with transaction.atomic():
            execute(sql)
            transaction.set_rollback(True)
    except DatabaseError as error:
        return str(error)
    return ""


@pytest.mark.broken_books
@pytest.mark.parametrize("model", STATEFUL, ids=by_name)
def test_states_move_along_known_edges_only(refunded, model):
    table = model._meta.db_table
    ids = one_in_each_state(model.objects.first())
    for source, pk in ids.items():
        for target in ids:
            said = tried(f"UPDATE {table} SET state = '{target}'{along(model, target)} WHERE id = {pk}")
            is_known = target == source or target in model.EDGES[source]
            assert said == "" if is_known else "unknown edge" in said, (source, target, said)
        assert tried(f"UPDATE {table} SET state = 'nonsense' WHERE id = {pk}") != ""


def along(model: type[models.Model], target: str) -> str:
    """What must be set together with a state, so that nothing but the edge stands in the way."""
    if model is not Payout:
        return ""
    values = {name: f"'{value}'" if value else "NULL" for name, value in days_of(target).items()}
    return "".join(f", {name} = {value}" for name, value in values.items())


@pytest.mark.broken_books
@pytest.mark.parametrize("model", STATEFUL, ids=by_name)
def test_states_begin_with_a_first_one_only(refunded, model):
    columns, table = columns_of(model), model._meta.db_table
    for state in model.EDGES:
        values = columns.replace('"state"', f"'{state}'").replace('"id"', "-1")
        # Other constraints may refuse the copy too; the guard speaks first.
        said = tried(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} LIMIT 1")
        assert ("not a first state" in said) == (state not in model.INITIAL), (state, said)


def columns_of(model: type[models.Model]) -> str:
    return ", ".join(f'"{field.column}"' for field in model._meta.local_concrete_fields if not field.generated)


@pytest.mark.parametrize("model", STATEFUL, ids=by_name)
def test_every_transition_runs_along_a_known_edge(model):
    transitions = list(model._meta.get_field("state").get_all_transitions(model))
    assert len(transitions) >= 3
    for transition_ in transitions:
        target = transition_.target
        targets = target.allowed_states if isinstance(target, RETURN_VALUE) else [target]
        assert set(targets) <= model.EDGES[transition_.source], (transition_.name, transition_.source)


@pytest.mark.parametrize("model", STATEFUL, ids=by_name)
def test_row_that_has_moved_on_is_neither_removed_nor_begun_anew(refunded, model):
    table, row = model._meta.db_table, model.objects.get()
    assert row.state not in model.INITIAL
    assert "no longer in a first state" in tried(f"DELETE FROM {table} WHERE id = {row.pk}")
    if connection.vendor == "sqlite":
        columns = columns_of(model)
        values = columns.replace('"state"', f"'{sorted(model.INITIAL)[0]}'")
        # A payout that has not been paid has no day: else that would be refused first.
        values = values.replace('"booked_on"', "NULL")
        replacing = f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {values} FROM {table}"
        assert "no longer in a first state" in tried(replacing)
    assert model.objects.get().state == row.state


def test_certificate_that_was_never_refunded_may_be_removed(customer):
    Certificate.objects.filter(pk=factories.certificate(customer, payments={}).pk).delete()
    assert not Certificate.objects.exists()


def test_certificate_bought_now_may_come_in_any_state_but_refunded(customer):
    assert set(Certificate.EDGES) - {"refunded"} == Certificate.INITIAL
    assert factories.revoked(customer, bought=timedelta(days=9)).state == "revoked"
