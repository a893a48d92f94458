"""Orders of several payments and certificates, with vouchers: each payment gets exactly its share back."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates.models import Certificate, Share
from core import jobs
from core.models import User
from payments.models import LedgerEntry, Payment, Payout
from payments.states import Channel
from refunds.models import RefundRequest
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.money import scripted

OUTSIDE = [Channel.ALIPAY, Channel.BANK, Channel.CARD]


@st.composite
def orders(draw: Callable) -> tuple[list[int], dict[str, int], int]:
    """Paid parts of 1 to 4 certificates, payments by channel that sum to them, and a voucher."""
    payments = draw(st.dictionaries(st.sampled_from(Channel.values), st.integers(1, 10**7), min_size=1))
    total = sum(payments.values())
    cuts = sorted(draw(st.sets(st.integers(1, max(1, total - 1)), max_size=min(3, total - 1))))
    parts = [end - begin for begin, end in zip([0, *cuts], [*cuts, total], strict=True)]
    return [part for part in parts if part], payments, draw(st.integers(0, 10**6))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> dict[str, scripted.ScriptedChannel]:
    return {channel: scripted.connect(monkeypatch, channel) for channel in OUTSIDE}


@settings(max_examples=40)
@given(order=orders())
def check(order: tuple[list[int], dict[str, int], int]) -> None:
    parts, payments, voucher = order
    with transaction.atomic():
        customer = factories.UserFactory()
        for certificate in factories.bought_together(customer, parts, payments, voucher_part=voucher):
            factories.submit(certificate)
        jobs.run_due("worker", clock=lambda: NOON, limit=1000)
        assert_exact(customer)
        transaction.set_rollback(True)


def assert_exact(customer: User) -> None:
    requests = RefundRequest.objects.filter(account=customer)
    assert set(requests.values_list("state", flat=True)) == {"refunded"}
    for certificate in Certificate.objects.filter(account=customer):
        paid = Payout.objects.filter(reference__in=requests.filter(certificate=certificate).values("reference"))
        shares = Share.objects.filter(certificate=certificate, amount__gt=0)
        assert sorted(paid.values_list("payment", "amount")) == sorted(shares.values_list("payment", "amount"))
        assert sum(paid.values_list("amount", flat=True)) == certificate.paid_part
    for payment in Payment.objects.filter(account=customer):
        assert payment.ordered_back == payment.amount
        entries = LedgerEntry.objects.filter(payout__payment=payment, cause="payout_paid")
        assert entries.aggregate(sum=Sum("amount"))["sum"] == payment.amount
    assert broken() == {}


def test_every_payment_gets_its_exact_share_back(db, connected):
    check()
    paid = [refund for channel in connected.values() for refund in channel.refunds.values()]
    assert len(paid) > 40
