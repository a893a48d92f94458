"""One payout, two who pay it: it is paid once."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from core import jobs
from core.models import Job, User
from payments import services as payments
from payments.exceptions import PayoutMoved
from payments.models import LedgerAccount, LedgerEntry, Payout
from payments.services import record_failed, record_paid, recording, settling
from payments.states import Cause
from refunds.models import RefundRequest
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.races.running import overtake, overtake_unguarded, together

pytestmark = pytest.mark.django_db(transaction=True)
# What would happen if nothing stood in the way: the database holds nothing by itself either.
CONTROL = pytest.mark.usefixtures("without_database_guards")

LOOKED_BY_PERSON = (recording, "_lock_for_record")
LOOKED_BY_WORKER = (settling, "lock")

Act = Callable[[], Any]


def ordered(account: User, channel: str) -> Payout:
    factories.submit(factories.certificate(account, payments={channel: 120_000}))
    return Payout.objects.get()


def times_paid() -> int:
    return LedgerEntry.objects.filter(cause=Cause.PAYOUT_PAID).count()


# --- Two cashiers ------------------------------------------------------------------------------


def recorded(payout: Payout, by: User) -> Act:
    return partial(record_paid, payout.pk, f"outside-{by}", by=by, at=NOON)


def failing(payout: Payout, by: User) -> Act:
    return partial(record_failed, payout.pk, "account closed", by=by, at=NOON)


def test_a_second_cashier_waits_and_is_told_that_it_is_recorded(customer: User, cashier: User) -> None:
    payout, second = ordered(customer, "alipay"), factories.cashier("second")

    first, told = overtake(recorded(payout, cashier), recorded(payout, second), at=LOOKED_BY_PERSON)

    assert (first.recorded_by, times_paid()) == (cashier, 1)
    assert isinstance(told, PayoutMoved)
    assert not broken()


@pytest.mark.parametrize("other", [recorded, failing])
def test_of_two_cashiers_at_once_one_records(customer: User, cashier: User, other: Callable[..., Act]) -> None:
    payout, second = ordered(customer, "alipay"), factories.cashier("second")

    outcomes = together(recorded(payout, cashier), other(payout, second))

    # One that was first recorded as failed may still be recorded as paid after all.
    is_paid_after_all = other is failing and PayoutMoved not in map(type, outcomes)
    assert [type(each) for each in outcomes].count(PayoutMoved) == (0 if is_paid_after_all else 1)
    assert (times_paid(), RefundRequest.objects.get().state) == (1, "refunded")
    assert not broken()


@CONTROL
def test_control_without_guards_two_cashiers_book_it_twice(customer: User, cashier: User) -> None:
    payout, second = ordered(customer, "alipay"), factories.cashier("second")

    overtake_unguarded(recorded(payout, cashier), recorded(payout, second), at=LOOKED_BY_PERSON)

    assert times_paid() == 2
    assert "a payout stands in the books otherwise than it is" in broken()


# --- Two workers -------------------------------------------------------------------------------


def claimed_twice() -> list[Job]:
    """Two workers hold the payout's job: the first one's lease ran out while it was at work."""
    first = jobs.claim("slow", lease=timedelta(seconds=-1))
    second = jobs.claim("quick")
    assert first
    assert second
    assert first.pk == second.pk
    return [first, second]


def running(job: Job) -> Act:
    return partial(jobs.run, job, at=NOON)


def balance_of(account: User) -> int:
    return LedgerAccount.objects.get(owner=account).balance or 0


def settlement(payout: Payout) -> Act:
    """What a worker does once the channel has answered."""
    return payments.pay_payout({"payout": payout.pk}, at=NOON)


def test_two_workers_with_one_payout_pay_it_once(customer: User) -> None:
    ordered(customer, "balance")

    together(*map(running, claimed_twice()))

    assert (times_paid(), balance_of(customer)) == (1, 120_000)
    assert Job.objects.get(kind="pay_payout").state == Job.State.DONE
    assert not broken()


def test_many_workers_pay_many_payouts_once_each(customer: User) -> None:
    for _ in range(6):
        factories.submit(factories.certificate(customer))

    together(*[partial(jobs.run_due, f"worker-{n}", clock=lambda: NOON) for n in range(4)])

    assert (times_paid(), balance_of(customer)) == (6, 720_000)
    assert set(RefundRequest.objects.values_list("state", flat=True)) == {"refunded"}
    assert not broken()


def test_a_worker_that_settles_what_another_is_settling_waits_and_does_nothing(customer: User) -> None:
    payout = ordered(customer, "balance")
    first, second = settlement(payout), settlement(payout)

    outcomes = overtake(in_transaction(first), in_transaction(second), at=LOOKED_BY_WORKER)

    assert outcomes == [None, None]
    assert (times_paid(), balance_of(customer)) == (1, 120_000)


def in_transaction(act: Act) -> Act:
    return transaction.atomic(act)


@CONTROL
def test_control_without_guards_two_workers_pay_twice(customer: User) -> None:
    payout = ordered(customer, "balance")

    overtake_unguarded(settlement(payout), settlement(payout), at=LOOKED_BY_WORKER)

    assert (times_paid(), balance_of(customer)) == (2, 240_000)
