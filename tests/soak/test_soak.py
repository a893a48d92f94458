"""Several workers, many payouts, channels of which three answers in ten go wrong: each payout is paid exactly once.

Real processes, real HTTP, the channels' own books. A sample stands in the gate; `make soak` runs the long form.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from console.management.commands.check_ledger import offending
from core.models import Job
from payments.models import Payment, Payout
from refunds.models import RefundRequest
from tests.channels.server import FakeChannel, Fault
from tests.faults import process
from tests.faults.outside import Outside, open_outside

pytestmark = pytest.mark.django_db(transaction=True)

RATE = 0.3
AFTER_ACTING = [Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER, Fault.DROPPED_AFTER, Fault.GARBAGE_AFTER]
FAULTS = [Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, *AFTER_ACTING]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with open_outside(tmp_path / "mails") as world:
        yield world


def go_wrong(fake: FakeChannel, *more: Fault) -> None:
    fake.fault_rate, fake.random_faults = RATE, [*FAULTS, *more]


def order(outside: Outside, count: int) -> None:
    """So many payouts by card and Alipay in turn, each for a customer of its own, and every tenth part by balance."""
    for number in range(count):
        parts = {("card", "alipay")[number % 2]: 10_000 + number}
        outside.order(**parts, **({"balance": 500} if number % 10 == 0 else {}))


@contextmanager
def working(outside: Outside, count: int, **environment: str) -> Iterator[list[Popen[str]]]:
    quietly = {**outside.address, "CHANNEL_TIMEOUT": "1", "LOG_LEVEL": "ERROR", **environment}
    with ExitStack() as stack:
        workers = [process.start(**quietly) for _ in range(count)]
        for worker in workers:
            stack.callback(process.end_of, worker)
            stack.callback(worker.terminate)
        yield workers


def is_work_left() -> bool:
    return Job.objects.filter(state=Job.State.QUEUED).exists()


def is_all_done() -> bool:
    return not Payout.objects.exclude(state="paid").exists() and not is_work_left()


def has_ended(workers: list[Popen[str]]) -> bool:
    """Whether one of them has, by itself."""
    return any(worker.poll() is not None for worker in workers)


def assert_paid_exactly_once(outside: Outside) -> None:
    """By the channels' own books, and by ours."""
    payouts = Payout.objects.exclude(channel="balance")
    assert Counter(outside.paid_keys()) == {str(key): 1 for key in payouts.values_list("key", flat=True)}
    assert outside.paid() == sum(payouts.values_list("amount", flat=True))
    assert all(payment.ordered_back == payment.amount for payment in Payment.objects.all())
    assert set(Payout.objects.values_list("state", flat=True)) == {"paid"}
    assert set(RefundRequest.objects.values_list("state", flat=True)) == {"refunded"}
    assert set(Job.objects.values_list("state", flat=True)) == {Job.State.DONE}
    assert [str(finding) for finding in offending()] == []


def soak(outside: Outside, *, payouts: int, workers: int, patience: float, **environment: str) -> None:
    """`patience` in seconds."""
    order(outside, payouts)
    go_wrong(outside.stripe)
    go_wrong(outside.alipay, Fault.WRONG_SIGNATURE)
    with working(outside, workers, **environment) as started:
        process.wait_until(lambda: is_all_done() or has_ended(started), every=0.1, patience=patience)
        assert not has_ended(started), [process.end_of(worker) for worker in started if worker.poll() is not None]
    assert_paid_exactly_once(outside)
    # Else it showed nothing.
    assert sum(len(fake.requests) for fake in outside.channels.values()) > 1.05 * payouts
    assert Job.objects.filter(kind="pay_payout", attempts__gt=1).count() > 0.05 * payouts


def test_two_workers_pay_forty_payouts_once_though_three_answers_in_ten_go_wrong(outside):
    soak(outside, payouts=40, workers=2, patience=90, WITHOUT="patience")


@pytest.mark.soak
def test_four_workers_pay_five_hundred_payouts_once_though_three_answers_in_ten_go_wrong(outside):
    soak(outside, payouts=500, workers=4, patience=1200)


@pytest.mark.soak
def test_control_without_the_key_and_the_look_up_many_are_paid_twice(outside):
    order(outside, 40)
    go_wrong(outside.stripe)
    with working(outside, 2, WITHOUT="patience, the key, the look-up"):
        process.wait_until(lambda: not is_work_left(), every=0.1, patience=90)
    assert len(outside.stripe.books()) > 20
    assert len(outside.alipay.books()) == 20
