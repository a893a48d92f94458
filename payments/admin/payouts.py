"""The payments desk: the list of payouts, opening on those that wait for a person, and a payout's page."""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import Waiting, accounts_named
from core.desk.marks import EMPTY, Fact, facts, money_mark, mono, page_link, time_mark
from core.desk.pages import Desk
from core.models import User
from payments.admin.acts import NotPossible, PayoutAct, SendAgain, TryAgain
from payments.admin.filters import ChannelFilter, MovementFilter, StateFilter, handed_over, to_make_good, to_send
from payments.admin.ledger import entry_lines
from payments.admin.marks import READ_ALONG, batch_of, payout_chip, successor_of
from payments.admin.record_acts import RecordFailed, RecordPaid, RecordReturned
from payments.admin.standing import advice_for, job_state, refund_found, why_no_buttons
from payments.admin.totals import export_view, totals_view
from payments.days import zone_name
from payments.models import Payment, Payout
from payments.services import failures_of, is_to_make_good
from payments.states import UNDER_WAY, Channel, PayoutState


class PayoutAdmin(Desk):
    """Staff move on what no worker does; `payments.services` keeps the books."""

    page_template = "admin/payments/payout/page.html"
    page_select_related = ("payment__account", "approved_by", "recorded_by", "follows")
    acts = (TryAgain, SendAgain, RecordPaid, RecordFailed, RecordReturned, NotPossible)
    act_words = {
        "sent_again": _("Sent again"),
        "record_paid": _("Recorded as paid"),
        "record_failed": _("Recorded as failed"),
        "record_returned": _("Recorded as returned"),
        "not_possible": _("Not possible; the refund was given up"),
        "put_in_batch": _("Put into a bank batch"),
        "paid_before": _("The bank says it already made this transfer"),
        "day_corrected": _("Day corrected by the channel's books"),
    }

    list_display = ("name", "who", "channel_name", "money", "ordered", "approver", "state_chip", "outside")
    list_filter = (StateFilter, ChannelFilter, MovementFilter)
    list_read_along = ("payment__account", "approved_by", *READ_ALONG)
    search_help_text = _("The reference of a refund, an outside reference, or a user name.")

    def get_urls(self) -> list[Any]:
        totals = self.admin_site.admin_view(partial(totals_view, self))
        export = self.admin_site.admin_view(partial(export_view, self))
        return [
            path("totals/", totals, name="payments_payout_totals"),
            path("totals/export/", export, name="payments_payout_export"),
            *super().get_urls(),
        ]

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The longest waiting first, and elsewhere the newest."""
        is_elsewhere = request.GET.get("q") or request.GET.get(MovementFilter.parameter_name)
        state = request.GET.get(StateFilter.parameter_name, "" if is_elsewhere else StateFilter.default)
        return ["id"] if state in StateFilter.longest_first and not request.GET.get("q") else ["-id"]

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
        """A number each for what is done differently; the list itself opens on all of it."""
        return [
            Waiting(_("Payouts to send"), Payout.objects.filter(to_send()), "?state=to_send"),
            Waiting(_("Payouts handed to staff"), Payout.objects.filter(handed_over()), "?state=handed_over"),
            Waiting(_("Payouts failed"), Payout.objects.filter(to_make_good(PayoutState.FAILED)), "?state=failed"),
            Waiting(
                _("Payouts returned"), Payout.objects.filter(to_make_good(PayoutState.RETURNED)), "?state=returned"
            ),
        ]

    # --- A payout's page ---------------------------------------------------------------------------

    def pages(self) -> QuerySet[Any]:
        return super().pages().prefetch_related(*READ_ALONG)

    def page(self, thing: Payout, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "chip": payout_chip(thing),
            "amount": money_mark(thing.amount, thing.currency),
            "advice": advice_for(thing),
            "facts": [*_facts(thing, by), *_way(thing, by)],
            "entries": entry_lines(thing.entries.all()),
            "why_not": why_no_buttons(thing, by),
        }

    def _ask(self, request: HttpRequest, act: Any, form: Any) -> HttpResponse:
        if isinstance(act, PayoutAct):
            act.prepare(form)
        return super()._ask(request, act, form)


def _facts(payout: Payout, by: User) -> list[Fact]:
    """What it is, and where it came from."""
    return [
        *facts(payout, by, "channel"),
        Fact(gettext("Amount"), money_mark(payout.amount, payout.currency)),
        Fact(gettext("Account"), facts(payout.payment, by, "account")[0].value),
        *facts(payout, by, "payment"),
        Fact(gettext("Approved by"), payout.approved_by or gettext("the policy")),
        Fact(gettext("Outside reference"), mono(payout.external_reference)),
        Fact(gettext("Idempotency key"), mono(str(payout.key))),
        *_links(payout, by),
    ]


def _links(payout: Payout, by: User) -> list[Fact]:
    batch, successor = batch_of(payout), successor_of(payout)
    found = refund_found(payout) if payout.state in UNDER_WAY or is_to_make_good(payout) else None
    return [
        *([Fact(gettext("In place of"), page_link(payout.follows, by))] if payout.follows else []),
        *([Fact(gettext("Made good by"), page_link(successor, by))] if successor else []),
        *([Fact(gettext("Batch"), page_link(batch, by))] if batch else []),
        *([Fact(gettext("Refund made at the channel"), page_link(found, by))] if found else []),
    ]


def _way(payout: Payout, by: User) -> list[Fact]:
    """How far it has come: what happened, and why it went no further; without what has not happened."""
    told = [
        *facts(payout, by, "ordered_at", "first_sent_at"),
        Fact(gettext("Worker"), job_state(payout)),
        Fact(gettext("Why the last try brought no answer"), payout.trouble),
        Fact(gettext("Failed so far"), _times(failures_of(payout))),
        *facts(payout, by, "handed_over_at", "settled_at"),
        Fact(gettext("Day in the channel's books"), _books_day(payout)),
        *facts(payout, by, "recorded_by", "returned_at"),
        Fact(_failure_label(payout), payout.failure),
        *facts(payout, by, "given_up_at"),
    ]
    return [fact for fact in told if fact.value and fact.value != EMPTY]


def _failure_label(payout: Payout) -> str:
    return gettext("Why it came back") if payout.state == PayoutState.RETURNED else gettext("Why it failed")


def _times(number: int) -> str:
    return {0: "", 1: gettext("once")}.get(number, gettext("%(number)s times") % {"number": number})


def _books_day(payout: Payout) -> str:
    return f"{payout.booked_on} ({zone_name(payout.channel)})" if payout.booked_on else ""
