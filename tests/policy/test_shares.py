"""How an order's amounts fall to its certificates and payments."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.money import share_out, split
from tests.policy.strategies import repeatable

amounts = st.one_of(st.integers(0, 9), st.integers(0, 10**9))


@repeatable
@given(amounts, st.lists(amounts, min_size=1, max_size=10))
def test_split_parts_sum_up_and_are_within_one_unit_of_proportional(total: int, weights: list[int]):
    whole = sum(weights)
    if not whole:
        total = 0
    parts = split(total, weights)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
    assert all(abs(part * whole - total * weight) < max(whole, 1) for part, weight in zip(parts, weights, strict=True))


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (0, [0, 0], [0, 0]),
        (5, [0, 1], [0, 5]),
        (7, [2, 3, 2], [2, 3, 2]),
        (1, [1, 1], [1, 0]),
    ],
)
def test_split_serves_the_largest_remainder_then_the_left(total: int, weights: list[int], parts: list[int]):
    assert split(total, weights) == parts


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, [-1, 2]), (1, [0]), (1, [])])
def test_split_refuses_what_cannot_be_split(total: int, weights: list[int]):
    with pytest.raises(ValueError, match=r"negative|nothing"):
        split(total, weights)


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Certificates' parts and payments that sum to the same amount."""
    parts = draw(st.lists(amounts, min_size=1, max_size=10))
    weights = draw(st.lists(st.integers(1, 1000), min_size=1, max_size=5))
    return parts, split(sum(parts), weights)


def assert_fair(table: list[list[int]], parts: list[int], payments: list[int]) -> None:
    whole = max(sum(parts), 1)
    assert [sum(row) for row in table] == parts
    assert [sum(column) for column in zip(*table, strict=True)] == payments
    for row, part in zip(table, parts, strict=True):
        for cell, payment in zip(row, payments, strict=True):
            assert cell >= 0
            assert abs(cell * whole - part * payment) < whole


@repeatable
@given(orders())
# A certificate without a fraction of a payment must not get a unit of it, though that too would sum up.
@example(([5, 3, 0, 1, 1], [1, 5, 4]))
def test_shares_sum_both_ways_and_are_within_one_unit_of_proportional(order: tuple[list[int], list[int]]):
    parts, payments = order
    assert_fair(share_out(parts, payments), parts, payments)


def test_every_small_order_has_fair_shares():
    """All orders of three certificates and two payments, or two and three, of up to nine units."""
    for parts in product(range(4), repeat=3):
        for first in range(sum(parts) + 1):
            payments = [first, sum(parts) - first]
            assert_fair(share_out(parts, payments), list(parts), payments)
            turned = share_out(payments, parts)
            assert_fair(turned, payments, list(parts))


def test_a_voucher_only_order_has_a_row_without_shares():
    assert share_out([0, 0], []) == [[], []]


@pytest.mark.parametrize(("parts", "payments"), [([1], [2]), ([-1, 2], [1]), ([1], [2, -1]), ([1], [])])
def test_shares_of_sums_that_differ_are_refused(parts: list[int], payments: list[int]):
    with pytest.raises(ValueError, match=r"sum|negative"):
        share_out(parts, payments)


def test_the_same_order_always_has_the_same_shares():
    assert share_out([3333, 3333, 3334], [5000, 5000]) == share_out([3333, 3333, 3334], [5000, 5000])
