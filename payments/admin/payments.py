"""Money that came in, and what of it went back."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from core.desk.lists import accounts_named
from core.desk.marks import Fact, facts, money_mark, page_link, time_mark
from core.desk.pages import Desk
from core.models import User
from payments.admin.bank_accounts import ACCOUNT_WORDS, RecordAccount, account_facts
from payments.admin.marks import payout_chip
from payments.admin.payouts import ChannelFilter
from payments.models import Payment
from payments.states import Channel


# An account number that was typed stands on no error page.
@method_decorator(sensitive_post_parameters("holder", "number"), name="_act_view")
class PaymentAdmin(Desk):
    page_template = "admin/payments/payment/page.html"
    page_select_related = ("account",)
    acts = (RecordAccount,)
    act_words = ACCOUNT_WORDS
    list_display = ("name", "who", "channel_name", "money", "back", "paid")
    list_filter = (ChannelFilter,)
    list_read_along = ("account",)
    ordering = ("-id",)
    search_help_text = _("A payment's reference, or a user name.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        # The index of references begins with the channel.
        known = Q(reference=needle, channel__in=Channel.values)
        return queryset.filter(known | Q(account__in=accounts_named(needle)))

    @admin.display(description=_("payment"))
    def name(self, payment: Payment) -> str:
        return str(payment)

    @admin.display(description=_("account"))
    def who(self, payment: Payment) -> str:
        return str(payment.account)

    @admin.display(description=_("channel"))
    def channel_name(self, payment: Payment) -> str:
        return payment.get_channel_display()

    @admin.display(description=_("amount"))
    def money(self, payment: Payment) -> Any:
        return money_mark(payment.amount, payment.currency)

    @admin.display(description=_("ordered back"))
    def back(self, payment: Payment) -> Any:
        return money_mark(payment.ordered_back, payment.currency)

    @admin.display(description=_("paid"))
    def paid(self, payment: Payment) -> Any:
        return time_mark(payment.paid_at)

    def page(self, thing: Payment, *, by: User, at: datetime) -> dict[str, Any]:
        payouts = thing.payouts.order_by("id")
        return {
            "facts": [
                *facts(thing, by, "account", "channel"),
                Fact(gettext("Amount"), money_mark(thing.amount, thing.currency)),
                Fact(gettext("Ordered back"), money_mark(thing.ordered_back, thing.currency)),
                *facts(thing, by, "reference", "paid_at"),
                *account_facts(thing),
            ],
            "payouts": [{"link": page_link(each, by), "chip": payout_chip(each), "payout": each} for each in payouts],
        }
