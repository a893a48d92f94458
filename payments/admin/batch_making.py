"""The page that makes a bank batch: what would be in it, and what is left out and why."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.lists import COUNT_LIMIT
from core.desk.marks import Fact, money_mark, page_link
from core.desk.pages import SAFE, staff_of
from core.models import User
from payments.exceptions import NotYours
from payments.services import (
    AccountUnreadable,
    BatchOvertaken,
    LeftOut,
    NothingToSend,
    Plan,
    judged,
    make_batch,
    may_make_batch,
    plan_batch,
)

MOST_NAMED = 20  # payments that lack an account


def make_view(desk: Any, request: HttpRequest) -> HttpResponse:
    """GET shows what would be in it, POST makes it. 403 without the right."""
    by = staff_of(request)
    if not may_make_batch(by) or not desk.has_view_permission(request):
        raise PermissionDenied
    if request.method == "POST":
        return _make(desk, request, by, at=timezone.now())
    if request.method not in SAFE:
        return HttpResponseNotAllowed([*sorted(SAFE), "POST"])
    return _show_plan(desk, request, by)


def _make(desk: Any, request: HttpRequest, by: User, *, at: datetime) -> HttpResponse:
    try:
        batch = make_batch(by=by, at=at, seen=request.POST.get("seen", ""))
    except NotYours as error:
        raise PermissionDenied from error
    except NothingToSend:
        return _show_plan(desk, request, by, notice=gettext("Nothing was made: there is nothing to send."))
    except BatchOvertaken:
        notice = gettext("Nothing was made: other payouts would be in it than the page showed. Look again.")
        return _show_plan(desk, request, by, notice=notice)
    except AccountUnreadable as error:
        notice = gettext("Nothing was made: none of the console's keys opens the account of %(payment)s.")
        return _show_plan(desk, request, by, notice=notice % {"payment": error})
    messages.success(request, gettext("%(batch)s is made: download it and hand it to the bank.") % {"batch": batch})
    return HttpResponseRedirect(reverse("admin:payments_bankbatch_change", args=[batch.pk]))


def _show_plan(desk: Any, request: HttpRequest, by: User, *, notice: str = "") -> HttpResponse:
    plan = plan_batch(by)
    context = {
        "title": gettext("Make a bank batch"),
        "plan": plan,
        "notice": notice,
        "facts": _plan_facts(plan),
        "left_out": [_left_out_words(reason, number) for reason, number in sorted(plan.left_out.items())],
        "to_record": _to_record(by),
        "page_address": reverse("admin:payments_bankbatch_changelist"),
    }
    return desk.answer(request, "admin/payments/bankbatch/make.html", context, status=409 if notice else 200)


def _plan_facts(plan: Plan) -> list[Fact]:
    totals = [Fact(currency, money_mark(amount, currency)) for currency, amount in plan.totals.items()]
    rest = [Fact(gettext("Left for the next batch"), capped(plan.rest))] if plan.rest else []
    return [Fact(gettext("Payouts"), len(plan.payouts)), *totals, *rest]


def _left_out_words(reason: str, number: int) -> str:
    words = {
        LeftOut.NO_ACCOUNT: _("%(number)s without an account: record it on the payment's page."),
        LeftOut.YOURS: _("%(number)s approved by you or going to your own account: somebody else makes their batch."),
        LeftOut.ONE_HAND: _(
            "%(number)s whose account was recorded by who approved the refund: somebody else records it once more."
        ),
        LeftOut.FOUND: _("%(number)s of payments of which the bank itself gave money back: decide on that first."),
    }
    return str(words[LeftOut(reason)]) % {"number": capped(number)}


def _to_record(by: User) -> list[Any]:
    """The first payments whose account somebody has to record, as links."""
    lacking = judged(by).filter(left_out__in=[LeftOut.NO_ACCOUNT, LeftOut.ONE_HAND])
    payouts = lacking.select_related("payment").order_by("pk")[:MOST_NAMED]
    return [page_link(payment, by) for payment in dict.fromkeys(payout.payment for payout in payouts)]


def capped(number: int) -> str:
    return f"{COUNT_LIMIT - 1}+" if number >= COUNT_LIMIT else str(number)
