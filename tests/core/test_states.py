"""States are moved by transitions alone, and by one writer at a time."""

import pytest
from django.db import IntegrityError, models, transaction
from django_fsm import ConcurrentTransition, TransitionNotAllowed

from core.states import arrows
from payments.models import Payout
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def payout(customer) -> Payout:
    factories.submit(factories.certificate(customer, payments={"alipay": 120_000}))
    return Payout.objects.get()


def test_state_is_not_assigned(payout):
    with pytest.raises(AttributeError, match="modification is not allowed"):
        payout.state = "paid"


def test_transition_from_another_state_is_refused(payout):
    with pytest.raises(TransitionNotAllowed):
        payout.order_again()
    assert payout.state == "ordered"


def test_refresh_reads_the_state_that_another_wrote(payout):
    other = Payout.objects.get()
    with transaction.atomic():
        other.send()
        other.save()
        payout.refresh_from_db()
        assert payout.state == "sent"
        transaction.set_rollback(True)


def test_stale_object_may_be_saved_once_it_is_refreshed(payout):
    other = Payout.objects.get()
    with transaction.atomic():
        other.send()
        other.save()
        payout.refresh_from_db()
        payout.failure = "as read anew"
        payout.save()
        assert Payout.objects.get().failure == "as read anew"
        transaction.set_rollback(True)


def test_state_is_protected_after_a_refresh_that_failed(payout):
    stale = Payout.objects.get()
    stale.pk = 0
    with pytest.raises(Payout.DoesNotExist):
        stale.refresh_from_db()
    for one in (stale, payout):
        with pytest.raises(AttributeError):
            one.state = "paid"


def test_refresh_of_one_object_does_not_unprotect_another(payout, monkeypatch):
    """As two threads meet: one refreshes, the other assigns meanwhile."""
    refreshed, refresh, refused = Payout.objects.get(), models.Model.refresh_from_db, []

    def refresh_while_another_assigns(one, *args, **kwargs):
        with pytest.raises(AttributeError):
            payout.state = "paid"
        refused.append(payout.state)
        refresh(one, *args, **kwargs)

    monkeypatch.setattr(models.Model, "refresh_from_db", refresh_while_another_assigns)
    refreshed.refresh_from_db()
    assert refused == ["ordered"]


@pytest.mark.parametrize("left_out", [{"defer": "state"}, {"only": "amount"}], ids=str)
def test_deferred_state_is_loaded_when_asked_for_and_protected_then(payout, left_out):
    [(how, field)] = left_out.items()
    partial = getattr(Payout.objects, how)(field).get()
    assert partial.state == "ordered"
    with pytest.raises(AttributeError):
        partial.state = "paid"


def test_refresh_of_one_field_leaves_the_state(payout):
    payout.refresh_from_db(fields=["amount"])
    assert payout.state == "ordered"
    with pytest.raises(AttributeError):
        payout.state = "paid"


def test_second_of_two_writers_who_read_the_same_state_is_refused(payout):
    first, second = Payout.objects.get(), Payout.objects.get()
    with transaction.atomic():
        first.send()
        first.save()
        second.fail()
        with pytest.raises(ConcurrentTransition):
            second.save()
        transaction.set_rollback(True)


def test_unknown_state_is_stored_by_nobody(payout):
    with pytest.raises(IntegrityError), transaction.atomic():
        Payout.objects.update(state="nonsense")


def test_sources_of_a_target_are_those_with_an_edge_to_it():
    assert arrows({"a": {"b", "c"}, "b": {"c"}, "c": set()}, "c") == ["a", "b"]
