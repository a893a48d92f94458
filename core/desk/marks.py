"""How the desk shows what a row holds: a state as icon and word, a field as label and text."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from core.models import User
from core.money import format_money
from core.templatetags.console_format import moment

EMPTY = "–"


@dataclass(frozen=True)
class Fact:
    """One line of a page: a label and what stands there."""

    label: str
    value: Any


def time_mark(at: datetime | None) -> SafeString | str:
    """A moment in the reader's zone, with the zone in its tooltip."""
    if at is None:
        return EMPTY
    local = timezone.localtime(at)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{local:%Z (UTC%z)}", moment(at))


def money_mark(minor: int, currency: str) -> SafeString:
    return format_html('<span class="amount">{}</span>', format_money(minor, currency))


def mono(text: str) -> SafeString | str:
    return format_html('<span class="mono">{}</span>', text) if text else EMPTY


def page_link(thing: Model | None, by: User, text: Any = "") -> Any:
    """A link to the desk's page of a row, for whoever may see that page; else the text alone."""
    if thing is None:
        return EMPTY
    app, model = thing._meta.app_label, thing._meta.model_name
    shown = text or str(thing)
    if not (by.has_perm(f"{app}.view_{model}") or by.has_perm(f"{app}.change_{model}")):
        return shown
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{app}_{model}_change", args=[thing.pk]), shown)


def found_by(label: str, key: str) -> str:
    """The address of the desk's list of a model (`app.model`) that finds a row by its key; empty for an unknown one.

    Lower floors know of the rows above them by name and reference only.
    """
    try:
        address = reverse(f"admin:{label.replace('.', '_')}_changelist")
    except NoReverseMatch:
        return ""
    return f"{address}?{urlencode({'q': key})}"


def facts(thing: Model, by: User, *names: str) -> list[Fact]:
    """These fields of a row, each with its label, as people read them."""
    return [_fact(thing, thing._meta.get_field(name), by) for name in names]


def _fact(thing: Any, field: Any, by: User) -> Fact:
    value = getattr(thing, field.name)
    if value and field.choices:
        value = getattr(thing, f"get_{field.name}_display")()
    return Fact(capfirst(str(field.verbose_name)), shown(value, by))


def shown(value: Any, by: User) -> Any:
    """A value as people read it; rows that they may see as links."""
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, datetime):
        return time_mark(value)
    if isinstance(value, date):
        return value.isoformat()
    return page_link(value, by) if isinstance(value, Model) else str(value)
