"""The customer's account balance: what is on it, and every entry with its date and cause."""

from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.clock import zone_label
from core.money import format_money
from core.paging import page_of
from core.requests import SignedInRequest
from payments.models import LedgerAccount, LedgerEntry
from payments.states import LedgerKind


@dataclass(frozen=True, slots=True)
class Line:
    """One entry from where its account's owner stands: what came in, or went out."""

    entry: LedgerEntry
    is_in: bool

    @property
    def amount(self) -> str:
        """With its sign: a plus, or the minus sign that is as wide."""
        return f"{'+' if self.is_in else '−'} {format_money(self.entry.amount, self.entry.currency)}"

    @property
    def direction(self) -> str:
        return _("in") if self.is_in else _("out")


@require_safe
def balance(request: SignedInRequest) -> HttpResponse:
    accounts = LedgerAccount.objects.filter(kind=LedgerKind.BALANCE, owner=request.user).order_by("currency")
    ids = {account.pk for account in accounts}
    entries = LedgerEntry.objects.filter(Q(credit__in=ids) | Q(debit__in=ids)).select_related("payout", "payment")
    page = page_of(entries, request.GET)
    context = {
        "accounts": accounts,
        "page": page,
        "zone": zone_label(timezone.now()),
        "lines": [Line(entry, entry.credit_id in ids) for entry in page.rows],
    }
    return render(request, "payments/balance.html", context)
