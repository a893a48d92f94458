"""How a difference is shown: what both sides say, and of which day."""

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from core.desk.marks import EMPTY, Fact, money_mark, mono
from payments.days import zone_name
from payments.models import Difference


def day_mark(difference: Difference) -> SafeString:
    """A day of the channel's books, and in which zone they count days."""
    zone = zone_name(difference.channel)
    return format_html('<span class="nowrap">{}</span> <span class="muted">{}</span>', difference.day.isoformat(), zone)


def side(amount: int | None, difference: Difference) -> Any:
    return EMPTY if amount is None else money_mark(amount, difference.currency)


def money_facts(difference: Difference) -> list[Fact]:
    """What both sides say, and of which day."""
    return [
        Fact(gettext("Kind"), difference.get_kind_display()),
        Fact(gettext("Channel"), difference.get_channel_display()),
        Fact(gettext("Day in the channel's books"), day_mark(difference)),
        Fact(gettext("Amount there"), side(difference.amount, difference)),
        Fact(gettext("Amount here"), side(difference.our_amount, difference)),
        Fact(gettext("Outside reference"), mono(difference.external_reference)),
    ]
