"""Orders with what was paid and bought, to read."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.admin.marks import certificate_chip
from certificates.models import Certificate, Order, Share
from core.desk.lists import accounts_named
from core.desk.marks import Fact, facts, money_mark, page_link, time_mark
from core.desk.pages import Desk
from core.models import User


class OrderAdmin(Desk):
    page_template = "admin/certificates/order/page.html"
    page_select_related = ("account",)
    # Customers buy; the trail speaks of it.
    is_audited = True
    act_words = {"bought": _("Bought")}

    list_display = ("number", "who", "paid", "listed", "voucher", "money")
    list_read_along = ("account",)
    ordering = ("-id",)
    search_help_text = _("The beginning of an order number, or a user name.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        return queryset.filter(Q(number__begins_with=needle) | Q(account__in=accounts_named(needle)))

    @admin.display(description=_("account"))
    def who(self, order: Order) -> str:
        return str(order.account)

    @admin.display(description=_("paid at"))
    def paid(self, order: Order) -> Any:
        return time_mark(order.paid_at)

    @admin.display(description=_("list price"))
    def listed(self, order: Order) -> Any:
        return money_mark(order.list_amount, order.currency)

    @admin.display(description=_("voucher"))
    def voucher(self, order: Order) -> Any:
        return money_mark(order.voucher_amount, order.currency)

    @admin.display(description=_("paid"))
    def money(self, order: Order) -> Any:
        return money_mark(order.paid_amount, order.currency)

    def page(self, thing: Order, *, by: User, at: datetime) -> dict[str, Any]:
        payments = [link.payment for link in thing.order_payments.select_related("payment").order_by("payment_id")]
        certificates = list(thing.certificates.select_related("product").order_by("position"))
        return {
            "facts": [
                *facts(thing, by, "account", "paid_at", "policy"),
                Fact(gettext("List price"), money_mark(thing.list_amount, thing.currency)),
                Fact(gettext("Voucher (not refunded)"), money_mark(thing.voucher_amount, thing.currency)),
                Fact(gettext("Paid"), money_mark(thing.paid_amount, thing.currency)),
            ],
            "payments": [
                {
                    "payment": payment,
                    "link": page_link(payment, by),
                    "amount": money_mark(payment.amount, payment.currency),
                    "back": money_mark(payment.ordered_back, payment.currency),
                }
                for payment in payments
            ],
            "certificates": _rows(certificates, payments, by, at),
        }


def _rows(certificates: list[Certificate], payments: list[Any], by: User, at: datetime) -> list[dict[str, Any]]:
    """The order's certificates, each with what of every payment paid for it."""
    found = Share.objects.filter(certificate__in=certificates)
    shares = {(share.certificate_id, share.payment_id): share.amount for share in found}
    return [
        {
            "certificate": each,
            "link": page_link(each, by, each.name),
            "chip": certificate_chip(each, at),
            "shares": [money_mark(shares.get((each.pk, payment.pk), 0), each.currency) for payment in payments],
            "paid": money_mark(each.paid_part, each.currency),
            "voucher": money_mark(each.voucher_part, each.currency),
        }
        for each in certificates
    ]
