"""One balance, many purchases: never below zero, and each order paid exactly once."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from certificates.exceptions import RenewedAlready, TermsChanged, VoucherRefused
from certificates.models import Certificate, Order, OrderPayment, Share
from certificates.quotes import Basket
from certificates.services import purchasing
from console.management.commands.check_ledger import offending
from core.models import User
from payments.balances import balance_of, credit_balance
from payments.exceptions import BalanceChanged, NotEnoughBalance
from payments.models import LedgerEntry, Payment
from payments.states import Cause
from tests.factories import NOON
from tests.invariants import broken
from tests.lifecycle.buying import DV_PRICE, dv, free_dv, near_its_end, put_on_balance, treasurer, voucher
from tests.races.running import overtake, overtake_unguarded, together

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 20
LOOKED = (purchasing, "quote")


def buying(account: User, basket: Basket, key: UUID | None = None) -> Callable[[], Order]:
    """The form that the customer has before them now, to be sent later."""
    agreed = purchasing.quote(basket, by=account, at=NOON)
    return partial(purchasing.buy, basket, agreed=agreed, form_key=key or uuid4(), by=account, at=NOON)


def looking_and_buying(account: User, basket: Basket) -> Order | None:
    """Look and buy, and look again for as long as the terms change in between; None when the money is spent."""
    while True:
        try:
            return buying(account, basket)()
        except TermsChanged:
            continue
        except NotEnoughBalance:
            return None


def paid_once(orders: list[Order]) -> bool:
    """Each has one payment of its amount, one entry in the books, and certificates whose parts add up to it."""
    payments = {link.order_id: link.payment for link in OrderPayment.objects.select_related("payment")}
    entries = list(LedgerEntry.objects.filter(cause=Cause.ORDER_PAID).values_list("payment", "amount"))
    expected = sorted((payments[order.pk].pk, order.paid_amount) for order in orders)
    return sorted(entries) == expected and Payment.objects.count() == len(orders)


def kinds(outcomes: list[Any]) -> dict[type, int]:
    return {kind: [type(each) for each in outcomes].count(kind) for kind in {type(each) for each in outcomes}}


def test_20_purchases_at_once_spend_a_balance_to_the_last_one_it_pays_for(customer: User) -> None:
    product = dv()
    put_on_balance(customer, 7 * DV_PRICE + 1)

    outcomes = together(*[partial(looking_and_buying, customer, Basket(product.pk))] * MANY)

    bought = [each for each in outcomes if isinstance(each, Order)]
    assert (len(bought), outcomes.count(None)) == (7, MANY - 7)
    assert len({order.number for order in bought}) == 7
    assert balance_of(customer.pk, "CNY") == 1
    assert paid_once(bought)
    assert sum(Share.objects.values_list("amount", flat=True)) == 7 * DV_PRICE
    assert not broken()
    assert list(offending()) == []


def test_20_forms_on_the_same_terms_buy_once_and_the_others_look_again(customer: User) -> None:
    product = dv()
    put_on_balance(customer, MANY * DV_PRICE)

    outcomes = together(*[buying(customer, Basket(product.pk)) for _ in range(MANY)])

    assert kinds(outcomes) == {Order: 1, TermsChanged: MANY - 1}
    assert balance_of(customer.pk, "CNY") == (MANY - 1) * DV_PRICE
    assert paid_once([each for each in outcomes if isinstance(each, Order)])


def test_the_same_form_sent_20_times_at_once_is_one_order_that_all_are_shown(customer: User) -> None:
    product, key = dv(), uuid4()
    put_on_balance(customer, MANY * DV_PRICE)

    outcomes = together(*[buying(customer, Basket(product.pk, quantity=2), key) for _ in range(MANY)])

    order = Order.objects.get()
    assert outcomes == [order] * MANY
    assert Certificate.objects.count() == 2
    assert paid_once([order])


def test_the_same_form_for_what_is_free_is_one_order_too(customer: User) -> None:
    """No balance makes them wait for one another."""
    product, key = free_dv(), uuid4()

    outcomes = together(*[buying(customer, Basket(product.pk), key) for _ in range(MANY)])

    order = Order.objects.get()
    assert outcomes == [order] * MANY
    assert Certificate.objects.count() == 1


def test_20_purchases_at_once_use_a_voucher_once(customer: User) -> None:
    product = dv()
    kept = voucher(customer, DV_PRICE)

    outcomes = together(*[buying(customer, Basket(product.pk, voucher_code=kept.code)) for _ in range(MANY)])

    assert kinds(outcomes) == {Order: 1, VoucherRefused: MANY - 1}
    kept.refresh_from_db()
    assert kept.order == Order.objects.get()


def test_20_renewals_at_once_renew_once(customer: User) -> None:
    old = near_its_end(customer, free_dv(), payments={})
    basket = purchasing.renewal_basket(Certificate.objects.get(pk=old.pk))

    outcomes = together(*[buying(customer, basket) for _ in range(MANY)])

    assert kinds(outcomes) == {Order: 1, RenewedAlready: MANY - 1}
    assert Certificate.objects.get(renewal_of=old)


def test_a_second_purchase_waits_until_the_first_is_stored(customer: User) -> None:
    product = dv()
    put_on_balance(customer, 2 * DV_PRICE)

    first, second = overtake(buying(customer, Basket(product.pk)), buying(customer, Basket(product.pk)), at=LOOKED)

    assert first == Order.objects.get()
    assert isinstance(second, TermsChanged)


def test_control_without_locks_two_purchases_are_made_on_one_look(customer: User) -> None:
    product = dv()
    put_on_balance(customer, 2 * DV_PRICE)

    overtake_unguarded(buying(customer, Basket(product.pk)), buying(customer, Basket(product.pk)), at=LOOKED)

    assert Order.objects.count() == 2


@pytest.mark.broken_books
def test_control_without_guards_the_constraint_alone_keeps_the_balance_above_zero(customer: User) -> None:
    """And an order that nobody paid stays behind, since no transaction takes it along."""
    product = dv()
    put_on_balance(customer, DV_PRICE)

    overtake_unguarded(buying(customer, Basket(product.pk)), buying(customer, Basket(product.pk)), at=LOOKED)

    assert Order.objects.count() == 2
    assert balance_of(customer.pk, "CNY") == 0


def crediting(account: User, amount: int) -> Callable[[], Any]:
    """The page that staff have before them now, to be sent later."""
    seen, staff = balance_of(account.pk, "CNY"), treasurer()
    return partial(credit_balance, account, amount, "CNY", seen=seen, by=staff, at=NOON, note="paid in")


def test_a_credit_sent_20_times_at_once_is_one(customer: User) -> None:
    outcomes = together(*[crediting(customer, 500) for _ in range(MANY)])

    assert kinds(outcomes)[BalanceChanged] == MANY - 1
    assert balance_of(customer.pk, "CNY") == 500
    assert LedgerEntry.objects.get().amount == 500


def test_credits_and_purchases_at_once_lose_nothing(customer: User) -> None:
    product = dv()
    put_on_balance(customer, 5 * DV_PRICE)

    outcomes = together(
        *[partial(looking_and_buying, customer, Basket(product.pk))] * (MANY // 2),
        *[crediting(customer, DV_PRICE) for _ in range(MANY // 2)],
    )

    bought = [each for each in outcomes if isinstance(each, Order)]
    credited = LedgerEntry.objects.filter(cause=Cause.BALANCE_CREDITED).count() - 1
    assert balance_of(customer.pk, "CNY") == (5 + credited - len(bought)) * DV_PRICE
    assert paid_once(bought)
    assert list(offending()) == []
