"""Vouchers: made by staff for one account each, changed while nobody has used them."""

import re
import secrets
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Upper
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from certificates.models import Voucher
from core.desk.changes import AuditedChanges
from core.desk.fields import PLAIN, AccountField, AmountField, CurrencyField, read_amount
from core.desk.lists import ListFilter, RowForm, accounts_named
from core.desk.marks import EMPTY, money_mark, mono, time_mark
from core.forms import CodeField
from core.models import User
from core.money import plain_amount
from core.templatetags.console_format import chip

LARGEST_VOUCHER = 10**12  # minor units
LONGEST_TERM = timedelta(days=3660)
# Without the letters and digits that people take for one another.
CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{3,39}")


# Said once, when it is made.
FIXED = ("account", "code", "currency")
# Of one that is only looked at: an amount as people read it.
SHOWN = ("account", "code", "money", "expires_at", "used_for")


def new_code() -> str:
    """Sixteen random characters in groups of four."""
    return "-".join("".join(secrets.choice(CODE_ALPHABET) for _ in range(4)) for _ in range(4))


class VoucherForm(RowForm):
    """For whom and in which currency is said once; how much and until when may be changed while it is unused."""

    account = AccountField()
    currency = CurrencyField()
    amount = AmountField(label=_("Amount"), help_text=_("In whole units: 100.00. It pays for one order."))
    expires_at = forms.DateTimeField(
        label=_("Expires"),
        help_text=_("As 2027-01-31 23:59, in your time zone."),
        widget=forms.DateTimeInput(format="%Y-%m-%d %H:%M", attrs=PLAIN),
        error_messages={"invalid": _("Write it as 2027-01-31 23:59.")},
    )
    code = CodeField(
        label=_("Code"),
        required=False,
        max_length=40,
        help_text=_("4 to 40 letters, digits and -. Left empty, one is made."),
        widget=forms.TextInput(attrs=PLAIN),
    )

    # Who fills it in.
    by: User | None = None

    class Meta:
        model = Voucher
        fields = ("account", "currency", "amount", "expires_at", "code")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["amount"] = plain_amount(self.instance.amount, self.instance.currency)

    def clean_account(self) -> Any:
        if self.by and self.cleaned_data["account"] == self.by:
            raise ValidationError(_("Nobody gives a voucher to themselves: somebody else does it."))
        return self.cleaned_data["account"]

    def clean_code(self) -> str:
        code = self.cleaned_data["code"].upper() or new_code()
        if not CODE.fullmatch(code):
            raise ValidationError(_("Use 4 to 40 letters, digits and -, beginning with a letter or digit."))
        if Voucher.objects.alias(upper=Upper("code")).filter(upper=code).exists():
            raise ValidationError(_("Another voucher has this code already."))
        return code

    def clean_expires_at(self) -> Any:
        at, now = self.cleaned_data["expires_at"], timezone.now()
        if at <= now:
            raise ValidationError(_("This moment has passed already."))
        if at > now + LONGEST_TERM:
            raise ValidationError(_("This is more than ten years away."))
        return at

    def clean(self) -> dict[str, Any]:
        super().clean()
        currency = self.cleaned_data.get("currency", self.instance.currency if self.instance.pk else "")
        self.cleaned_data["amount"] = read_amount(self, "amount", currency, most=LARGEST_VOUCHER)
        return self.cleaned_data

    def _get_validation_exclusions(self) -> set[str]:
        """Where the currency is wrong, nobody can say yet what the amount is."""
        excluded = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | ({"amount"} if "currency" in self.errors else set())


class UseFilter(ListFilter):
    title = _("use")
    parameter_name = "use"

    def known(self) -> list[tuple[str, Any]]:
        return [("open", _("Not used yet")), ("used", _("Used")), ("expired", _("Expired unused"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        now = timezone.now()
        conditions = {
            "open": Q(order=None, expires_at__gt=now),
            "used": Q(order__isnull=False),
            "expired": Q(order=None, expires_at__lte=now),
        }
        return queryset.filter(conditions[value])


class VoucherAdmin(AuditedChanges):
    form = VoucherForm
    list_display = ("shown_code", "account", "money", "ends", "state")
    list_filter = (UseFilter,)
    list_read_along = ("account", "order")
    ordering = ("-id",)
    search_help_text = _("A voucher's code, or a user name.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        coded = queryset.alias(upper=Upper("code"))
        return coded.filter(Q(upper=needle.upper()) | Q(account__in=accounts_named(needle)))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What an order was paid with stays as it was."""
        is_open = obj is None or obj.order_id is None
        return is_open and super().has_change_permission(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        # The class is made anew for each request.
        form.by = request.user  # type: ignore[attr-defined]
        return form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return VoucherForm.Meta.fields
        return (
            ("account", "code", "currency", "amount", "expires_at")
            if self.has_change_permission(request, obj)
            else SHOWN
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return FIXED if self.has_change_permission(request, obj) else SHOWN

    def detail_of(self, obj: Voucher) -> dict[str, Any]:
        return {
            "account": obj.account.username,
            "amount": obj.amount,
            "currency": obj.currency,
            "expires_at": obj.expires_at.isoformat(),
        }

    @admin.display(description=_("code"))
    def shown_code(self, voucher: Voucher) -> Any:
        return mono(voucher.code)

    @admin.display(description=_("amount"))
    def money(self, voucher: Voucher) -> Any:
        return money_mark(voucher.amount, voucher.currency)

    @admin.display(description=_("expires"))
    def ends(self, voucher: Voucher) -> Any:
        return time_mark(voucher.expires_at)

    @admin.display(description=_("state"))
    def state(self, voucher: Voucher) -> Any:
        if voucher.order_id:
            return chip(_("Used"), ("ended", "circle-check"))
        if voucher.expires_at <= timezone.now():
            return chip(_("Expired"), ("bad", "clock-alert"))
        return chip(_("Open"), ("ok", "ticket"))

    @admin.display(description=_("used for"))
    def used_for(self, voucher: Voucher) -> str:
        return str(voucher.order or EMPTY)
