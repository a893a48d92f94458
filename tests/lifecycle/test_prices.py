"""What a purchase costs, and what of an old certificate's time goes over to its renewal."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates.models import Certificate, Product
from certificates.prices import Bill, bill, unit_price
from certificates.renewals import bonus_days, service_end
from tests.factories import NOON

AMOUNTS = st.integers(min_value=0, max_value=10**12)


@pytest.mark.parametrize(("names", "price"), [(1, 98_000), (2, 110_000), (100, 98_000 + 99 * 12_000)])
def test_each_name_after_the_first_has_its_own_price(names: int, price: int) -> None:
    assert unit_price(98_000, 12_000, names) == price


def test_a_bill_without_a_voucher() -> None:
    assert bill(29_800, 3) == Bill(29_800, 89_400, 0, 0, 89_400)


def test_a_voucher_pays_its_part() -> None:
    assert bill(29_800, 1, 10_000) == Bill(29_800, 29_800, 10_000, 0, 19_800)


def test_what_a_voucher_covers_beyond_the_price_is_lost() -> None:
    assert bill(29_800, 1, 30_000) == Bill(29_800, 29_800, 29_800, 200, 0)


@given(AMOUNTS, st.integers(min_value=1, max_value=10), AMOUNTS)
def test_voucher_and_payment_are_the_list_price_whatever_the_amounts(unit: int, quantity: int, voucher: int) -> None:
    costs = bill(unit, quantity, voucher)
    assert costs.paid_amount + costs.voucher_amount == costs.list_amount == unit * quantity
    assert costs.voucher_amount + costs.voucher_left == voucher
    assert min(costs.paid_amount, costs.voucher_amount, costs.voucher_left) >= 0


@pytest.mark.parametrize("wrong", [(-1, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_what_cannot_be_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="negative"):
        bill(*wrong)
    with pytest.raises(ValueError, match="negative"):
        unit_price(-1, 0, 1)
    with pytest.raises(ValueError, match="has a name"):
        unit_price(1, 0, 0)


# --- The remaining days ------------------------------------------------------------------------

KIND = {"brand": "DigiCert", "level": "DV", "domain_type": "single"}


def ends(left: timedelta) -> Certificate:
    return Certificate(product=Product(**KIND), expires_at=NOON + left)


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=12), 12),
        (timedelta(days=12, seconds=1), 13),
        (timedelta(seconds=1), 1),
        (timedelta(0), 0),
        (timedelta(days=-3), 0),
    ],
)
def test_a_day_begun_counts_whole_and_none_before_now(left: timedelta, days: int) -> None:
    assert bonus_days(ends(left), Product(**KIND), NOON) == days


@pytest.mark.parametrize(
    "other", [{"brand": "Entrust"}, {"level": "OV"}, {"domain_type": "wildcard"}], ids=lambda other: next(iter(other))
)
def test_no_days_go_over_to_another_brand_or_type(other: dict[str, str]) -> None:
    assert bonus_days(ends(timedelta(days=12)), Product(**{**KIND, **other}), NOON) == 0


def test_a_certificate_without_a_product_leaves_no_days() -> None:
    assert bonus_days(Certificate(expires_at=NOON + timedelta(days=3)), Product(**KIND), NOON) == 0


def test_the_service_period_is_a_year_and_the_days() -> None:
    assert service_end(12, NOON) == NOON + timedelta(days=377)
