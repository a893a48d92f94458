"""How money, moments, days and icons are shown, on every page alike."""

from datetime import date, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide import _render_icon

from core.clock import SERVICE_ZONE_LABEL
from core.email_addresses import shown_email
from core.money import format_money
from core.text import drop_turning, isolated

register = template.Library()


@register.filter
def money(minor: int | None, currency: str) -> str:
    """Minor units for a reader: "CNY 1,200.00"; empty for None."""
    return "" if minor is None else format_money(minor, currency)


@register.filter
def moment(at: datetime | None) -> str:
    """A moment in the reader's zone to the minute: "2026-11-23 17:00"; empty for None."""
    return f"{_local(at):%Y-%m-%d %H:%M}" if at else ""


def _local(at: datetime) -> datetime:
    """In the reader's zone; as it is where that zone's calendar ends (9999-12-31, as some certificates end)."""
    try:
        return timezone.localtime(at)
    except OverflowError:
        return at


@register.filter
def as_time(text: str) -> datetime:
    """A moment that an email's row keeps in ISO 8601."""
    return datetime.fromisoformat(text)


@register.filter
def day(on: date | None) -> str:
    """A day as it is, in ISO writing; empty for None."""
    return on.isoformat() if on else ""


@register.filter
def email(address: str | None) -> str:
    """An email address for a reader: its domain in its own script; empty for None."""
    return shown_email(address) if address else ""


@register.filter
def bdi(text: Any) -> SafeString:
    """What a person typed, beside other words: its direction ends where it ends."""
    return format_html("<bdi>{}</bdi>", text)


@register.filter
def isolate(text: str) -> str:
    """A text inside a sentence of plain words: its direction ends where it ends."""
    return isolated(text)


@register.filter
def unturned(text: Any) -> str:
    """What a person typed, where no markup can isolate it: without the characters that change the direction."""
    return drop_turning(str(text))


@register.filter
def day_or_moment(when: date | datetime | None) -> str:
    """A day as it is, a moment in the reader's zone."""
    return moment(when) if isinstance(when, datetime) else day(when)


@register.simple_tag
def service_zone() -> str:
    """The zone in which the refund rules count days, with its offset."""
    return SERVICE_ZONE_LABEL


@register.simple_tag
def icon(name: str) -> SafeString:
    """A Lucide icon as inline SVG, for marks that a word stands beside: hidden from screen readers."""
    return _svg(name)


@lru_cache
def _svg(name: str) -> SafeString:
    return mark_safe(_render_icon(name, 16, **{"class": "icon", "aria-hidden": "true"}))  # noqa: S308 - the library's own files


def chip(word: Any, mark: tuple[str, str]) -> SafeString:
    """A state as people see it: an icon and a word. `mark` is its tone, one of the console's colours, and its icon."""
    tone, name = mark
    return format_html('<span class="chip chip--{}">{}{}</span>', tone, icon(name), word)
