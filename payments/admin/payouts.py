"""The list of payouts, opening on those that wait for a person, and a payout's page."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import ListFilter, accounts_named
from core.desk.marks import Fact, facts, money_mark, mono, time_mark
from core.desk.pages import Desk, Waiting
from core.models import User
from payments.admin.acts import RecordFailed, RecordPaid
from payments.admin.ledger import entry_lines
from payments.admin.marks import payout_chip
from payments.channels import connected
from payments.models import Payment, Payout
from payments.services import may_record
from payments.states import UNDER_WAY, Channel, PayoutState

UNSETTLED = UNDER_WAY | {PayoutState.FAILED}


def waiting_for_staff() -> Q:
    """Payouts that nobody but a person moves on."""
    by_hand = [channel.value for channel in Channel if connected(channel) is None]
    return Q(state__in=sorted(UNSETTLED), channel__in=by_hand, given_up_at=None)


class StateFilter(ListFilter):
    """Opens on what waits for a person."""

    title = _("state")
    parameter_name = "state"
    default = "waiting"

    def known(self) -> list[tuple[str, Any]]:
        return [(self.default, _("Waiting for staff")), *PayoutState.choices]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(waiting_for_staff() if value == self.default else Q(state=value))


class ChannelFilter(ListFilter):
    title = _("channel")
    parameter_name = "channel"

    def known(self) -> list[tuple[str, Any]]:
        return list(Channel.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(channel=value)


class PayoutAdmin(Desk):
    """Staff record what was paid outside; `payments.services` keeps the books."""

    page_template = "admin/payments/payout/page.html"
    page_select_related = ("payment__account", "approved_by", "recorded_by")
    acts = (RecordPaid, RecordFailed)
    act_words = {"record_paid": _("Recorded as paid"), "record_failed": _("Recorded as failed")}

    list_display = ("name", "who", "channel_name", "money", "ordered", "approver", "state_chip", "outside")
    list_filter = (StateFilter, ChannelFilter)
    list_read_along = ("payment__account", "approved_by")
    search_help_text = _("The reference of a refund, an outside reference, or a user name.")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The longest waiting first, and elsewhere the newest."""
        is_waiting = request.GET.get("state", StateFilter.default) == StateFilter.default
        return ["id"] if is_waiting and not request.GET.get("q") else ["-id"]

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if needle.upper().startswith("RF-"):
            return queryset.filter(reference__begins_with=needle.upper().partition("/")[0])
        payments = Payment.objects.filter(account__in=accounts_named(needle)).values("pk")
        outside = Q(external_reference=needle, channel__in=Channel.values)
        return queryset.filter(outside | Q(reference=needle) | Q(payment__in=payments))

    @admin.display(description=_("payout"))
    def name(self, payout: Payout) -> str:
        return str(payout)

    @admin.display(description=_("account"))
    def who(self, payout: Payout) -> str:
        return str(payout.payment.account)

    @admin.display(description=_("channel"))
    def channel_name(self, payout: Payout) -> str:
        return payout.get_channel_display()

    @admin.display(description=_("amount"))
    def money(self, payout: Payout) -> Any:
        return money_mark(payout.amount, payout.currency)

    @admin.display(description=_("ordered"))
    def ordered(self, payout: Payout) -> Any:
        return time_mark(payout.ordered_at)

    @admin.display(description=_("approved by"))
    def approver(self, payout: Payout) -> Any:
        return payout.approved_by or gettext("the policy")

    @admin.display(description=_("state"))
    def state_chip(self, payout: Payout) -> Any:
        return payout_chip(payout)

    @admin.display(description=_("outside reference"))
    def outside(self, payout: Payout) -> Any:
        return mono(payout.external_reference)

    def waiting(self) -> list[Waiting]:
        return [Waiting(_("Payouts to record"), Payout.objects.filter(waiting_for_staff()))]

    # --- A payout's page ---------------------------------------------------------------------------

    def page(self, thing: Payout, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "chip": payout_chip(thing),
            "amount": money_mark(thing.amount, thing.currency),
            "facts": _facts(thing, by),
            "entries": entry_lines(thing.entries.all()),
            "why_not": _why_not(thing, by),
        }


def _facts(payout: Payout, by: User) -> list[Fact]:
    return [
        *facts(payout, by, "channel"),
        Fact(gettext("Amount"), money_mark(payout.amount, payout.currency)),
        Fact(gettext("Account"), facts(payout.payment, by, "account")[0].value),
        *facts(payout, by, "payment"),
        Fact(gettext("Approved by"), payout.approved_by or gettext("the policy")),
        *facts(payout, by, "ordered_at", "settled_at", "recorded_by"),
        Fact(gettext("Outside reference"), mono(payout.external_reference)),
        *(facts(payout, by, "failure") if payout.failure else []),
        *(facts(payout, by, "given_up_at") if payout.given_up_at else []),
        Fact(gettext("Idempotency key"), mono(str(payout.key))),
    ]


def _why_not(payout: Payout, by: User) -> str:
    """Why this person sees no buttons, where something is still to be recorded."""
    if payout.state not in UNSETTLED or payout.given_up_at or not by.has_perm("payments.record_payout"):
        return ""
    if connected(payout.channel):
        return gettext("The console pays this channel by itself: there is nothing to record.")
    if by.pk == payout.approved_by_id:
        return gettext("You approved this refund: somebody else records its payout.")
    return "" if may_record(payout, by) else gettext("The money goes to your own account: somebody else records it.")
