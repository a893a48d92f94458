"""Days in a channel's books (domain.md, Money): Asia/Shanghai, Stripe's UTC."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from core.clock import SERVICE_ZONE
from payments.states import Channel


def zone_of(channel: str) -> tzinfo:
    """The zone in which a channel's books count days."""
    return UTC if channel == Channel.CARD else SERVICE_ZONE


def zone_name(channel: str) -> str:
    """What to write beside a day of a channel's books."""
    return "UTC" if channel == Channel.CARD else SERVICE_ZONE.key


def books_day(channel: str, at: datetime) -> date:
    """The day of the channel's books on which an aware moment lies."""
    return at.astimezone(zone_of(channel)).date()


def span_of(channel: str, day: date) -> tuple[datetime, datetime]:
    """The first moment of a day of the channel's books and that of the next one."""
    zone = zone_of(channel)
    return datetime.combine(day, time.min, zone), datetime.combine(day + timedelta(days=1), time.min, zone)
