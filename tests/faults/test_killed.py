"""A worker killed at any point and started again pays each payout exactly once, by the channels' own books.

Real processes, real kills, real HTTP. A sample stands in the gate; `make faults` runs the full set.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest
from django.db.models.functions import Now

from core.models import Job, Notice
from payments.models import LedgerAccount, LedgerEntry, Payout
from refunds.models import RefundRequest
from tests.channels.server import Fault
from tests.faults import process
from tests.faults.outside import Outside
from tests.faults.points import FAULTS, LOOK_UP_FAULTS

pytestmark = pytest.mark.django_db(transaction=True)

# The worker meets the first one's payout first, and dies there.
CARD_FIRST = {"card": 50_000, "balance": 70_000}
ALIPAY_FIRST = {"alipay": 50_000, "balance": 70_000}
BALANCE_FIRST = {"balance": 70_000, "card": 50_000}
SAMPLE = [
    ("before it claims", CARD_FIRST),
    ("after it has claimed", CARD_FIRST),
    ("before it asks the channel", CARD_FIRST),
    ("after the channel has paid", CARD_FIRST),
    ("while it settles, before the commit", CARD_FIRST),
    ("as soon as it has settled", CARD_FIRST),
    ("after the mail server took the mail", BALANCE_FIRST),
]
QUICK = ("--once", "--lease", "0.01")
LONG_RUNNING = ("--lease", "0.5")


def work(outside: Outside, **environment: str) -> int:
    """A worker that does what is due; its exit code."""
    code, words = process.run(*QUICK, **outside.address, **environment)
    assert code in {0, -signal.SIGKILL}, words
    return code


@contextmanager
def working(outside: Outside, count: int = 1) -> Iterator[list[Popen[str]]]:
    """So many workers; the block may replace them."""
    workers = [process.start(*LONG_RUNNING, **outside.address) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
            process.end_of(worker)


def assert_paid_exactly_once(requests: Iterable[RefundRequest], outside: Outside) -> None:
    references = [request.reference for request in requests]
    assert set(RefundRequest.objects.filter(reference__in=references).values_list("state", flat=True)) == {"refunded"}
    payouts = list(Payout.objects.filter(reference__in=references))
    assert {payout.state for payout in payouts} == {"paid"}
    paid = LedgerEntry.objects.filter(cause="payout_paid").values_list("payout", flat=True)
    assert sorted(paid) == sorted(payout.pk for payout in payouts)
    by_channel = {str(payout.key): 1 for payout in payouts if payout.channel != "balance"}
    assert Counter(outside.paid_keys()) == by_channel
    assert outside.paid() == sum(payout.amount for payout in payouts if payout.channel != "balance")
    balances = LedgerAccount.objects.filter(kind="balance").values_list("owner", "balance")
    to_balances = [payout for payout in payouts if payout.channel == "balance"]
    assert sorted(balances) == sorted((payout.payment.account_id, payout.amount) for payout in to_balances)
    assert set(Job.objects.values_list("state", flat=True)) == {Job.State.DONE}


def assert_mailed_once(outside: Outside) -> None:
    """A second copy may reach the mailbox, but only one that the mailbox can tell to be the same."""
    notice = Notice.objects.get()
    assert notice.sent_at is not None
    assert set(process.lines(outside.mails)) == {notice.message_id}


# --- Killed somewhere --------------------------------------------------------------------------


def killed_and_started_again(fault: str, outside: Outside, payments: dict[str, int]) -> None:
    request = outside.order(**payments)
    assert work(outside, FAULT=fault) == -signal.SIGKILL
    assert work(outside) == 0
    assert_paid_exactly_once([request], outside)
    assert_mailed_once(outside)


@pytest.mark.parametrize(("fault", "payments"), SAMPLE)
def test_killed_worker_started_again_pays_and_mails_once(outside, fault, payments):
    killed_and_started_again(fault, outside, payments)


@pytest.mark.soak
@pytest.mark.parametrize("payments", [CARD_FIRST, ALIPAY_FIRST, BALANCE_FIRST], ids=["card", "alipay", "balance"])
@pytest.mark.parametrize("fault", FAULTS)
def test_worker_killed_at_any_point_pays_and_mails_once(outside, fault, payments):
    killed_and_started_again(fault, outside, payments)


@pytest.mark.soak
@pytest.mark.parametrize("answer", [Fault.ERROR_BEFORE, Fault.ERROR_AFTER])
@pytest.mark.parametrize("payments", [CARD_FIRST, ALIPAY_FIRST], ids=["card", "alipay"])
@pytest.mark.parametrize("fault", LOOK_UP_FAULTS)
def test_worker_killed_when_it_looks_up_pays_and_mails_once(outside, fault, payments, answer):
    request = outside.order(**payments)
    for fake in outside.channels.values():
        fake.faults.append(answer)
    assert work(outside) == 0
    assert Payout.objects.exclude(channel="balance").get().state == "unknown"
    Job.objects.filter(state=Job.State.QUEUED).update(run_at=Now())
    assert work(outside, FAULT=fault) == -signal.SIGKILL
    for fake in outside.channels.values():
        fake.faults.clear()
    assert work(outside) == 0
    assert_paid_exactly_once([request], outside)
    assert_mailed_once(outside)


def test_worker_killed_while_the_channel_is_paying_pays_once(outside):
    outside.stripe.is_holding = True
    request = outside.order(**CARD_FIRST)
    with working(outside) as workers:
        assert outside.stripe.has_paid.wait(process.PATIENCE)
        workers[0].kill()
    outside.stripe.may_answer.set()
    process.wait_until(lambda: not is_leased())
    assert work(outside) == 0
    assert_paid_exactly_once([request], outside)


def test_worker_slower_than_its_lease_leaves_the_payout_to_the_next_one(outside):
    """It is not dead: the other one has settled when its own answer comes."""
    outside.stripe.is_holding = True
    request = outside.order(**CARD_FIRST)
    with working(outside) as workers:
        assert outside.stripe.has_paid.wait(process.PATIENCE)
        process.wait_until(lambda: not is_leased())
        assert work(outside) == 0
        process.wait_until(is_all_done)
        assert_paid_exactly_once([request], outside)
        outside.stripe.may_answer.set()
        process.listen_for(workers[0], "was taken over by another worker")
    assert_paid_exactly_once([request], outside)


def is_leased() -> bool:
    return Job.objects.filter(leased_until__gte=Now()).exists()


# --- Controls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "forgets", "times"),
    [
        ("the key, the look-up", False, 2),
        ("the look-up", True, 2),
        pytest.param("the key", False, 1, marks=pytest.mark.soak),
        pytest.param("the look-up", False, 1, marks=pytest.mark.soak),
        ("", True, 1),
    ],
    ids=[
        "neither key nor look-up",
        "no look-up, and the channel has forgotten the key",
        "no key",
        "no look-up",
        "both, and the channel has forgotten the key",
    ],
)
def test_control_the_key_and_the_look_up_each_stand_in_the_way_of_paying_twice(outside, without, forgets, times):
    outside.order(**CARD_FIRST)
    assert work(outside, WITHOUT=without, FAULT="after the channel has paid") == -signal.SIGKILL
    if forgets:
        outside.stripe.forget_keys()
    assert work(outside, WITHOUT=without) == 0
    assert len(outside.paid_keys()) == times


# --- Killed at random --------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random_pay_everything_once(outside, seed):
    """Three workers, 60 refunds and a kill -9 every half second or so, each worker replaced at once."""
    chance = random.Random(seed)  # noqa: S311 - chooses victims
    outside.stripe.latency = outside.alipay.latency = 0.05
    requests = [outside.order(**(CARD_FIRST, ALIPAY_FIRST)[number % 2]) for number in range(60)]
    with working(outside, 3) as workers:
        for _ in range(60):
            time.sleep(chance.uniform(0.3, 1.2))
            if is_all_done():
                break
            replace(workers, chance.randrange(len(workers)), outside)
        process.wait_until(is_all_done, patience=120)
    assert_paid_exactly_once(requests, outside)


def replace(workers: list[Popen[str]], victim: int, outside: Outside) -> None:
    workers[victim].kill()
    process.end_of(workers[victim])
    workers[victim] = process.start(*LONG_RUNNING, **outside.address)


def is_all_done() -> bool:
    return not Job.objects.exclude(state=Job.State.DONE).exists() and not Payout.objects.exclude(state="paid").exists()
