"""The audit trail: who did what to which thing, kept with the act itself or not at all."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import transaction

from core import audit
from core.models import AuditEntry
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def thing(customer):
    return factories.certificate(customer)


def test_entry_says_who_did_what_when_and_on_which_facts(thing, reviewer):
    entry = audit.record(thing, "looked_at", by=reviewer, at=NOON, note="twice", detail={"state": thing.state})
    stored = AuditEntry.objects.get(pk=entry.pk)
    assert (stored.at, stored.by, stored.act, stored.note) == (NOON, reviewer, "looked_at", "twice")
    assert stored.subject == f"certificates.certificate:{thing.instance_id}"
    assert stored.detail == {"state": "pending_application"}


def test_act_of_staff_stands_in_djangos_history_too(thing, reviewer):
    audit.record(thing, "looked_at", by=reviewer, at=NOON, note="twice")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (reviewer, str(thing.pk), "looked_at: twice")


@pytest.mark.parametrize("name", ["customer", None])
def test_act_of_a_customer_or_of_the_console_does_not(thing, customer, name):
    audit.record(thing, "looked_at", by=customer if name else None, at=NOON)
    assert not LogEntry.objects.exists()
    assert AuditEntry.objects.get().by == (customer if name else None)


def test_entry_of_a_transaction_that_fails_is_gone_with_it(thing, reviewer):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        audit.record(thing, "looked_at", by=reviewer, at=NOON)
        raise ZeroDivisionError
    assert not AuditEntry.objects.exists()
    assert not LogEntry.objects.exists()


def test_history_is_of_one_thing_in_the_order_written(thing, customer):
    other = factories.certificate(customer)
    for hours, act in enumerate(["first", "second"]):
        audit.record(thing, act, by=customer, at=NOON - timedelta(hours=hours))
        audit.record(other, "elsewhere", by=customer, at=NOON)
    assert [entry.act for entry in audit.history(thing)] == ["first", "second"]
