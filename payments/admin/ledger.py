"""The books, to read: accounts, and the transfers between them."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import ListFilter
from core.desk.marks import EMPTY, Fact, facts, money_mark, time_mark
from core.desk.pages import Desk, staff_of
from core.models import User
from payments.admin.credits import credit_view
from payments.balances import may_credit
from payments.models import LedgerAccount, LedgerEntry
from payments.states import Cause, Channel, LedgerKind

SHOWN_ENTRIES = 50
# As a balance's own text has it: its kind, its owner's number and its currency.
_NAME_IN_TRAIL = re.compile(r"balance:([0-9]{1,18}):([A-Z]{3})")


def account_name(account: LedgerAccount) -> str:
    """An account in words: its kind, and whose or which channel's it is."""
    channel = dict(Channel.choices).get(account.channel, account.channel)
    return " · ".join(filter(None, [str(account.get_kind_display()), str(account.owner or ""), str(channel)]))


@dataclass(frozen=True)
class EntryLine:
    entry: LedgerEntry
    cause: Any
    debit: str
    credit: str
    amount: Any


def entry_lines(entries: QuerySet[LedgerEntry]) -> list[EntryLine]:
    """Transfers as lines, oldest first."""
    read_along = entries.select_related("debit__owner", "credit__owner", "by", "payout", "payment")
    return [_line(entry) for entry in read_along.order_by("id")]


def _line(entry: LedgerEntry) -> EntryLine:
    return EntryLine(
        entry,
        entry.get_cause_display(),
        account_name(entry.debit),
        account_name(entry.credit),
        money_mark(entry.amount, entry.currency),
    )


class CauseFilter(ListFilter):
    title = _("cause")
    parameter_name = "cause"

    def known(self) -> list[tuple[str, Any]]:
        return list(Cause.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(cause=value)


class KindFilter(ListFilter):
    title = _("kind")
    parameter_name = "kind"

    def known(self) -> list[tuple[str, Any]]:
        return list(LedgerKind.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(kind=value)


class LedgerEntryAdmin(Desk):
    page_select_related = ("debit__owner", "credit__owner", "payout", "payment", "by")
    list_display = ("number", "when", "cause_name", "money", "from_account", "to_account", "reference", "recorder")
    list_filter = (CauseFilter,)
    list_read_along = ("debit__owner", "credit__owner", "payout", "payment", "by")
    ordering = ("-id",)
    search_help_text = _("The reference of a refund, or the user name of a balance's owner.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if needle.upper().startswith("RF-"):
            return queryset.filter(payout__reference=needle.upper().partition("/")[0])
        accounts = LedgerAccount.objects.filter(owner__username=needle).values("pk")
        return queryset.filter(Q(debit__in=accounts) | Q(credit__in=accounts))

    @admin.display(description=_("number"))
    def number(self, entry: LedgerEntry) -> str:
        return str(entry.pk)

    @admin.display(description=_("when"))
    def when(self, entry: LedgerEntry) -> Any:
        return time_mark(entry.at)

    @admin.display(description=_("cause"))
    def cause_name(self, entry: LedgerEntry) -> str:
        return entry.get_cause_display()

    @admin.display(description=_("amount"))
    def money(self, entry: LedgerEntry) -> Any:
        return money_mark(entry.amount, entry.currency)

    @admin.display(description=_("debit"))
    def from_account(self, entry: LedgerEntry) -> str:
        return account_name(entry.debit)

    @admin.display(description=_("credit"))
    def to_account(self, entry: LedgerEntry) -> str:
        return account_name(entry.credit)

    @admin.display(description=_("reference"))
    def reference(self, entry: LedgerEntry) -> str:
        return str(entry.payout or entry.payment or "")

    @admin.display(description=_("by"))
    def recorder(self, entry: LedgerEntry) -> Any:
        return entry.by or gettext("the console")

    def page(self, thing: LedgerEntry, *, by: User, at: datetime) -> dict[str, Any]:
        line = _line(thing)
        return {
            "title": f"{line.cause} {thing.pk}",
            "facts": [
                *facts(thing, by, "at", "cause"),
                Fact(gettext("Amount"), line.amount),
                Fact(gettext("Debit"), line.debit),
                Fact(gettext("Credit"), line.credit),
                *facts(thing, by, "payout", "payment"),
                Fact(gettext("By"), thing.by or gettext("the console")),
            ],
        }


class LedgerAccountAdmin(Desk):
    is_audited = True
    act_words = {"credited": _("Credited by staff")}
    page_template = "admin/payments/ledgeraccount/page.html"
    page_select_related = ("owner",)
    list_display = ("name", "currency", "kept")
    list_filter = (KindFilter,)
    list_read_along = ("owner",)
    ordering = ("id",)
    search_help_text = _("The user name of a balance's owner, or an account as the audit trail names it.")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(partial(credit_view, self))
        return [path("credit/", view, name="payments_ledgeraccount_credit"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"may_credit": may_credit(staff_of(request)), **(extra_context or {})})

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if match := _NAME_IN_TRAIL.fullmatch(needle):
            return queryset.filter(kind=LedgerKind.BALANCE, owner=int(match[1]), currency=match[2])
        return queryset.filter(owner__username=needle)

    @admin.display(description=_("account"))
    def name(self, account: LedgerAccount) -> str:
        return account_name(account)

    @admin.display(description=_("balance"))
    def kept(self, account: LedgerAccount) -> Any:
        """Kept for customers alone; the house's accounts are the sum of their transfers."""
        return EMPTY if account.balance is None else money_mark(account.balance, account.currency)

    def page(self, thing: LedgerAccount, *, by: User, at: datetime) -> dict[str, Any]:
        newest = LedgerEntry.objects.filter(Q(debit=thing) | Q(credit=thing)).order_by("-id")
        ids = list(newest.values_list("pk", flat=True)[:SHOWN_ENTRIES])
        return {
            "title": account_name(thing),
            "facts": [*facts(thing, by, "kind", "owner", "currency"), Fact(gettext("Balance"), self.kept(thing))],
            "entries": list(reversed(entry_lines(LedgerEntry.objects.filter(pk__in=ids)))),
        }
