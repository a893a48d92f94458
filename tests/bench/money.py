"""How many refunds are approved, and then paid, in a second: `python -m tests.bench.money PAYOUTS`.

On the PostgreSQL that DATABASE_URL names, new and empty: refunds to a card, under review, are approved by four threads
of this process, as gunicorn's are; then two worker processes pay them through a Stripe that answers after 20 ms, from a
thread of this process. The books are proved at the end. Values are jobs by the clock on the wall, each over the middle
eight tenths of them, so that neither the workers' start nor their end counts.
"""

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import django
from django.core.management import call_command

from tests.bench.figures import Figure

THREADS, WORKERS, LATENCY = 4, 2, 0.02
# Seconds for all payouts of a run.
PATIENCE = 900.0
AMOUNT = 120_000


def measure(count: int) -> Iterator[Figure]:
    """Figures of so many payouts, on the database that is set, which holds nothing else."""
    from payments.channels import standing_in
    from payments.channels.card import CardChannel
    from tests.channels.fake_stripe import API_KEY, FakeStripe

    with FakeStripe().running() as stripe, standing_in("card", CardChannel(API_KEY, url=stripe.url)):
        requests = build(stripe, count)
        yield Figure("approvals_per_second", approve(requests), 50)
        send_mails()
        stripe.latency = LATENCY
        yield Figure("payouts_per_second_of_2_workers", pay(stripe), 20)
        prove(stripe, count)


def build(stripe: Any, count: int) -> list[tuple[int, str]]:
    """So many requests under review, each with the token of a reviewer's page."""
    from payments.models import Payment
    from tests import factories

    customers = [factories.UserFactory() for _ in range(10)]
    requests = []
    for number in range(count):
        wanted = factories.certificate(
            customers[number % len(customers)], bought=timedelta(days=300), payments={"card": AMOUNT}
        )
        payment = wanted.order.order_payments.get().payment_id
        Payment.objects.filter(pk=payment).update(reference=stripe.sell(2 * AMOUNT))
        request = factories.submit(wanted)
        requests.append((request.pk, factories.seen(request)))
    return requests


def approve(requests: list[tuple[int, str]]) -> float:
    """Approvals a second, each in a transaction that orders its payout."""
    from django.db import connection

    from refunds.services import approve_refund
    from tests import factories

    reviewer = factories.reviewer()

    def approve_one(request: tuple[int, str]) -> float:
        request_id, seen = request
        try:
            approve_refund(request_id, seen=seen, by=reviewer, at=factories.NOON)
            return time.monotonic()
        finally:
            # As at the end of a request: to the pool, where there is one.
            connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        return rate(list(threads.map(approve_one, requests)))


def send_mails() -> None:
    """Those of the requests so far: the workers shall only send one for each refund that they pay."""
    from console.worker import MAILS
    from core import jobs

    while jobs.run_due("bench", lane=MAILS):
        pass


def pay(stripe: Any) -> float:
    """Payouts a second, by the database's clock."""
    from core.models import Job
    from tests.channels.fake_stripe import API_KEY
    from tests.faults.process import wait_until

    payouts = Job.objects.filter(kind="pay_payout")
    with workers(STRIPE_API_KEY=API_KEY, STRIPE_URL=stripe.url):
        wait_until(lambda: not payouts.filter(state="queued").exists(), patience=PATIENCE, every=0.5)
    ends: list[datetime] = list(payouts.values_list("finished_at", flat=True))
    return rate([moment.timestamp() for moment in ends])


@contextmanager
def workers(**environment: str) -> Iterator[None]:
    from tests.faults import process

    settings = {"DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"], "LOG_LEVEL": "ERROR", **environment}
    started = [process.start(**settings) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for worker in started:
            worker.terminate()
            process.end_of(worker)


def rate(moments: list[float]) -> float:
    """How many end in a second, over the middle eight tenths of them."""
    edge = len(moments) // 10
    middle = sorted(moments)[edge : len(moments) - edge]
    return (len(middle) - 1) / (middle[-1] - middle[0])


def prove(stripe: Any, count: int) -> None:
    from payments.models import Payout

    assert stripe.books() == [(AMOUNT, "succeeded")] * count
    assert Payout.objects.filter(state="paid").count() == count
    with open(os.devnull, "w") as nowhere:
        call_command("check_ledger", stdout=nowhere)


if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    for figure in measure(int(sys.argv[1])):
        sys.stdout.write(f"{figure}\n")
        sys.stdout.flush()
