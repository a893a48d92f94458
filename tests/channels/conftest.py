"""Channels as tests connect them: to fakes over HTTP. Fixtures are named after their channel."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db.models import Q
from django.db.models.functions import Now
from pytest_django import Settings

from core import jobs
from core.models import Job, User
from payments import channels
from payments.channels.alipay import AlipayChannel
from payments.channels.card import CardChannel
from payments.models import Payment, Payout
from payments.states import Channel
from tests import factories
from tests.channels.fake_alipay import APP_ID, FakeAlipay, key_pairs
from tests.channels.fake_stripe import API_KEY, WEBHOOK_SECRET, FakeStripe

MONEY = Q(kind__in=["pay_payout", "take_notification"])


def work(at: datetime, lane: Q = MONEY) -> int:
    """Let a worker do once what waits, also for the end of its back-off; say how many jobs it did."""
    waiting = Job.objects.filter(lane, state=Job.State.QUEUED)
    count = waiting.update(run_at=Now())
    return jobs.run_due("worker", clock=lambda: at, limit=count, lane=lane)


# --- Stripe ------------------------------------------------------------------------------------


@pytest.fixture
def stripe_fake() -> Iterator[FakeStripe]:
    with FakeStripe().running() as fake:
        yield fake


@pytest.fixture
def stripe_connect(stripe_fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CardChannel]:
    """Connects it with another key or patience than usual."""

    def connect(api_key: str = API_KEY, *, timeout: float = 10) -> CardChannel:
        channel = CardChannel(api_key, webhook_secret=WEBHOOK_SECRET, url=stripe_fake.url, timeout=timeout)
        monkeypatch.setitem(channels._CONNECTED, Channel.CARD, channel)
        return channel

    return connect


@pytest.fixture
def stripe_channel(stripe_connect: Callable[..., CardChannel], settings: Settings) -> CardChannel:
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    return stripe_connect()


def stripe_payout(customer: User, fake: FakeStripe, *, amount: int = 120_000, kind: str = "pi", **fields) -> Payout:
    """The payout of an immediate refund of all of a payment by card. Stripe itself would give it back twice."""
    wanted = factories.certificate(customer, payments={"card": amount}, **fields)
    reference = fake.sell(2 * amount, wanted.currency, kind)
    Payment.objects.filter(pk=wanted.order.order_payments.get().payment_id).update(reference=reference)
    return Payout.objects.get(reference=factories.submit(wanted).reference)


# --- Alipay ------------------------------------------------------------------------------------


@pytest.fixture
def alipay_fake() -> Iterator[FakeAlipay]:
    with FakeAlipay().running() as fake:
        yield fake


@pytest.fixture
def alipay_connect(alipay_fake: FakeAlipay, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AlipayChannel]:
    """Connects it as another application or with another patience than usual."""

    def connect(app_id: str = APP_ID, *, timeout: float = 10) -> AlipayChannel:
        ours, theirs = key_pairs()
        channel = AlipayChannel(
            app_id,
            private_key=ours.private,
            public_key=theirs.public,
            url=f"{alipay_fake.url}/gateway.do",
            timeout=timeout,
        )
        monkeypatch.setitem(channels._CONNECTED, Channel.ALIPAY, channel)
        return channel

    return connect


@pytest.fixture
def alipay_channel(alipay_connect: Callable[..., AlipayChannel]) -> AlipayChannel:
    return alipay_connect()


def alipay_payout(
    customer: User, fake: FakeAlipay, *, amount: int = 120_000, by_order: bool = False, **fields
) -> Payout:
    """The payout of an immediate refund of all of a payment by Alipay. Alipay itself would give it back twice."""
    wanted = factories.certificate(customer, payments={"alipay": amount}, **fields)
    reference = fake.sell(2 * amount, wanted.currency, by_order=by_order)
    Payment.objects.filter(pk=wanted.order.order_payments.get().payment_id).update(reference=reference)
    return Payout.objects.get(reference=factories.submit(wanted).reference)
