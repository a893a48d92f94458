"""Locks go in one order, so that nobody waits in a circle: balance, certificate, request, payment, payout."""

from collections.abc import Callable, Iterator
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet

from certificates.models import Certificate
from certificates.services import lock, record_closed, record_issued
from core.models import User
from payments import services as payments
from payments.models import Difference, LedgerAccount, Payment, Payout
from payments.services import not_possible, record_failed, record_paid, record_returned, try_again
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, fail_refund, lapse_overdue, reject_refund
from tests import factories
from tests.factories import NOON
from tests.races.running import together
from tests.refunds import cases
from tests.refunds.cases import DAY

ORDER: list[type[Model]] = [LedgerAccount, Certificate, RefundRequest, Payment, Payout, Difference]


class Locks(list[tuple[int, int]]):
    """Every row locked, in order, as (place of its model in ORDER, primary key); each row when it was locked first."""

    def note(self, rows: QuerySet) -> None:
        for row in rows._result_cache:
            place = (ORDER.index(type(row)), row.pk)
            if place not in self:
                self.append(place)

    def models(self) -> list[type[Model]]:
        return [ORDER[place] for place, _ in self]


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Locks]:
    noted, fetch = Locks(), QuerySet._fetch_all

    def fetch_and_note(rows: QuerySet) -> None:
        is_new = rows._result_cache is None
        fetch(rows)
        if is_new and rows.query.select_for_update:
            noted.note(rows)

    monkeypatch.setattr(QuerySet, "_fetch_all", fetch_and_note)
    return noted


def approved(account: User, by: User, payments_: dict[str, int]) -> RefundRequest:
    request = factories.submit(cases.in_review(account, payments=payments_))
    return approve_refund(request.pk, seen=factories.seen(request), by=by, at=NOON)


TWO = {"alipay": 70_000, "bank": 50_000}


def request_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    certificate = factories.certificate(customer, payments=TWO)
    return lambda: factories.submit(certificate)


def cancel_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    request = factories.submit(cases.in_review(customer))
    return lambda: cancel_refund(request.pk, by=customer, at=NOON)


def approve_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    request = factories.submit(cases.in_review(customer, payments=TWO))
    seen = factories.seen(request)
    return lambda: approve_refund(request.pk, seen=seen, by=reviewer, at=NOON)


def reject_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    request = factories.submit(cases.in_review(customer))
    seen = factories.seen(request)
    return lambda: reject_refund(request.pk, answer="No.", seen=seen, by=reviewer, at=NOON)


def lapse_one(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    factories.submit(cases.in_review(customer))
    return lambda: lapse_overdue(at=NOON + 400 * DAY)


def close_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    certificate = cases.at_authority(customer, payments=TWO)
    factories.submit(certificate)
    return lambda: record_closed(certificate.pk, by=reviewer, at=NOON)


def issue_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    certificate = cases.at_authority(customer)
    factories.submit(certificate)
    return lambda: record_issued(certificate.pk, factories.handover(), by=reviewer, at=NOON)


def record_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    approved(customer, reviewer, {"alipay": 1})
    return lambda: record_paid(Payout.objects.latest("id").pk, "outside", by=cashier, at=NOON)


def fail_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    approved(customer, reviewer, {"alipay": 1})
    return lambda: record_failed(Payout.objects.get().pk, "closed", by=cashier, at=NOON)


def record_after_all(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    fail_it(customer, reviewer, cashier)()
    return lambda: record_paid(Payout.objects.latest("id").pk, "outside", by=cashier, at=NOON)


def give_it_up(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    request = approved(customer, reviewer, TWO)
    for payout in Payout.objects.all():
        record_failed(payout.pk, "closed", by=cashier, at=NOON)
    return lambda: fail_refund(request.pk, reason="closed", by=cashier, at=NOON)


def send_it_again(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    fail_it(customer, reviewer, cashier)()
    return lambda: try_again(Payout.objects.get().pk, by=cashier, at=NOON)


def return_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    record_it(customer, reviewer, cashier)()
    return lambda: record_returned(Payout.objects.get().pk, "closed", by=cashier, at=NOON)


def make_it_good(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    return_it(customer, reviewer, cashier)()
    return lambda: record_paid(Payout.objects.get().pk, "once more", by=cashier, at=NOON)


def say_it_is_impossible(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    approved(customer, reviewer, TWO)
    for payout in Payout.objects.all():
        record_failed(payout.pk, "closed", by=cashier, at=NOON)
    return lambda: not_possible(Payout.objects.latest("id").pk, "closed", by=cashier, at=NOON)


def record_what_was_found(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    record = record_it(customer, reviewer, cashier)
    Difference.objects.create(
        channel="alipay",
        day=NOON.date(),
        kind="missing_here",
        subject="outside",
        external_reference="outside",
        payment=Payment.objects.latest("id"),
        amount=1,
        currency="CNY",
        found_at=NOON,
    )
    return record


def take_it_up(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    approved(customer, reviewer, {"balance": 1})
    return lambda: payments.pay_payout({"payout": Payout.objects.get().pk}, at=NOON)


def settle_it(customer: User, reviewer: User, cashier: User) -> Callable[[], Any]:
    return take_it_up(customer, reviewer, cashier)()


ACTS = [
    request_it,
    cancel_it,
    approve_it,
    reject_it,
    lapse_one,
    close_it,
    issue_it,
    record_it,
    fail_it,
    record_after_all,
    give_it_up,
    send_it_again,
    return_it,
    make_it_good,
    say_it_is_impossible,
    record_what_was_found,
    take_it_up,
    settle_it,
]


@pytest.mark.parametrize("prepare", ACTS, ids=lambda act: act.__name__)
def test_an_act_takes_its_locks_in_the_one_order(
    customer: User, reviewer: User, cashier: User, locks: Locks, prepare: Callable[..., Callable[[], Any]]
) -> None:
    act = prepare(customer, reviewer, cashier)
    locks.clear()

    act()

    assert Certificate in locks.models()
    assert locks == sorted(locks)


def test_the_order_covers_every_lock_there_is(customer: User, reviewer: User, cashier: User, locks: Locks) -> None:
    settle_it(customer, reviewer, cashier)()
    record_what_was_found(customer, reviewer, cashier)()

    assert set(locks.models()) == set(ORDER)


def test_control_another_order_is_noticed(customer: User, locks: Locks) -> None:
    request = factories.submit(cases.in_review(customer))
    locks.clear()

    with transaction.atomic():
        RefundRequest.objects.select_for_update().get(pk=request.pk)
        lock(request.certificate_id)

    assert locks != sorted(locks)


@pytest.mark.django_db(transaction=True)
def test_control_two_orders_at_once_are_a_deadlock_where_two_can_hold_a_lock(customer: User) -> None:
    request = factories.submit(cases.in_review(customer))
    both_hold_one = Barrier(2)
    # SQLite has one writer at a time: the other does not come to its first lock, and nobody can wait in a circle.
    is_sqlite = connection.vendor == "sqlite"

    def locking(*rows: tuple[type[Model], int]) -> Callable[[], None]:
        def act() -> None:
            with transaction.atomic():
                lock_row(*rows[0])
                both_hold_one.wait(0.2 if is_sqlite else 30)
                lock_row(*rows[1])

        return act

    certificate, itself = (Certificate, request.certificate_id), (RefundRequest, request.pk)
    outcomes = together(locking(certificate, itself), locking(itself, certificate))

    expected = {BrokenBarrierError} if is_sqlite else {OperationalError, type(None)}
    assert {type(outcome) for outcome in outcomes} == expected


def lock_row(model: type[Model], pk: int) -> None:
    model.objects.select_for_update().get(pk=pk)  # type: ignore[attr-defined]
