"""What was done: the audit trail, to read."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import ListFilter, accounts_named
from core.desk.marks import Fact, facts, found_by, mono, time_mark
from core.desk.pages import Desk
from core.models import AuditEntry, User


def audited_models() -> dict[str, str]:
    """The models whose rows staff act on, by the name the trail has for them, with the word for one row."""
    models = [model for model, desk in admin.site._registry.items() if getattr(desk, "is_audited", False)]
    return {model._meta.label_lower: str(model._meta.verbose_name) for model in models}


class SubjectFilter(ListFilter):
    title = _("of what")
    parameter_name = "kind"

    def known(self) -> list[tuple[str, Any]]:
        return [(label, capfirst(word)) for label, word in audited_models().items()]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(subject__begins_with=f"{value}:")


class WhoFilter(ListFilter):
    title = _("who")
    parameter_name = "who"

    def known(self) -> list[tuple[str, Any]]:
        return [("staff", _("Staff")), ("customers", _("Customers")), ("console", _("The console itself"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        conditions = {"staff": Q(by__is_staff=True), "customers": Q(by__is_staff=False), "console": Q(by=None)}
        return queryset.filter(conditions[value])


class WhenFilter(ListFilter):
    title = _("when")
    parameter_name = "days"

    def known(self) -> list[tuple[str, Any]]:
        return [("1", _("Last 24 hours")), ("7", _("Last 7 days")), ("30", _("Last 30 days"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(at__gte=timezone.now() - timedelta(days=int(value)))


class AuditEntryAdmin(Desk):
    list_display = ("number", "when", "doer", "act", "what", "told")
    list_filter = (WhenFilter, WhoFilter, SubjectFilter)
    list_read_along = ("by",)
    page_select_related = ("by",)
    ordering = ("-id",)
    search_help_text = _("A reference as it stands here (RF-…, cas-…, a payout's), or a user name.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        spelled = {needle, needle.upper(), needle.lower()}
        subjects = [f"{label}:{name}" for label in audited_models() for name in sorted(spelled)]
        return queryset.filter(Q(subject__in=subjects) | Q(by__in=accounts_named(needle)))

    @admin.display(description=_("number"))
    def number(self, entry: AuditEntry) -> str:
        return str(entry.pk)

    @admin.display(description=_("when"))
    def when(self, entry: AuditEntry) -> Any:
        return time_mark(entry.at)

    @admin.display(description=_("who"))
    def doer(self, entry: AuditEntry) -> Any:
        return entry.by or gettext("the console")

    @admin.display(description=_("of what"))
    def what(self, entry: AuditEntry) -> Any:
        return subject_link(entry.subject)

    @admin.display(description=_("note"))
    def told(self, entry: AuditEntry) -> str:
        return entry.note if len(entry.note) <= 80 else f"{entry.note[:79]}…"

    def page(self, thing: AuditEntry, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "title": f"{thing.act} {thing.subject.partition(':')[2]}",
            "facts": [
                *facts(thing, by, "at"),
                Fact(gettext("Who"), thing.by or gettext("the console")),
                *facts(thing, by, "act"),
                Fact(gettext("Of what"), subject_link(thing.subject)),
                *facts(thing, by, "note"),
            ],
            "texts": [(gettext("Detail"), json.dumps(thing.detail, indent=2, sort_keys=True, ensure_ascii=False))],
            "history": (),
        }


def subject_link(subject: str) -> Any:
    """The row that an entry speaks of, as a link to the list that finds it."""
    label, _colon, name = subject.partition(":")
    word = audited_models().get(label, label)
    address = found_by(label, name)
    if not address:
        return subject
    return format_html('<span class="muted">{}</span> <a href="{}">{}</a>', word, address, mono(name))
