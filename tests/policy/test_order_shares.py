"""How an order's paid and voucher amounts fall to its certificates, and the certificates' parts to its payments."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates.exceptions import CannotBeShared
from certificates.orders import PaymentLine
from certificates.sharing import Claims, Shares, share_order
from payments.channels import step_of
from tests.policy.strategies import repeatable

CARD, BALANCE = "card", "balance"


def share(payments: list[tuple[str, int]], claims: Claims, *, voucher: int = 0, currency: str = "KWD") -> Shares:
    paid = sum(amount for _, amount in payments)
    return share_order(paid, voucher, [PaymentLine(*each) for each in payments], claims, currency)


def evenly(count: int) -> Claims:
    return Claims([1] * count, are_prices=False)


def refused(payments: list[tuple[str, int]], claims: Claims, **fields) -> tuple[str, int]:
    with pytest.raises(CannotBeShared) as refusal:
        share(payments, claims, **fields)
    return refusal.value.cause, refusal.value.step


# --- Steps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("currency", ["BHD", "JOD", "KWD", "OMR", "TND"])
def test_card_refunds_of_five_currencies_with_three_decimals_go_in_tens(currency: str):
    assert step_of(CARD, currency) == 10
    assert {step_of(channel, currency) for channel in (BALANCE, "alipay", "bank")} == {1}


def test_card_refunds_of_malagasy_ariary_go_in_hundreds():
    assert step_of(CARD, "MGA") == 100


@pytest.mark.parametrize("currency", ["CNY", "USD", "JPY", "ISK", "UGX", "IQD", "LYD", "XYZ"])
def test_every_other_refund_goes_in_minor_units(currency: str):
    assert {step_of(channel, currency) for channel in (CARD, BALANCE, "alipay", "bank")} == {1}


# --- Examples -----------------------------------------------------------------------------------


def test_three_certificates_paid_by_card_share_in_steps():
    shares = share([(CARD, 10_000)], evenly(3))
    assert shares == Shares([3340, 3330, 3330], [0, 0, 0], [[3340], [3330], [3330]])


def test_the_same_order_in_another_currency_shares_in_minor_units():
    assert share([(CARD, 10_000)], evenly(3), currency="CNY").paid == [3334, 3333, 3333]


def test_a_voucher_is_split_in_steps_too():
    shares = share([(CARD, 10_000)], evenly(3), voucher=5000)
    assert (shares.paid, shares.vouchers) == ([3340, 3330, 3330], [1660, 1670, 1670])


def test_an_odd_voucher_is_split_in_minor_units_since_it_never_goes_back():
    shares = share([(CARD, 10_000)], evenly(2), voucher=2005)
    assert (shares.paid, shares.vouchers) == ([5000, 5000], [1003, 1002])


def test_an_odd_voucher_fills_odd_prices():
    shares = share([(CARD, 4990)], Claims([3335, 3335]), voucher=1680)
    assert (shares.paid, shares.vouchers) == ([2500, 2490], [835, 845])


def test_a_discount_makes_room_for_steps_within_odd_prices():
    shares = share([(CARD, 8000)], Claims([3335, 3335, 3340]), voucher=2000)
    assert (shares.paid, shares.vouchers) == ([2670, 2660, 2670], [660, 670, 670])


def test_the_balance_carries_the_remainders_of_a_card():
    shares = share([(CARD, 5000), (BALANCE, 5000)], evenly(3))
    assert shares.paid == [3334, 3333, 3333]
    assert shares.table == [[1670, 1664], [1670, 1663], [1660, 1673]]


def test_a_card_payment_that_is_no_multiple_of_its_step_is_refused():
    assert refused([(BALANCE, 5), (CARD, 10_005)], evenly(1)) == ("payment", 10)
    assert refused([(CARD, 150)], evenly(1), currency="MGA") == ("payment", 100)


def test_prices_that_some_part_would_exceed_are_refused():
    assert refused([(CARD, 10_000)], Claims([3334, 3333, 3333])) == ("prices", 10)


def test_a_balance_too_small_for_the_remainders_is_refused():
    assert refused([(CARD, 100_080), (BALANCE, 10)], evenly(10)) == ("remainders", 10)


def test_an_order_paid_by_voucher_alone_has_no_steps():
    assert share([], evenly(3), voucher=10_000).vouchers == [3334, 3333, 3333]


# --- Any order ----------------------------------------------------------------------------------


@st.composite
def card_orders(draw: st.DrawFn) -> tuple[list[tuple[str, int]], Claims, int]:
    """1 to 10 certificates, 1 to 4 payments in KWD of which one is by card, and a voucher."""
    units = st.one_of(st.integers(1, 9), st.integers(1, 10**6))
    payments = [(CARD, 10 * draw(units))]
    for channel in draw(st.lists(st.sampled_from([CARD, BALANCE]), max_size=3)):
        payments.append((channel, draw(units) * (10 if channel == CARD else 1)))
    voucher = draw(st.one_of(st.just(0), units, units.map(lambda each: 10 * each)))
    total = sum(amount for _, amount in payments) + voucher
    if draw(st.booleans()):
        return payments, evenly(draw(st.integers(1, 10))), voucher
    prices = draw(st.lists(st.one_of(st.integers(1, 99), units), min_size=1, max_size=10))
    if missing := total - sum(prices) + draw(st.one_of(st.just(0), units)):
        prices[0] += max(missing, 0)
    return payments, Claims(prices), voucher


@repeatable
@given(card_orders())
def test_every_share_can_be_refunded_or_the_order_is_refused(order: tuple[list[tuple[str, int]], Claims, int]):
    payments, claims, voucher = order
    try:
        shares = share(payments, claims, voucher=voucher)
    except CannotBeShared as refusal:
        is_mixed = len(dict(payments)) == 2
        assert refusal.cause == ("remainders" if is_mixed else "prices")
        return
    paid, whole = sum(amount for _, amount in payments), sum(claims.weights)
    assert (sum(shares.paid), sum(shares.vouchers)) == (paid, voucher)
    for mine, gift, cells, weight in zip(shares.paid, shares.vouchers, shares.table, claims.weights, strict=True):
        assert min(mine, gift, *cells) >= 0
        assert sum(cells) == mine
        assert mine + gift <= weight or not claims.are_prices
        for cell, (channel, amount) in zip(cells, payments, strict=True):
            assert cell % step_of(channel, "KWD") == 0
            assert abs(cell * paid - mine * amount) < 10 * paid
    assert [sum(column) for column in zip(*shares.table, strict=True)] == [amount for _, amount in payments]
    if {channel for channel, _ in payments} == {CARD}:
        for mine, gift, weight in zip(shares.paid, shares.vouchers, claims.weights, strict=True):
            assert abs(mine * whole - paid * weight) < 10 * whole
            assert abs(gift * whole - voucher * weight) < 10 * whole


def has_parts(prices: tuple[int, ...], paid: int, voucher: int) -> bool:
    """Try all parts in tens that a card may pay, and all of the voucher beside them."""
    whole = sum(prices)

    def near(amount: int, price: int, step: int) -> list[int]:
        near_enough = (part for part in range(0, price + 1, step))
        return [part for part in near_enough if abs(part * whole - amount * price) < 10 * whole]

    for parts in product(*(near(paid, price, 10) for price in prices)):
        if sum(parts) == paid:
            gifts = [
                [gift for gift in near(voucher, price, 1) if gift + part <= price]
                for part, price in zip(parts, prices, strict=True)
            ]
            if all(gifts) and sum(map(min, gifts)) <= voucher <= sum(map(max, gifts)):
                return True
    return False


def test_every_small_order_by_card_has_parts_within_its_prices_or_cannot_have_any():
    refusals = 0
    for prices in product((5, 9, 10, 14, 21, 33), repeat=3):
        whole = sum(prices)
        for paid in range(10, whole + 1, 10):
            for voucher in {0, 5, (whole - paid) // 2, whole - paid} & set(range(whole - paid + 1)):
                try:
                    share([(CARD, paid)], Claims(list(prices)), voucher=voucher)
                except CannotBeShared:
                    refusals += 1
                    assert not has_parts(prices, paid, voucher), (prices, paid, voucher)
    assert refusals > 50
