"""A worker killed at any point and started again pays each payout exactly once.

Real processes and real kills. A sample stands in the gate; `pytest -m soak tests/faults` runs the full set.
"""

import random
import signal
import time
from pathlib import Path
from subprocess import Popen

import pytest

from core.models import Job, Notice
from payments.models import LedgerAccount, LedgerEntry, Payout
from refunds.models import RefundRequest
from tests import factories
from tests.faults import process
from tests.faults.outside import Bank
from tests.faults.points import FAULTS

pytestmark = pytest.mark.django_db(transaction=True)

# The worker meets the first one's payout first, and dies there.
OUTSIDE_FIRST = {"alipay": 50_000, "balance": 70_000}
BALANCE_FIRST = {"balance": 70_000, "alipay": 50_000}
SAMPLE = [
    "after the channel has paid",
    "while it settles, before the commit",
    "after the mail server took the mail",
]
QUICK = ("--once", "--lease", "0.01")


def submitted(**payments: int) -> RefundRequest:
    return factories.submit(factories.certificate(factories.UserFactory(), payments=payments))


def assert_paid_exactly_once(requests: list[RefundRequest], bank: Bank) -> None:
    references = [request.reference for request in requests]
    assert set(RefundRequest.objects.filter(reference__in=references).values_list("state", flat=True)) == {"refunded"}
    payouts = list(Payout.objects.filter(reference__in=references))
    assert {payout.state for payout in payouts} == {"paid"}
    paid = LedgerEntry.objects.filter(cause="payout_paid").values_list("payout", flat=True)
    assert sorted(paid) == sorted(payout.pk for payout in payouts)
    assert sorted(bank.paid_keys()) == sorted(str(payout.key) for payout in payouts if payout.channel == "alipay")
    balances = LedgerAccount.objects.filter(kind="balance").values_list("owner", "balance")
    assert sorted(balances) == sorted((request.account_id, BALANCE_FIRST["balance"]) for request in requests)


def killed_and_started_again(fault: str, bank: Bank, payments: dict[str, int]) -> None:
    request = submitted(**payments)
    code, words = process.run(*QUICK, FAULT=fault)
    assert code == -signal.SIGKILL, words
    code, words = process.run(*QUICK)
    assert code == 0, words
    assert_paid_exactly_once([request], bank)
    assert Job.objects.exclude(state=Job.State.DONE).count() == 0
    assert_mailed_once(Path(str(bank.asked).replace(".asked", ".mails")))


def assert_mailed_once(mails: Path) -> None:
    """A second copy may reach the mailbox, but only one that the mailbox can tell to be the same."""
    notice = Notice.objects.get()
    assert notice.sent_at is not None
    assert set(process.lines(mails)) == {notice.message_id}


@pytest.mark.parametrize("fault", SAMPLE)
def test_killed_worker_started_again_pays_and_mails_once(bank, fault):
    killed_and_started_again(fault, bank, OUTSIDE_FIRST)


@pytest.mark.soak
@pytest.mark.parametrize("payments", [OUTSIDE_FIRST, BALANCE_FIRST], ids=["outside-first", "balance-first"])
@pytest.mark.parametrize("fault", FAULTS)
def test_worker_killed_at_any_point_pays_and_mails_once(bank, fault, payments):
    killed_and_started_again(fault, bank, payments)


def test_control_channel_that_ignores_the_key_pays_twice(bank, monkeypatch):
    """What the key is for: without it, the same kill makes the outside pay twice."""
    monkeypatch.setenv("FORGETFUL", "1")
    submitted(**OUTSIDE_FIRST)
    process.run(*QUICK, FAULT="after the channel has paid")
    process.run(*QUICK)
    assert len(bank.paid_keys()) == 2


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random_pay_everything_once(bank, seed):
    """Three workers, 60 refunds and a kill -9 every half second or so, each worker replaced at once."""
    chance = random.Random(seed)  # noqa: S311 - chooses victims
    requests = [submitted(**OUTSIDE_FIRST) for _ in range(60)]
    workers = [process.start(*LONG_RUNNING) for _ in range(3)]
    try:
        for _ in range(60):
            time.sleep(chance.uniform(0.3, 1.2))
            if is_all_done():
                break
            replace(workers, chance.randrange(len(workers)))
        process.wait_until(is_all_done)
    finally:
        for worker in workers:
            worker.terminate()
            process.end_of(worker)
    assert_paid_exactly_once(requests, bank)


LONG_RUNNING = ("--lease", "0.5")


def replace(workers: list[Popen[str]], victim: int) -> None:
    workers[victim].kill()
    process.end_of(workers[victim])
    workers[victim] = process.start(*LONG_RUNNING)


def is_all_done() -> bool:
    return not Job.objects.exclude(state=Job.State.DONE).exists()
