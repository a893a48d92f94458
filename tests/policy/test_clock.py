"""The service's zone and its days."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SERVICE_ZONE, as_utc, in_service_zone, service_day, shift_day, start_of_day
from tests.policy.strategies import repeatable

moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-08-31T15:59:59.999999+00:00", date(2026, 8, 31)),
        ("2026-08-31T16:00:00+00:00", date(2026, 9, 1)),
        ("2026-08-31T09:00:00-07:00", date(2026, 9, 1)),
        # Summer time, until 1991.
        ("1990-06-30T14:59:59+00:00", date(1990, 6, 30)),
        ("1990-06-30T15:00:00+00:00", date(1990, 7, 1)),
    ],
)
def test_a_day_begins_at_midnight_in_shanghai(moment: str, day: date, reader_zone: ZoneInfo):
    assert service_day(datetime.fromisoformat(moment).astimezone(reader_zone)) == day


@repeatable
@given(moments)
def test_every_moment_lies_in_its_day(moment: datetime):
    day = service_day(moment)
    assert as_utc(start_of_day(day)) <= moment < as_utc(start_of_day(shift_day(day, 1)))


def test_days_stop_at_the_ends_of_the_calendar():
    assert shift_day(date(9999, 12, 20), 28) == date.max
    assert shift_day(date(1, 1, 5), -15) == date.min
    assert shift_day(date(2026, 2, 28), 1) == date(2026, 3, 1)


def test_a_moment_past_the_calendar_of_the_zone_stays_as_it_is():
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert in_service_zone(last) == last
    assert service_day(last) == date.max


def test_instants_are_compared_where_summer_time_repeats_an_hour():
    first, second = (datetime(1991, 9, 15, 1, 30, fold=fold, tzinfo=SERVICE_ZONE) for fold in (0, 1))
    assert as_utc(second) - as_utc(first) == timedelta(hours=1)


def test_a_moment_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="offset"):
        as_utc(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    assert as_utc(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))) == datetime(2025, 12, 31, 16, tzinfo=UTC)
