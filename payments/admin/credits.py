"""Crediting a balance: a page that asks, one that shows what will be, and only that one acts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import ActForm, long_text
from core.desk.fields import AccountField, AmountField, CurrencyField, read_amount
from core.desk.marks import Fact, money_mark
from core.desk.pages import SAFE, staff_of
from core.email_addresses import shown_email
from core.models import User
from core.money import format_money
from payments.balances import LARGEST_CREDIT, balance_of, credit_balance, may_credit
from payments.exceptions import BalanceChanged, NotYours

TITLE = _("Credit a balance")


class CreditForm(ActForm):
    account = AccountField()
    currency = CurrencyField()
    amount = AmountField(
        label=_("Amount"),
        help_text=_("In whole units: 500.00."),
        error_messages={"required": _("Enter an amount above 0.")},
    )
    note = long_text(
        _("Note"),
        limit=500,
        help_text=_("Why, and where the money is to be found. For staff; it stays in the audit trail."),
        missing=_("Write why this is credited: nobody finds the money again without it."),
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = by

    def clean_account(self) -> User | None:
        account = self.cleaned_data["account"]
        if account == self.by:
            raise forms.ValidationError(_("Nobody credits their own balance: somebody else does it."))
        return account

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        cleaned["amount"] = read_amount(self, "amount", cleaned.get("currency", ""), most=LARGEST_CREDIT)
        return cleaned

    def hide(self) -> None:
        """What was typed goes along with the page that asks for the last word, and is not typed again there."""
        for field in self.fields.values():
            field.widget = forms.HiddenInput()


@dataclass(frozen=True)
class Credit:
    """One credit as its page shows it before it is made."""

    account: User
    currency: str
    amount: int
    note: str
    balance: int

    @property
    def seen(self) -> str:
        """What the page showed, in short: another credit, or one to another balance, has not been seen."""
        return f"{self.account.pk}:{self.currency}:{self.amount}:{self.balance}"

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)


def credit_of(form: CreditForm) -> Credit:
    typed = form.cleaned_data
    account, currency = typed["account"], typed["currency"]
    return Credit(account, currency, typed["amount"], typed["note"], balance_of(account.pk, currency))


def credit_view(desk: Any, request: HttpRequest) -> HttpResponse:
    """GET asks; a POST shows what will be, and the POST of that page does it. 403 without the right."""
    by = staff_of(request)
    if not may_credit(by) or not desk.has_view_permission(request):
        raise PermissionDenied
    if request.method in SAFE:
        return _ask(desk, request, CreditForm(by=by))
    if request.method != "POST":
        return HttpResponseNotAllowed([*sorted(SAFE), "POST"])
    form = CreditForm(request.POST, by=by)
    if not form.is_valid():
        return _ask(desk, request, form, status=422)
    credit = credit_of(form)
    if form.cleaned_data["seen"] != credit.seen:
        return _show(desk, request, form, credit)
    return _credit(desk, request, form, credit, at=timezone.now())


def _credit(desk: Any, request: HttpRequest, form: CreditForm, credit: Credit, *, at: datetime) -> HttpResponse:
    by = staff_of(request)
    try:
        account = credit_balance(
            credit.account,
            credit.amount,
            credit.currency,
            seen=credit.balance,
            by=by,
            at=at,
            note=credit.note,
        )
    except NotYours as error:
        raise PermissionDenied from error
    except BalanceChanged:
        return _show(desk, request, form, credit_of(form))
    told = {"money": credit.money, "account": credit.account}
    messages.success(request, gettext("%(money)s are credited to the balance of %(account)s.") % told)
    return HttpResponseRedirect(reverse("admin:payments_ledgeraccount_change", args=[account.pk]))


def _ask(desk: Any, request: HttpRequest, form: CreditForm, *, status: int = 200) -> HttpResponse:
    context = {"title": TITLE, "act": {"submit": _("Next")}, "form": form, "page_address": _list_address()}
    return desk.answer(request, "admin/payments/ledgeraccount/credit.html", context, status=status)


def _show(desk: Any, request: HttpRequest, form: CreditForm, credit: Credit) -> HttpResponse:
    """What will be. Where another page was seen, the balance has changed since, or was credited by it already."""
    is_overtaken = bool(form.cleaned_data["seen"])
    form = CreditForm({**request.POST.dict(), "seen": credit.seen}, by=form.by)
    form.hide()
    context = {
        "title": TITLE,
        "act": {"submit": gettext("Credit %(money)s") % {"money": credit.money}},
        "form": form,
        "page_address": _list_address(),
        "notice": _overtaken() if is_overtaken else "",
        "facts": _facts(credit),
        "money": _money(credit),
    }
    return desk.answer(
        request, "admin/payments/ledgeraccount/credit.html", context, status=409 if is_overtaken else 200
    )


def _overtaken() -> str:
    return gettext(
        "Nothing was credited now: the balance has changed since the page was opened. "
        "Look whether this credit stands in it already."
    )


def _facts(credit: Credit) -> list[Fact]:
    return [
        Fact(gettext("Account"), f"{credit.account.username} · {credit.account}"),
        Fact(gettext("Email"), shown_email(credit.account.email) or "–"),
        Fact(gettext("Note"), credit.note),
    ]


def _money(credit: Credit) -> list[Fact]:
    return [
        Fact(gettext("Balance now"), money_mark(credit.balance, credit.currency)),
        Fact(gettext("Credit"), money_mark(credit.amount, credit.currency)),
        Fact(gettext("Balance afterwards"), money_mark(credit.balance + credit.amount, credit.currency)),
    ]


def _list_address() -> str:
    return reverse("admin:payments_ledgeraccount_changelist")
