"""What the books of a channel and ours do not say the same of: a list opening on what nobody has decided on yet."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import ListFilter, Waiting
from core.desk.marks import EMPTY, Fact, facts, found_by, mono, page_link, time_mark
from core.desk.pages import Desk
from core.models import User
from core.templatetags.console_format import chip
from payments.admin.difference_acts import Confirm, Dismiss, Keep, candidates_of
from payments.admin.difference_facts import day_mark, money_facts, side
from payments.admin.payouts import ChannelFilter
from payments.models import Difference, Payment
from payments.services import Candidate, has_part_in
from payments.states import CLOSES_REFUND, Channel, DifferenceKind, DifferenceState

STATE_MARKS = {
    DifferenceState.OPEN: ("near", "circle-alert"),
    DifferenceState.CONFIRMED: ("ok", "wallet"),
    DifferenceState.KEPT: ("busy", "clock"),
    DifferenceState.DISMISSED: ("ended", "circle-slash"),
    DifferenceState.HEALED: ("ok", "circle-check"),
}
# What it means, and what is to be done, while it is to be looked at.
ADVICE = {
    DifferenceKind.MISSING_HERE: _(
        "The channel gave this money back by itself. Until somebody decides, no other refund of what this payment paid "
        "for is made. Confirm it as the payout of a request, keep it as unmatched, or explain it."
    ),
    DifferenceKind.MISSING_THERE: _(
        "We have this payout as paid, but the channel's list of that day lacks it. Look into the channel's own books "
        "for its reference; what never went out is recorded as returned on the payout's page."
    ),
    DifferenceKind.DIFFERENT_AMOUNT: _(
        "The channel gave back another amount than was ordered. Put it right at the channel, or explain it."
    ),
    DifferenceKind.DIFFERENT_STATE: _(
        "The channel says that this was paid, and here it is not. Look into the channel's own books; what was paid is "
        "recorded as paid on the payout's page, under its reference there. Where the refund was given up, keep this as "
        "unmatched: no other refund is offered then. Without an amount, the channel has only said that money of the "
        "payment has gone back already: explain this if none of it belongs to the payout."
    ),
}


class StateFilter(ListFilter):
    """Opens on what nobody has decided on."""

    title = _("state")
    parameter_name = "state"
    default = DifferenceState.OPEN
    unmatched = "unmatched"

    def known(self) -> list[tuple[str, Any]]:
        return [*DifferenceState.choices, (self.unmatched, _("Unmatched: money that the channel gave back by itself"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value == self.unmatched:
            return queryset.filter(kind=DifferenceKind.MISSING_HERE, state__in=sorted(CLOSES_REFUND))
        return queryset.filter(state=value)


class KindFilter(ListFilter):
    title = _("kind")
    parameter_name = "kind"

    def known(self) -> list[tuple[str, Any]]:
        return list(DifferenceKind.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(kind=value)


@dataclass(frozen=True)
class CandidateLine:
    """What a refund may belong to, with the way to its page."""

    label: str
    address: str
    what: Any


class DifferenceAdmin(Desk):
    """Staff say what a difference is; `payments.services` does what follows."""

    page_template = "admin/payments/difference/page.html"
    page_select_related = ("payment__account", "payout__payment", "resolved_by")
    acts = (Confirm, Keep, Dismiss)
    act_words = {
        "found": _("Found"),
        "found_again": _("Found again"),
        "has_changed": _("The channel says something else"),
        "healed": _("Both books agree"),
        "confirmed": _("Confirmed as a request's payout"),
        "kept": _("Kept as unmatched"),
        "dismissed": _("Explained"),
    }

    list_display = (
        "name",
        "kind_name",
        "channel_name",
        "day_name",
        "there",
        "here",
        "outside",
        "state_chip",
    )
    list_filter = (StateFilter, KindFilter, ChannelFilter)
    search_help_text = _("A difference's number, an outside reference, or a payment's reference.")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The longest waiting first, and elsewhere the newest."""
        is_waiting = request.GET.get(StateFilter.parameter_name, StateFilter.default) == StateFilter.default
        return ["id"] if is_waiting and not request.GET.get("q") else ["-id"]

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if match := re.fullmatch(r"DIFF-([0-9]{1,18})", needle.upper()):
            return queryset.filter(pk=int(match[1]))
        payments = Payment.objects.filter(reference=needle, channel__in=Channel.values).values("pk")
        return queryset.filter(Q(external_reference=needle, channel__in=Channel.values) | Q(payment__in=payments))

    @admin.display(description=_("difference"))
    def name(self, difference: Difference) -> str:
        return str(difference)

    @admin.display(description=_("kind"))
    def kind_name(self, difference: Difference) -> str:
        return difference.get_kind_display()

    @admin.display(description=_("channel"))
    def channel_name(self, difference: Difference) -> str:
        return difference.get_channel_display()

    @admin.display(description=_("day in the channel's books"))
    def day_name(self, difference: Difference) -> Any:
        return day_mark(difference)

    @admin.display(description=_("amount there"))
    def there(self, difference: Difference) -> Any:
        return side(difference.amount, difference)

    @admin.display(description=_("amount here"))
    def here(self, difference: Difference) -> Any:
        return side(difference.our_amount, difference)

    @admin.display(description=_("outside reference"))
    def outside(self, difference: Difference) -> Any:
        return mono(difference.external_reference)

    @admin.display(description=_("state"))
    def state_chip(self, difference: Difference) -> Any:
        return state_chip(difference)

    def waiting(self) -> list[Waiting]:
        return [Waiting(_("Differences to look at"), Difference.objects.filter(state=DifferenceState.OPEN))]

    # --- A difference's page -----------------------------------------------------------------------

    def page(self, thing: Difference, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "chip": state_chip(thing),
            "facts": [*money_facts(thing), *_facts(thing, by)],
            "advice": ADVICE[DifferenceKind(thing.kind)] if thing.state == DifferenceState.OPEN else "",
            "candidates": [_candidate_line(each) for each in candidates_of(thing)],
            "why_not": _why_not(thing, by),
        }

    def _ask(self, request: HttpRequest, act: Any, form: Any) -> HttpResponse:
        act.prepare(form)
        return super()._ask(request, act, form)


def state_chip(difference: Difference) -> SafeString:
    return chip(difference.get_state_display(), STATE_MARKS[DifferenceState(difference.state)])


def _facts(difference: Difference, by: User) -> list[Fact]:
    payment = difference.payment
    return [
        *facts(difference, by, "payment"),
        Fact(gettext("Account"), page_link(payment.account, by) if payment else EMPTY),
        *facts(difference, by, "payout"),
        Fact(gettext("Found"), time_mark(difference.found_at)),
        *([Fact(gettext("Assigned to"), _certificate_link(difference))] if difference.assigned_to else []),
        *(facts(difference, by, "resolved_at", "resolved_by") if difference.resolved_at else []),
        *(facts(difference, by, "note") if difference.note else []),
    ]


def _certificate_link(difference: Difference) -> Any:
    address = found_by("certificates.certificate", difference.assigned_to)
    return format_html('<a href="{}">{}</a>', address, difference.assigned_to)


def _candidate_line(candidate: Candidate) -> CandidateLine:
    if candidate.is_request:
        address = found_by("refunds.refundrequest", candidate.id)
        return CandidateLine(candidate.label, address, _("under review: can be confirmed"))
    return CandidateLine(candidate.label, found_by("certificates.certificate", candidate.id), _("without a request"))


def _why_not(difference: Difference, by: User) -> str:
    """Why this person sees no buttons, where something is still to be decided."""
    if difference.state not in CLOSES_REFUND or not by.has_perm("payments.record_payout"):
        return ""
    if has_part_in(difference, by):
        return gettext("The money goes to your own account, or you approved its payout: somebody else decides on it.")
    return ""
