"""How a request's state and due day are shown."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.clock import service_day
from core.desk.marks import EMPTY
from core.templatetags.console_format import chip, icon
from refunds.admin import words
from refunds.models import RefundRequest
from refunds.rules.assess import Warning
from refunds.rules.explain import warning_in_words
from refunds.rules.policies import POLICIES
from refunds.states import UNDECIDED
from refunds.wording import STATE_MARKS

NEAR_DUE = timedelta(days=3)


def state_chip(request: RefundRequest) -> SafeString:
    return chip(words.STATES[request.state], STATE_MARKS[request.state])


def due_mark(request: RefundRequest, at: datetime) -> Any:
    """The last day for a decision; what is near or past also in words, while a decision is awaited."""
    if request.review_due is None:
        return EMPTY
    left = request.review_due - service_day(at)
    if request.state not in UNDECIDED or left > NEAR_DUE:
        return format_html('<span class="nowrap">{}</span>', request.review_due.isoformat())
    tone = "bad" if left < timedelta(0) else "near"
    shown = '<span class="nowrap">{}</span><div class="tone--{}">{}</div>'
    return format_html(shown, request.review_due.isoformat(), tone, _days_left(left.days))


def warnings_of(request: RefundRequest) -> list[str]:
    """The warnings that the request was submitted under, in words."""
    return [warning_in_words(Warning(name), POLICIES[request.policy]) for name in request.warnings]


def warning_mark(request: RefundRequest) -> Any:
    """That the request came with a warning, and which, for a list; empty where there was none."""
    if not request.warnings:
        return ""
    said = " ".join(warnings_of(request))
    shown = '<div class="tone--near" title="{}">{} {}</div>'
    return format_html(shown, said, icon("triangle-alert"), _("may expire before"))


def _days_left(days: int) -> str:
    if days == 0:
        return _("today")
    if days > 0:
        return ngettext("in %(days)s day", "in %(days)s days", days) % {"days": days}
    return ngettext("%(days)s day late", "%(days)s days late", -days) % {"days": -days}
