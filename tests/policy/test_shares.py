"""How an order's amounts fall to its certificates and payments."""

from functools import cache
from itertools import combinations, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.money import CannotShareOut, share_out, split
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


# --- In steps -----------------------------------------------------------------------------------


def test_split_in_steps_serves_the_largest_remainder_then_the_left():
    assert split(10_000, [1, 1, 1], step=10) == [3340, 3330, 3330]
    assert split(10_000, [1, 2, 1], step=100) == [2500, 5000, 2500]
    assert split(70, [1, 2, 1], step=10) == [20, 30, 20]


def test_split_refuses_what_is_not_a_multiple_of_the_step():
    with pytest.raises(ValueError, match="not a multiple of 10"):
        split(10_005, [1, 1], step=10)


def test_shares_of_one_step_are_multiples_of_it():
    assert share_out([3340, 3330, 3330], [10_000], [10]) == [[3340], [3330], [3330]]
    assert share_out([3340, 3330, 3330], [5000, 5000], [10, 10]) == [[1670, 1670], [1660, 1670], [1670, 1660]]


def test_payment_with_step_1_carries_what_the_steps_leave_over():
    assert share_out([3334, 3333, 3333], [5000, 5000], [10, 1]) == [[1670, 1664], [1670, 1663], [1660, 1673]]
    assert share_out([3334, 3333, 3333], [10, 9990], [1, 10]) == [[4, 3330], [3, 3330], [3, 3330]]


def test_shares_are_refused_where_little_is_left_to_carry_the_remainders():
    with pytest.raises(CannotShareOut):
        share_out([10_009] * 10, [100_080, 10], [10, 1])


@pytest.mark.parametrize(("parts", "payments"), [([5, 5], [10]), ([10, 5], [15])])
def test_shares_are_refused_where_amounts_are_no_multiples_of_the_one_step(parts: list[int], payments: list[int]):
    with pytest.raises(CannotShareOut):
        share_out(parts, payments, [10] * len(payments))


def test_different_steps_above_1_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="steps of"):
        share_out([110], [10, 100], [10, 100])


def assert_in_steps(table: list[list[int]], parts: list[int], payments: list[int], steps: list[int]) -> None:
    """A payment with step 1 beside others carries their remainders, so its cells too may be up to their step away."""
    whole, widest = max(sum(parts), 1), max(steps)
    assert [sum(row) for row in table] == parts
    assert [sum(column) for column in zip(*table, strict=True)] == payments
    for row, part in zip(table, parts, strict=True):
        for cell, payment, step in zip(row, payments, steps, strict=True):
            assert cell >= 0
            assert cell % step == 0
            assert abs(cell * whole - part * payment) < widest * whole


@st.composite
def stepped_orders(draw: st.DrawFn, *, most: int = 10**7) -> tuple[list[int], list[int], list[int]]:
    """Parts, payments and steps: 1 to 10 certificates and 1 to 4 payments, each of step 1 or of the same other one."""
    step = draw(st.sampled_from([10, 100]))
    steps = draw(st.lists(st.sampled_from([1, step]), min_size=1, max_size=4))
    units = st.one_of(st.integers(1, 9), st.integers(1, most))
    payments = [draw(units) * each for each in steps]
    # Equal certificates are the usual order, and the one with the most ties.
    weights = st.one_of(st.just(1), st.integers(0, 9), st.integers(1, 10**6))
    claims = draw(st.lists(weights, min_size=1, max_size=10).filter(any))
    return split(sum(payments), claims, step=min(steps)), payments, steps


@repeatable
@given(stepped_orders())
# Three parts are too small for a step, so others give up more of the balance than they'd have to.
@example(([9, 9, 8, 533, 296], [610, 244, 1], [10, 1, 1]))
def test_shares_in_steps_sum_both_ways_and_are_within_one_step_of_proportional(order):
    parts, payments, steps = order
    try:
        table = share_out(parts, payments, steps)
    except CannotShareOut:
        assert len(set(steps)) == 2, "payments of one step always have a table"
        return
    assert_in_steps(table, parts, payments, steps)


@repeatable
@given(stepped_orders(most=30))
def test_shares_in_steps_are_refused_only_where_the_parts_have_no_room_for_them(order):
    """Some payments need more whole steps than the certificates can take, each rounded up as far as it may."""
    parts, payments, steps = order
    try:
        share_out(parts, payments, steps)
    except CannotShareOut:
        step, whole = max(steps), sum(parts)
        coarse = [payment // step for payment, each in zip(payments, steps, strict=True) if each == step]
        subsets = [chosen for size in range(1, len(coarse) + 1) for chosen in combinations(range(len(coarse)), size)]
        assert any(room_for(chosen, coarse, parts, step) < sum(coarse[j] for j in chosen) for chosen in subsets), whole


def room_for(chosen: tuple[int, ...], coarse: list[int], parts: list[int], step: int) -> int:
    """How many steps of the chosen payments all parts together can take, while each takes its least of the others."""
    whole, room = sum(parts), 0
    for part in parts:
        most = min(part // step, -(-part * sum(coarse) // whole))
        least_of_others = sum(part * each // whole for j, each in enumerate(coarse) if j not in chosen)
        room += min(most - least_of_others, sum(-(-part * coarse[j] // whole) for j in chosen))
    return room


def has_a_table(parts: list[int], payments: list[int], steps: list[int]) -> bool:
    """Try every table, row by row."""
    whole, widest = sum(parts), max(steps)

    def cells(row: int, column: int) -> list[int]:
        proportional = parts[row] * payments[column]
        return [
            cell
            for cell in range(0, parts[row] + 1, steps[column])
            if abs(cell * whole - proportional) < widest * whole
        ]

    @cache
    def fits(row: int, left: tuple[int, ...]) -> bool:
        if row == len(parts):
            return not any(left)
        choices = product(*(cells(row, column) for column in range(len(payments))))
        return any(
            fits(row + 1, tuple(have - take for have, take in zip(left, taken, strict=True)))
            for taken in choices
            if sum(taken) == parts[row] and all(take <= have for have, take in zip(left, taken, strict=True))
        )

    return fits(0, tuple(payments))


def test_every_small_order_in_steps_has_shares_or_cannot_have_any():
    refused = 0
    for parts in product(range(8, 22, 3), repeat=3):
        for coarse in range(10, sum(parts), 10):
            rest = sum(parts) - coarse
            for payments, steps in [([coarse, rest], [10, 1]), ([coarse, rest - 1, 1], [10, 1, 1])]:
                refused += not shares_or_none(list(parts), payments, steps)
    assert refused > 50


def shares_or_none(parts: list[int], payments: list[int], steps: list[int]) -> bool:
    try:
        table = share_out(parts, payments, steps)
    except CannotShareOut:
        assert not has_a_table(parts, payments, steps), (parts, payments, steps)
        return False
    assert_in_steps(table, parts, payments, steps)
    return True


@repeatable
@given(st.data())
def test_small_orders_of_up_to_four_payments_in_steps_have_shares_or_cannot_have_any(data: st.DataObject):
    steps = data.draw(st.lists(st.sampled_from([1, 10]), min_size=2, max_size=4).filter(lambda each: 1 in each))
    payments = [data.draw(st.integers(1, 3 if step > 1 else 15)) * step for step in steps]
    parts = split(sum(payments), data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    shares_or_none(parts, payments, steps)
