"""Business days of mainland China, make-up workdays included.

The days come from the `holidays` package, which copies the State Council's yearly notices. A year without one knows
its statutory days only, and the package says nothing about that: such years are *provisional* here, as are the years
that the package does not know at all (there every Monday to Friday counts).
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache

import holidays

from core.clock import shift_day

CALENDAR_VERSION = f"CN holidays {holidays.__version__}"

_CHINA = holidays.country_holidays("CN")
# The package keeps what the notices moved, year by year; years after the newest one have had no notice yet.
ANNOUNCED_YEARS = frozenset(range(_CHINA.start_year, max(_CHINA.special_public_holidays) + 1))


def is_announced(day: date) -> bool:
    """Whether the business days up to a day, counted from one shortly before it, are known for certain."""
    return day.year in ANNOUNCED_YEARS


@dataclass(frozen=True, slots=True)
class BusinessDay:
    """A day found by counting business days; provisional when a year counted in has no announced calendar."""

    date: date
    provisional: bool


def add_business_days(day: date, n: int) -> BusinessDay:
    """The n-th business day after a day, counting from the next day on; n is 1 or more."""
    _require_positive(n)
    first = shift_day(day, 1)
    year, days = first.year, business_days_of(first.year)
    index = bisect_right(days, day) + n - 1
    while index >= len(days):
        if year == MAXYEAR:
            return BusinessDay(date.max, provisional=True)
        index -= len(days)
        year += 1
        days = business_days_of(year)
    return BusinessDay(days[index], provisional=_is_provisional(first.year, year))


def last_day_with_nth_business_day_by(limit_day: date, n: int) -> BusinessDay:
    """The last calendar day whose n-th business day after it is `limit_day` or earlier; n is 1 or more."""
    _require_positive(n)
    year, days = limit_day.year, business_days_of(limit_day.year)
    index = bisect_right(days, limit_day) - n
    while index < 0:
        if year == MINYEAR:
            return BusinessDay(date.min, provisional=True)
        year -= 1
        days = business_days_of(year)
        index += len(days)
    # Between this day and the next one lies the n-th business day counted back from the limit.
    return BusinessDay(shift_day(days[index], -1), provisional=_is_provisional(year, limit_day.year))


@lru_cache(maxsize=512)
def business_days_of(year: int) -> tuple[date, ...]:
    """Every business day of a year, in order."""
    # The next year's notice may make workdays of this December's weekends.
    calendar = holidays.country_holidays("CN", years=(year, year + 1))
    start, end = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    return tuple(filter(calendar.is_working_day, map(date.fromordinal, range(start, end + 1))))


def _is_provisional(first_year: int, last_year: int) -> bool:
    return not ANNOUNCED_YEARS.issuperset(range(first_year, last_year + 1))


def _require_positive(n: int) -> None:
    if n < 1:
        raise ValueError("business days are counted from 1")
