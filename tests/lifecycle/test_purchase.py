"""Buying: what the service stores, pays and refuses."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from pytest_django import Settings

from certificates.exceptions import InvalidBasket, NotAllowed, NotForSale, TermsChanged, VoucherRefused
from certificates.models import Certificate, Order, Product, SearchTerm, Voucher
from certificates.quotes import Basket
from certificates.services import purchasing
from core import audit
from core.models import User
from payments.balances import balance_of
from payments.exceptions import NotEnoughBalance
from payments.models import LedgerEntry, Payment
from payments.states import Cause, LedgerKind
from refunds.rules.assess import assess
from refunds.rules.facts import facts_of
from refunds.rules.policies import POLICIES, Rule
from tests import factories
from tests.factories import NOON
from tests.lifecycle.buying import buy, dv, free_dv, multi, nothing_bought, put_on_balance, voucher

pytestmark = pytest.mark.django_db


@pytest.fixture
def rich(customer: User) -> User:
    put_on_balance(customer, 1_000_000)
    return customer


def test_bought_certificates_wait_for_their_application(rich: User) -> None:
    order = buy(rich, Basket(dv().pk, quantity=2))
    first, second = order.certificates.order_by("position")
    assert (first.state, first.name, first.names_bought, first.account) == (
        "pending_application",
        "DigiCert DV Single Domain",
        1,
        rich,
    )
    assert (first.purchased_at, first.service_ends_at) == (NOON, NOON + timedelta(days=365))
    assert (first.paid_part, second.paid_part) == (29_800, 29_800)
    assert first.listed_at < second.listed_at
    assert SearchTerm.objects.filter(certificate=first, text="digicert dv single domain").exists()


@pytest.mark.parametrize("name", POLICIES)
def test_an_order_is_made_under_the_policy_of_the_setting_and_keeps_it(
    rich: User, settings: Settings, name: str
) -> None:
    settings.REFUND_POLICY = name
    order = buy(rich, Basket(dv().pk))
    settings.REFUND_POLICY = "intl-2021"
    assert facts_of(order.certificates.select_related("order", "product").get()).policy == name


def test_the_money_goes_from_the_balance_to_the_sales(rich: User) -> None:
    order = buy(rich, Basket(dv().pk))
    payment = Payment.objects.get()
    entry = LedgerEntry.objects.get(cause=Cause.ORDER_PAID)
    assert (payment.channel, payment.amount, payment.reference) == ("balance", 29_800, order.number)
    assert (entry.debit.owner, entry.credit.kind, entry.amount) == (rich, LedgerKind.SALES, 29_800)
    assert (entry.payment, entry.by, entry.at) == (payment, rich, NOON)
    assert balance_of(rich.pk, "CNY") == 1_000_000 - 29_800


def test_the_number_is_the_services_day_and_digits(rich: User) -> None:
    late_in_the_day = NOON.replace(hour=20)  # the 24th already in the service's zone
    numbers = [buy(rich, Basket(dv().pk), at=at).number for at in (NOON, late_in_the_day)]
    assert [(number[:8], len(number), number.isdecimal()) for number in numbers] == [
        ("20261123", 18, True),
        ("20261124", 18, True),
    ]


def test_the_parts_of_an_order_add_up_to_the_cent(rich: User) -> None:
    voucher(rich, 10_001)
    order = buy(rich, Basket(dv().pk, quantity=3, voucher_code="SPRING-2026"))
    certificates = order.certificates.order_by("position")
    assert [(each.paid_part, each.voucher_part) for each in certificates] == [
        (26_467, 3_333),
        (26_466, 3_334),
        (26_466, 3_334),
    ]
    assert (order.list_amount, order.voucher_amount, order.paid_amount) == (89_400, 10_001, 79_399)
    assert [share.amount for each in certificates for share in each.shares.all()] == [26_467, 26_466, 26_466]


def test_names_of_a_multi_domain_certificate_are_paid_one_by_one(rich: User) -> None:
    order = buy(rich, Basket(multi().pk, names=5))
    assert (order.paid_amount, order.certificates.get().names_bought) == (98_000 + 4 * 12_000, 5)


def test_free_dv_costs_nothing_and_moves_no_money(customer: User) -> None:
    order = buy(customer, Basket(free_dv().pk, quantity=2))
    assert order.certificates.count() == 2
    assert (order.paid_amount, order.list_amount) == (0, 0)
    assert not Payment.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert assess(facts_of(order.certificates.first()), NOON).rule == Rule.FREE_DV


def test_what_a_voucher_pays_in_full_makes_no_payment(customer: User) -> None:
    kept = voucher(customer, 50_000)
    order = buy(customer, Basket(dv().pk, voucher_code="spring-2026"))
    assert (order.voucher_amount, order.paid_amount) == (29_800, 0)
    assert not Payment.objects.exists()
    kept.refresh_from_db()
    assert kept.order == order
    assert assess(facts_of(order.certificates.get()), NOON).rule == Rule.NOTHING_PAID


def test_what_was_bought_can_be_refunded_to_the_balance(rich: User) -> None:
    order = buy(rich, Basket(dv().pk))
    factories.submit(order.certificates.get())
    factories.pay_out()
    assert balance_of(rich.pk, "CNY") == 1_000_000


def test_a_product_is_paid_in_its_own_currency(rich: User) -> None:
    dollars = dv(brand="Entrust", currency="USD")
    with pytest.raises(NotEnoughBalance) as refused:
        buy(rich, Basket(dollars.pk))
    assert refused.value.missing == 29_800
    put_on_balance(rich, 30_000, "USD")
    buy(rich, Basket(dollars.pk))
    assert (balance_of(rich.pk, "USD"), balance_of(rich.pk, "CNY")) == (200, 1_000_000)


def test_the_trail_says_what_was_bought(rich: User) -> None:
    kept = voucher(rich)
    order = buy(rich, Basket(dv().pk, voucher_code=kept.code))
    [entry] = audit.history(order)
    assert (entry.act, entry.by, entry.detail["paid"], entry.detail["voucher"]) == ("bought", rich, 19_800, kept.code)
    assert audit.history(kept).get().act == "used"


# --- The same form -----------------------------------------------------------------------------


def test_the_same_form_buys_once(rich: User) -> None:
    key = uuid4()
    agreed = purchasing.quote(Basket(dv().pk), by=rich, at=NOON)
    orders = [
        purchasing.buy(Basket(dv().pk), agreed=agreed, form_key=key, by=rich, at=NOON + timedelta(seconds=n))
        for n in range(2)
    ]
    assert orders[0] == orders[1]
    assert balance_of(rich.pk, "CNY") == 1_000_000 - 29_800


def test_the_form_of_another_account_gives_none_of_its_orders(rich: User, neighbour: User) -> None:
    order = buy(rich, Basket(dv().pk))
    assert purchasing.bought_with(order.form_key, by=neighbour) is None


# --- Refused -----------------------------------------------------------------------------------


def test_not_enough_balance_says_how_much_is_missing(customer: User) -> None:
    put_on_balance(customer, 29_000)
    with pytest.raises(NotEnoughBalance) as refused:
        buy(customer, Basket(dv().pk))
    assert refused.value.missing == 800
    assert nothing_bought(customer)
    assert balance_of(customer.pk, "CNY") == 29_000


def test_a_balance_pays_down_to_nothing(customer: User) -> None:
    put_on_balance(customer, 29_800)
    buy(customer, Basket(dv().pk))
    assert balance_of(customer.pk, "CNY") == 0


@pytest.mark.parametrize("price", [None, 31_000])
def test_a_product_off_the_shelf_or_at_another_price_is_not_bought(rich: User, price: int | None) -> None:
    product = dv()
    agreed = purchasing.quote(Basket(product.pk), by=rich, at=NOON)
    Product.objects.update(price=price)
    with pytest.raises((NotForSale, TermsChanged)):
        purchasing.buy(Basket(product.pk), agreed=agreed, form_key=uuid4(), by=rich, at=NOON)
    assert nothing_bought(rich)


def test_other_terms_than_those_of_now_buy_nothing(rich: User) -> None:
    basket = Basket(dv().pk)
    agreed = purchasing.quote(basket, by=rich, at=NOON)
    for other in (replace(agreed, paid_amount=1), replace(agreed, balance=5), replace(agreed, currency="USD")):
        with pytest.raises(TermsChanged) as refused:
            purchasing.buy(basket, agreed=other, form_key=uuid4(), by=rich, at=NOON)
        assert refused.value.quote == agreed
    assert nothing_bought(rich)


@pytest.mark.parametrize(
    ("names", "quantity"), [(1, 0), (1, 11), (2, 1), (0, 1)], ids=["none", "11", "two-names", "no-name"]
)
def test_numbers_that_no_page_lets_through(rich: User, names: int, quantity: int) -> None:
    with pytest.raises(InvalidBasket):
        buy(rich, Basket(dv().pk, names, quantity))


@pytest.mark.parametrize("names", [1, 101])
def test_a_multi_domain_certificate_is_for_2_to_100_names(rich: User, names: int) -> None:
    with pytest.raises(InvalidBasket):
        buy(rich, Basket(multi().pk, names))


def test_an_unknown_product_is_not_for_sale(rich: User) -> None:
    with pytest.raises(NotForSale):
        buy(rich, Basket(987_654))


def test_an_account_that_was_closed_buys_nothing(rich: User) -> None:
    agreed = purchasing.quote(Basket(dv().pk), by=rich, at=NOON)
    rich.is_active = False
    with pytest.raises(NotAllowed):
        purchasing.buy(Basket(dv().pk), agreed=agreed, form_key=uuid4(), by=rich, at=NOON)


def of_another(account: User) -> Voucher:
    return voucher(factories.UserFactory())


def used(account: User) -> Voucher:
    return voucher(account, order=factories.certificate(account).order)


VOUCHERS: dict[str, Callable[[User], Voucher | None]] = {
    "unknown": lambda account: None,
    "unknown ": of_another,
    "used": used,
    "expired": lambda account: voucher(account, expires_at=NOON),
    "currency": lambda account: voucher(account, currency="USD"),
}


@pytest.mark.parametrize("cause", VOUCHERS)
def test_a_voucher_that_cannot_pay_buys_nothing(rich: User, cause: str) -> None:
    product = dv()
    VOUCHERS[cause](rich)
    before = Order.objects.count()
    with pytest.raises(VoucherRefused) as refused:
        buy(rich, Basket(product.pk, voucher_code="SPRING-2026"))
    assert refused.value.cause == cause.strip()
    assert Order.objects.count() == before


def test_a_voucher_is_not_wasted_on_what_is_free(customer: User) -> None:
    voucher(customer)
    with pytest.raises(VoucherRefused) as refused:
        buy(customer, Basket(free_dv().pk, voucher_code="SPRING-2026"))
    assert refused.value.cause == VoucherRefused.NOT_NEEDED


def test_a_voucher_pays_once(rich: User) -> None:
    voucher(rich)
    basket = Basket(dv().pk, voucher_code="SPRING-2026")
    buy(rich, basket)
    with pytest.raises(VoucherRefused) as refused:
        buy(rich, basket)
    assert refused.value.cause == VoucherRefused.USED
    assert Certificate.objects.count() == 1


def test_a_voucher_used_between_look_and_act_is_refused(rich: User) -> None:
    kept = voucher(rich)
    basket = Basket(dv().pk, voucher_code=kept.code)
    agreed = purchasing.quote(basket, by=rich, at=NOON)
    kept.order = factories.certificate(rich).order
    kept.save()
    with pytest.raises(VoucherRefused):
        purchasing.buy(basket, agreed=agreed, form_key=uuid4(), by=rich, at=NOON)
