"""The service's own zone, and the calendar days in it.

Stored times are UTC; every rule that speaks of days means days in `SERVICE_ZONE`.
"""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

# Past zone rules differ between machines (Shanghai had summer time until 1991): the pinned tzdata package decides.
zoneinfo.reset_tzpath(to=())
SERVICE_ZONE = zoneinfo.ZoneInfo.no_cache("Asia/Shanghai")
# As people read it. Its offset has been the same all year round since 1992.
SERVICE_ZONE_LABEL = f"{SERVICE_ZONE.key} (UTC+08:00)"


def in_service_zone(moment: datetime) -> datetime:
    """The same instant in the service's zone; left as it is where the zone's calendar ends (9999-12-31T16:00Z)."""
    try:
        return moment.astimezone(SERVICE_ZONE)
    except OverflowError:
        return moment


def service_day(moment: datetime) -> date:
    """The calendar day of an aware moment in the service's zone."""
    return in_service_zone(moment).date()


def start_of_day(day: date) -> datetime:
    """The first instant of a day of the service's zone, in that zone."""
    return datetime.combine(day, time.min, tzinfo=SERVICE_ZONE)


def shift_day(day: date, days: int) -> date:
    """The day so many calendar days later (earlier when negative), held at the calendar's ends.

    Certificates without a meaningful end carry 9999-12-31 (RFC 5280, 4.1.2.5): no reason to fail.
    """
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min


def as_utc(moment: datetime) -> datetime:
    """An aware moment in UTC, so that comparing two of them compares instants.

    Python compares two times of one zone by their wall clock, which is wrong in the hour that summer time repeats.
    Raises ValueError for a moment without an offset.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError("a moment needs an offset")
    return moment.astimezone(UTC)


def zone_label(at: datetime) -> str:
    """The reader's zone as its offset at `at`: "UTC+08:00"."""
    offset = f"{timezone.localtime(at):%z}"
    return f"UTC{offset[:3]}:{offset[3:]}"
