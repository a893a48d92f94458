"""Moments of the demo, told as so many days ago at an hour of the service's clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from core.clock import SERVICE_ZONE, service_day, shift_day


@dataclass(frozen=True)
class Days:
    """Counts back from the service's day of `now`."""

    now: datetime

    def ago(self, days: int, hour: int, minute: int = 0) -> datetime:
        """In UTC; from day 1 on it lies before `now` at whatever hour the demo is loaded."""
        day = shift_day(service_day(self.now), -days)
        # Not every day's acts at the same minute: nobody works like that.
        at = time(hour, (minute + 17 * days) % 60)
        return datetime.combine(day, at, tzinfo=SERVICE_ZONE).astimezone(UTC)
