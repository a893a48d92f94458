"""The demo asks nobody outside while it is loaded, and never pays with real money, whatever is configured."""

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from certificates.models import Product
from certificates.states import AuthorityName
from console import worker
from console.demo.loading import load_demo
from core.models import Job
from payments import channels
from payments.models import Payout
from payments.states import Channel, PayoutState
from tests.channels.conftest import work
from tests.channels.fake_alipay import APP_ID, FakeAlipay, key_pairs
from tests.channels.fake_stripe import API_KEY, FakeStripe
from tests.factories import NOON
from tests.lifecycle.outside import Outside

OUTSIDE = (Channel.CARD, Channel.ALIPAY)


@pytest.fixture
def own_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test connects ends with it."""
    monkeypatch.setattr(channels, "_CONNECTED", {})


@pytest.fixture
def outside(own_channels: None, settings: Settings) -> Iterator[dict[str, Any]]:
    """Every service outside is configured, at fakes on loopback that note what they are asked."""
    ours, theirs = key_pairs()
    with FakeStripe().running() as stripe, FakeAlipay().running() as alipay, Outside() as internet:
        settings.STRIPE_API_KEY, settings.STRIPE_URL = API_KEY, stripe.url
        settings.ALIPAY_APP_ID, settings.ALIPAY_URL = APP_ID, f"{alipay.url}/gateway.do"
        settings.ALIPAY_PRIVATE_KEY, settings.ALIPAY_PUBLIC_KEY = ours.private, theirs.public
        settings.ACME_DIRECTORY = f"http://127.0.0.1:{internet.web_port}/directory"
        settings.DNS_SERVERS, settings.VERIFICATION_PORT = [internet.dns_server], internet.web_port
        settings.EMAIL_HOST = "mail.example.com"
        channels.connect()
        yield {"stripe": stripe, "alipay": alipay, "internet": internet}


def asked(outside: dict[str, Any]) -> list[Any]:
    internet = outside["internet"]
    return [*outside["stripe"].requests, *outside["alipay"].requests, *internet.requests, *internet.queries]


@pytest.mark.django_db
def test_the_demo_is_loaded_without_asking_anybody_outside(
    outside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As an import may have left it.
    Product.objects.create(
        brand="DigiCert", level="DV", domain_type="single", free=False, price=1, authority=AuthorityName.ACME
    )
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: pytest.fail(f"asked {address}"))
    assert load_demo(at=NOON)
    assert asked(outside) == []
    assert mail.outbox == []
    assert not Product.objects.filter(authority=AuthorityName.ACME).exists()


@pytest.mark.django_db
def test_the_channels_are_connected_again_once_the_demo_is_loaded(outside: dict[str, Any]) -> None:
    before = [channels.connected(channel) for channel in OUTSIDE]
    load_demo(at=NOON)
    assert [channels.connected(channel) for channel in OUTSIDE] == before
    assert None not in before


@pytest.mark.django_db
def test_a_load_that_goes_wrong_connects_the_channels_again(
    outside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.demo.loading.play", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_demo(at=NOON)
    assert all(channels.connected(channel) for channel in OUTSIDE)


@pytest.mark.django_db
def test_a_worker_with_test_keys_hears_that_the_demos_payments_are_unknown_and_staff_take_over(
    outside: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    load_demo(at=NOON)
    waiting = Payout.objects.filter(channel__in=OUTSIDE, is_queued=False, state=PayoutState.ORDERED)
    payouts = list(waiting.values_list("pk", flat=True))
    assert payouts
    worker.take_up(NOON)
    while work(NOON):
        pass
    assert set(Payout.objects.filter(pk__in=payouts).values_list("state", flat=True)) == {PayoutState.FAILED}
    assert not Job.objects.filter(kind="pay_payout", state=Job.State.QUEUED).exists()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# --- Real money --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sk_live_hush", "rk_live_hush", "sk_org_live_hush"])
def test_the_demo_refuses_a_live_key_of_stripe(key: str, own_channels: None, settings: Settings) -> None:
    settings.STRIPE_API_KEY = key
    with pytest.raises(ImproperlyConfigured, match=r"^The demo never pays with a live key: .*sk_test_") as refusal:
        channels.connect()
    assert "hush" not in str(refusal.value)
    assert channels.connected(Channel.CARD) is None
    settings.DEMO = False
    channels.connect()
    assert channels.connected(Channel.CARD)


@pytest.mark.parametrize("key", ["pk_test_hush", "whsec_hush", "hush", "sk_test_käse"])
def test_what_is_no_key_of_stripe_is_refused(key: str, own_channels: None, settings: Settings) -> None:
    settings.STRIPE_API_KEY = key
    with pytest.raises(ImproperlyConfigured, match=r"^STRIPE_API_KEY must be a secret or a restricted key"):
        channels.connect()


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://openapi.alipay.com/gateway.do", False),
        ("https://OPENAPI.Alipay.com.:443/gateway.do", False),
        ("https://open-sea-global.alipay.com/gateway.do", False),
        ("https://alipaydev.com.example.com/gateway.do", False),
        ("https://openapi-sandbox.dl.alipaydev.com/gateway.do", True),
        ("http://127.0.0.1:8100/gateway.do", True),
    ],
)
def test_the_demo_pays_through_alipays_sandbox_only(
    url: str, is_taken: bool, own_channels: None, settings: Settings
) -> None:
    ours, theirs = key_pairs()
    settings.ALIPAY_APP_ID, settings.ALIPAY_URL = APP_ID, url
    settings.ALIPAY_PRIVATE_KEY, settings.ALIPAY_PUBLIC_KEY = ours.private, theirs.public
    if not is_taken:
        with pytest.raises(ImproperlyConfigured, match=r"^The demo pays through Alipay's sandbox only: .*ALIPAY_URL"):
            channels.connect()
        settings.DEMO = False
    channels.connect()
    assert channels.connected(Channel.ALIPAY)
