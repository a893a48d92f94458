"""The one way in: what `store_orders` makes of an order."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from certificates.models import Certificate, Domain, ImportedRow, Order, OrderPayment, SearchTerm
from certificates.orders import CertificateLine, OrderToStore, PaymentLine
from certificates.sharing import shares_of
from certificates.states import CertificateState, DomainType, Level
from certificates.storing import search_terms, store_orders
from core.bulk import insert_rows, reserve_keys
from core.models import User
from payments.models import Payment
from tests.factories import NOON, UserFactory

DAY = timedelta(days=1)


def line(**fields: Any) -> CertificateLine:
    plain: dict[str, Any] = {
        "brand": "DigiCert",
        "level": Level.DV,
        "domain_type": DomainType.SINGLE,
        "domains": ("shop.example.com",),
        "service_ends_at": NOON + 365 * DAY,
    }
    return CertificateLine(**{**plain, **fields})


def order(*lines: CertificateLine, number: str = "A-1", paid: int = 1000, **fields: Any) -> OrderToStore:
    plain: dict[str, Any] = {
        "account": "alice",
        "paid_at": NOON,
        "currency": "CNY",
        "list_amount": paid,
        "payments": (PaymentLine("alipay", paid, f"ali-{number}"),),
    }
    return OrderToStore(number=number, paid_amount=paid, certificates=lines, **{**plain, **fields})


# --- The state it begins in ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "events", "state"),
    [
        (Level.DV, [], CertificateState.PENDING_APPLICATION),
        (Level.DV, ["submitted_at"], CertificateState.PENDING_VERIFICATION),
        (Level.OV, ["submitted_at"], CertificateState.VALIDATING_APPLICATION),
        (Level.EV, ["submitted_at"], CertificateState.VALIDATING_APPLICATION),
        (Level.DV, ["submitted_at", "validated_at"], CertificateState.VALIDATING_APPLICATION),
        (Level.DV, ["validated_at"], CertificateState.VALIDATING_APPLICATION),
        (Level.DV, ["issued_at"], CertificateState.ISSUED),
        (Level.OV, ["submitted_at", "issued_at"], CertificateState.ISSUED),
        (Level.DV, ["issued_at", "revocation_requested_at"], CertificateState.REVOKING),
        (Level.DV, ["issued_at", "revocation_requested_at", "revoked_at"], CertificateState.REVOKED),
        (Level.DV, ["issued_at", "revoked_at"], CertificateState.REVOKED),
    ],
)
def test_the_events_decide_the_state(level: Level, events: list[str], state: CertificateState):
    assert line(level=level, **dict.fromkeys(events, NOON)).first_state == state


@pytest.mark.django_db
def test_a_state_may_be_given():
    store_orders([order(line(state=CertificateState.VALIDATION_FAILED, failure_cause="No answer by telephone"))])
    stored = Certificate.objects.get()
    assert (stored.state, stored.failure_cause) == ("validation_failed", "No answer by telephone")


@pytest.mark.django_db
def test_no_certificate_begins_refunded():
    with pytest.raises(IntegrityError), transaction.atomic():
        store_orders([order(line(state=CertificateState.REFUNDED))])


# --- Parts --------------------------------------------------------------------------------------


def certificate_parts(order: OrderToStore) -> list[tuple[int, int]]:
    shares = shares_of(order)
    return list(zip(shares.paid, shares.vouchers, strict=True))


@pytest.mark.parametrize(
    ("lines", "paid", "voucher", "parts"),
    [
        ([line()], 1000, 50, [(1000, 50)]),
        ([line(), line()], 1001, 0, [(501, 0), (500, 0)]),
        ([line(price=300), line(price=100)], 300, 100, [(225, 75), (75, 25)]),
        ([line(price=300), line()], 300, 100, [(150, 50), (150, 50)]),  # one price alone says nothing
        ([line(), line(free=True)], 700, 7, [(700, 7), (0, 0)]),
        # A free one needs no price for the others' to count: else the cheap one's refund would pay for the dear one.
        ([line(price=100), line(price=900), line(free=True)], 1000, 0, [(100, 0), (900, 0), (0, 0)]),
        ([line(price=100), line(), line(free=True)], 1000, 0, [(500, 0), (500, 0), (0, 0)]),
        ([line(price=0), line(price=5)], 5, 0, [(0, 0), (5, 0)]),
        ([line(free=True)], 0, 0, [(0, 0)]),
        ([line()], 0, 80, [(0, 80)]),
    ],
)
def test_each_certificate_carries_its_part(lines: list[CertificateLine], paid: int, voucher: int, parts: list):
    assert certificate_parts(order(*lines, paid=paid, voucher_amount=voucher)) == parts


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=10), st.data())
def test_parts_sum_to_the_order_and_none_passes_its_price(prices: list[int], data: st.DataObject):
    paid = data.draw(st.integers(0, sum(prices)))
    voucher = data.draw(st.integers(0, sum(prices) - paid))
    parts = certificate_parts(order(*(line(price=price) for price in prices), paid=paid, voucher_amount=voucher))
    assert sum(part for part, _ in parts) == paid
    assert sum(part for _, part in parts) == voucher
    assert all(
        mine >= 0 and gift >= 0 and mine + gift <= price for (mine, gift), price in zip(parts, prices, strict=True)
    )


def test_money_for_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to split by"):
        certificate_parts(order(line(free=True), paid=1))


@pytest.mark.django_db
def test_shares_join_certificates_and_payments_without_empty_ones():
    payments = (PaymentLine("alipay", 600, "a"), PaymentLine("balance", 400))
    store_orders([order(line(price=750), line(price=250), line(price=0), payments=payments)])
    shares = [
        [(share.payment.channel, share.amount) for share in stored.shares.select_related("payment")]
        for stored in Certificate.objects.order_by("position")
    ]
    assert shares == [[("alipay", 450), ("balance", 300)], [("alipay", 150), ("balance", 100)], []]


@pytest.mark.django_db
def test_payments_that_do_not_sum_to_what_was_paid_are_refused():
    with pytest.raises(ValueError, match="same amount"), transaction.atomic():
        store_orders([order(line(), payments=(PaymentLine("alipay", 999, "a"),))])


# --- Everything else ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "terms"),
    [
        (["*.example.com"], ["*.example.com", "example.com", "com"]),
        (["a.example.com", "b.example.com"], ["a.example.com", "example.com", "com", "b.example.com"]),
        ([], []),
    ],
)
def test_terms_are_the_names_from_every_label_on(names: list[str], terms: list[str]):
    assert search_terms(names) == terms


@pytest.mark.django_db
def test_the_keys_come_back_in_the_order_given():
    lines = [line(domains=(f"a{number}.example.com",)) for number in range(4)]
    keys = store_orders([order(*lines[:3]), order(lines[3], number="A-2")])
    names = dict(Certificate.objects.values_list("pk", "name"))
    assert [names[key] for key in keys] == [f"a{number}.example.com" for number in range(4)]


@pytest.mark.django_db
def test_what_is_made_afterwards_gets_keys_of_its_own():
    """Keys given out beforehand are not given out again."""
    store_orders([order(line())])
    account = User.objects.get()
    made = Order.objects.create(
        number="B-1", account=account, paid_at=NOON, currency="CNY", list_amount=1, paid_amount=1
    )
    assert made.pk > Order.objects.exclude(pk=made.pk).get().pk
    store_orders([order(line(), number="A-2")])
    assert (Order.objects.count(), OrderPayment.objects.count()) == (3, 2)


@pytest.mark.django_db
def test_what_is_not_named_gets_the_models_default():
    store_orders([order(line())])
    stored, payment = Certificate.objects.get(), Payment.objects.get()
    assert (stored.source, stored.hold, stored.closing_since, stored.deleted_at) == ("purchased", "", None, None)
    assert stored.expires_at == stored.service_ends_at == NOON + 365 * DAY
    assert payment.ordered_back == 0


@pytest.mark.django_db
def test_instance_ids_are_made_where_none_is_given():
    store_orders([order(line(instance_id="cas-own-1"), line(domains=()), line())])
    own, first, second = Certificate.objects.order_by("position").values_list("instance_id", flat=True)
    assert own == "cas-own-1"
    assert first.startswith("cas-sg-")
    assert first != second


@pytest.mark.django_db
def test_accounts_are_made_once_and_never_changed():
    UserFactory(username="bob", email="")
    orders = [
        order(line(), number="A-1", account="alice"),
        order(line(), number="A-2", account="alice", email="alice@example.com"),
        order(line(), number="A-3", account="bob", email="bob@example.com"),
    ]
    store_orders(orders)
    assert dict(User.objects.values_list("username", "email")) == {"alice": "alice@example.com", "bob": ""}
    assert not User.objects.get(username="alice").has_usable_password()


@pytest.mark.django_db
def test_a_row_is_kept_only_where_there_is_one():
    row = {"order_number": "A-1", "domains": ["ü"], "free": False, "price": None}
    store_orders([order(line(row=row), line())])
    assert ImportedRow.objects.get().row == row


@pytest.mark.django_db
def test_nothing_to_store_stores_nothing():
    assert store_orders([]) == []
    assert not User.objects.exists()


@pytest.mark.django_db
def test_an_order_is_stored_once():
    store_orders([order(line())])
    with pytest.raises(IntegrityError), transaction.atomic():
        store_orders([order(line(), payments=(PaymentLine("balance", 1000),))])
    assert Order.objects.count() == Domain.objects.count() == 1
    assert SearchTerm.objects.count() == 3


@pytest.mark.django_db
def test_reserved_keys_ascend_and_are_free():
    keys = list(reserve_keys(Order, 3))
    account = UserFactory()
    fields = [
        "id",
        "number",
        "account",
        "paid_at",
        "currency",
        "list_amount",
        "voucher_amount",
        "paid_amount",
        "policy",
    ]
    insert_rows(Order, fields, [(key, str(key), account.pk, NOON, "CNY", 1, 0, 1, "p") for key in keys])
    assert keys == sorted(keys) == list(Order.objects.order_by("pk").values_list("pk", flat=True))
    assert min(reserve_keys(Order, 1)) > max(keys)


@pytest.mark.django_db
@pytest.mark.parametrize("needle", ["digicert dv", "DigiCert DV Single"])
def test_a_certificate_without_domains_is_found_by_the_name_it_shows(needle: str):
    store_orders([order(line(domains=()))])
    assert Certificate.objects.matching(User.objects.get(), needle).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("needle", ["bücher", "BÜCHER.example", "xn--bcher", "example.com"])
def test_an_idn_is_found_in_both_of_its_forms(needle: str):
    store_orders([order(line(domains=("www.xn--bcher-kva.example.com",)))])
    assert Certificate.objects.matching(User.objects.get(), needle).count() == 1
