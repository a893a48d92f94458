"""The list of requests and a request's page."""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.models import Certificate, SearchTerm
from core.desk.lists import Waiting, accounts_named, ids_in
from core.desk.marks import money_mark, time_mark
from core.desk.pages import Desk, staff_of
from core.models import User
from refunds.admin.acts import Approve, Fail, Reject
from refunds.admin.bulk import LIMIT, approve_each, lines_of, totals_of
from refunds.admin.filters import DueFilter, RuleFilter, StateFilter
from refunds.admin.marks import due_mark, state_chip, warning_mark
from refunds.admin.page import context_of
from refunds.admin.policies import policies_view
from refunds.models import RefundRequest
from refunds.rules.explain import name_of
from refunds.states import UNDECIDED

SHOWN_DOMAINS = 2


class RefundRequestAdmin(Desk):
    """Staff look at requests and decide them; `refunds.services` does what they decide."""

    page_template = "admin/refunds/refundrequest/page.html"
    page_select_related = ("account", "requested_by", "certificate__order", "certificate__product")
    acts = (Approve, Reject, Fail)
    actions = ["approve_selected"]

    list_display = ("reference", "who", "domains", "money", "rule_name", "submitted", "due", "state_chip")
    list_filter = (StateFilter, DueFilter, RuleFilter)
    list_read_along = (
        "account",
        Prefetch("certificate", Certificate.objects.defer("pem").prefetch_related("domains")),
    )
    search_help_text = _("A reference, an instance ID, a user name or email address, or the beginning of a domain.")

    # --- The list ----------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundRequest]:
        return super().get_queryset(request).defer("facts")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The most urgent first where a decision is awaited, the newest first elsewhere."""
        is_waiting = request.GET.get(StateFilter.parameter_name, StateFilter.default) in UNDECIDED
        return ["review_due", "id"] if is_waiting and not request.GET.get("q") else ["-id"]

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if needle.upper().startswith("RF-"):
            return queryset.filter(reference__begins_with=needle.upper())
        if needle.lower().startswith("cas-"):
            return queryset.filter(certificate__instance_id=needle.lower())
        named = SearchTerm.objects.filter(text__begins_with=needle.lower()).values("certificate_id")
        return queryset.filter(Q(account__in=accounts_named(needle)) | Q(certificate__in=named))

    @admin.display(description=_("account"))
    def who(self, request: RefundRequest) -> str:
        return str(request.account)

    @admin.display(description=_("domain"))
    def domains(self, request: RefundRequest) -> Any:
        names = [domain.name for domain in request.certificate.domains.all()] or [request.certificate.name]
        more = len(names) - SHOWN_DOMAINS
        shown = format_html_join("", "<div>{}</div>", ([name] for name in names[:SHOWN_DOMAINS]))
        return format_html("{}<div class='muted'>+{}</div>", shown, more) if more > 0 else shown

    @admin.display(description=_("amount"))
    def money(self, request: RefundRequest) -> Any:
        return money_mark(request.amount, request.currency)

    @admin.display(description=_("rule"))
    def rule_name(self, request: RefundRequest) -> Any:
        return name_of(request.rule)

    @admin.display(description=_("submitted"))
    def submitted(self, request: RefundRequest) -> Any:
        return time_mark(request.submitted_at)

    @admin.display(description=_("due"))
    def due(self, request: RefundRequest) -> Any:
        return format_html("{}{}", due_mark(request, timezone.now()), warning_mark(request))

    @admin.display(description=_("state"))
    def state_chip(self, request: RefundRequest) -> Any:
        return state_chip(request)

    def waiting(self) -> list[Waiting]:
        return [Waiting(_("Requests under review"), RefundRequest.objects.filter(state=StateFilter.default))]

    # --- A request's page --------------------------------------------------------------------------

    def page(self, thing: RefundRequest, *, by: User, at: datetime) -> dict[str, Any]:
        return {**context_of(thing, by=by, at=at), "chip": state_chip(thing), "due": due_mark(thing, at)}

    # --- Several at once ---------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        bulk = self.admin_site.admin_view(self.approve_several)
        policies = self.admin_site.admin_view(partial(policies_view, self))
        return [
            path("approve-selected/", bulk, name="refunds_refundrequest_approve_selected"),
            path("policies/", policies, name="refunds_refundrequest_policies"),
            *super().get_urls(),
        ]

    def has_review_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.has_perm("refunds.review_refund")

    @admin.action(description=_("Approve the selected requests…"), permissions=["review"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[RefundRequest]) -> HttpResponse:
        """The page that says of each selected request what will be done or skipped, and why."""
        by, at = staff_of(request), timezone.now()
        found = self.pages().filter(pk__in=_selected(request, queryset))
        lines = lines_of(found.order_by("review_due", "id"), by=by, at=at)
        context = {
            "title": gettext("Approve several requests"),
            "lines": lines[:LIMIT],
            "totals": totals_of(lines[:LIMIT]),
            "is_cut": len(lines) > LIMIT,
            "limit": LIMIT,
        }
        return self.answer(request, "admin/refunds/refundrequest/approve_selected.html", context)

    def approve_several(self, request: HttpRequest) -> HttpResponse:
        """What the page before announced, done request by request. Says of each what came of it."""
        if not self.has_view_permission(request) or not self.has_review_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:refunds_refundrequest_changelist"))
        context = {
            "title": gettext("What came of the requests"),
            "results": approve_each(request.POST.getlist("request"), by=staff_of(request)),
        }
        return self.answer(request, "admin/refunds/refundrequest/approved.html", context)


def _selected(request: HttpRequest, listed: QuerySet[RefundRequest]) -> list[int]:
    """The rows selected, to one more than the limit: those ticked, or all that the list finds where all were asked for.

    What was ticked is named even where the list's filter finds it no longer: it was decided meanwhile, and is skipped.
    """
    if request.POST.get("select_across") == "1":
        return list(listed.values_list("pk", flat=True)[: LIMIT + 1])
    return ids_in(request.POST.getlist(ACTION_CHECKBOX_NAME), RefundRequest._meta.pk)[: LIMIT + 1]
