"""Business days of mainland China: notices, make-up workdays, and the years that have none."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.business_days import ANNOUNCED_YEARS, add_business_days, business_days_of, last_day_with_nth_business_day_by
from tests.policy import oracle
from tests.policy.strategies import repeatable

days = st.dates(date(1995, 1, 1), date(2150, 12, 31))


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (date(2026, 9, 21), date(2026, 10, 19)),
        (date(2021, 1, 25), date(2021, 2, 19)),
        (date(2024, 2, 5), date(2024, 3, 1)),
    ],
)
def test_fifteen_business_days_over_a_holiday(start: date, found: date):
    day = add_business_days(start, 15)
    assert (day.date, day.provisional) == (found, False)


@pytest.mark.parametrize("worked", [date(2026, 2, 14), date(2026, 9, 20), date(2026, 10, 10), date(2001, 12, 29)])
def test_a_make_up_weekend_is_worked(worked: date):
    assert worked.weekday() >= 5
    assert worked in business_days_of(worked.year)


@pytest.mark.parametrize("off", [date(2026, 2, 23), date(2026, 10, 7), date(2026, 9, 25), date(2026, 1, 1)])
def test_a_holiday_on_a_weekday_is_off(off: date):
    assert off.weekday() < 5
    assert off not in business_days_of(off.year)


@repeatable
@given(days, st.integers(1, 40))
def test_counting_goes_day_by_day_from_the_next_day(start: date, n: int):
    assert add_business_days(start, n).date == oracle.nth_business_day_after(start, n)


@repeatable
@given(days, st.integers(1, 20))
def test_the_last_day_whose_nth_business_day_is_in_time(limit: date, n: int):
    found = last_day_with_nth_business_day_by(limit, n).date
    assert (
        oracle.nth_business_day_after(found, n) <= limit < oracle.nth_business_day_after(found + timedelta(days=1), n)
    )


def test_the_years_from_the_first_known_to_the_newest_notice_are_announced():
    assert min(ANNOUNCED_YEARS) == 1950
    assert {2001, 2026} <= ANNOUNCED_YEARS
    assert 2101 not in ANNOUNCED_YEARS


@pytest.mark.parametrize(
    ("start", "provisional"),
    [
        (date(1949, 11, 1), True),
        (date(1949, 12, 31), False),
        (date(2026, 12, 30), False),
        (date(2026, 12, 31), True),
        (date(2101, 6, 1), True),
    ],
)
def test_a_day_counted_in_an_unannounced_year_is_provisional(start: date, provisional: bool):
    assert add_business_days(start, 1).provisional == provisional


@pytest.mark.parametrize(
    ("limit", "provisional"), [(date(2026, 12, 31), False), (date(2027, 1, 1), True), (date(2027, 1, 4), True)]
)
def test_a_limit_in_an_unannounced_year_is_provisional(limit: date, provisional: bool):
    assert last_day_with_nth_business_day_by(limit, 5).provisional == provisional


def test_the_ends_of_the_calendar_hold():
    assert add_business_days(date(9999, 12, 30), 15).date == date.max
    assert last_day_with_nth_business_day_by(date(1, 1, 3), 5).date == date.min


@pytest.mark.parametrize("n", [0, -1])
def test_counting_begins_with_one(n: int):
    with pytest.raises(ValueError, match="from 1"):
        add_business_days(date(2026, 1, 1), n)
    with pytest.raises(ValueError, match="from 1"):
        last_day_with_nth_business_day_by(date(2026, 1, 1), n)
