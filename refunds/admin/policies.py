"""The policies as staff read them: the tables with their proof, where two of them differ, and a trial of one."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from certificates.models import Certificate
from core.desk.marks import page_link
from core.desk.pages import SAFE, staff_of
from core.models import User
from refunds.models import PolicyTrial
from refunds.rules.policies import POLICIES, Policy
from refunds.rules.printed import answer_in_words, differences_between, rows_of
from refunds.rules.table import Outcome, Review, TableError
from refunds.services.trials import is_running, start_trial


@dataclass(frozen=True)
class Counted:
    """How many certificates get these two answers, and some of them."""

    own: str
    other: str
    number: int
    differs: bool
    examples: list[Any]


def policies_view(desk: Any, request: HttpRequest) -> HttpResponse:
    """GET shows the policy of `?policy=` and what it changes against `?against=`; POST starts a trial of it."""
    if not desk.has_view_permission(request):
        raise PermissionDenied
    policy = POLICIES.get(request.GET.get("policy", ""), next(iter(POLICIES.values())))
    against = POLICIES.get(request.GET.get("against", ""))
    if request.method == "POST":
        return _start(request, policy)
    if request.method not in SAFE:
        return HttpResponseNotAllowed([*sorted(SAFE), "POST"])
    context = {
        "title": _("Refund policies"),
        "policies": list(POLICIES),
        "policy": policy,
        "rows": rows_of(policy),
        "cells": len(policy.table.cells),
        "against": against,
        **_differences(policy, against),
        **_trial(policy, staff_of(request)),
    }
    return desk.answer(request, "admin/refunds/policies.html", context)


def _differences(policy: Policy, against: Policy | None) -> dict[str, Any]:
    try:
        return {"differences": differences_between(against, policy) if against else []}
    except TableError as error:
        return {"differences": [], "incomparable": str(error)}


def _start(request: HttpRequest, policy: Policy) -> HttpResponse:
    start_trial(policy.name, by=staff_of(request), at=timezone.now())
    messages.success(request, _("The trial has started. Reload this page to see its result."))
    address = reverse("admin:refunds_refundrequest_policies")
    return HttpResponseRedirect(f"{address}?{urlencode({'policy': policy.name})}#trial")


def _trial(policy: Policy, by: User) -> dict[str, Any]:
    """The newest trial of a policy: what is counted so far, what differs first."""
    trial = PolicyTrial.objects.filter(policy=policy.name).order_by("-id").first()
    if trial is None:
        return {"trial": None, "is_running": False}
    known = Certificate.objects.in_bulk([pk for some in trial.examples.values() for pk in some])
    counted = [_counted(key, number, trial, known, by) for key, number in trial.counts.items()]
    counted.sort(key=lambda each: (not each.differs, -each.number))
    return {"trial": trial, "is_running": is_running(trial), "counted": counted, "examined": sum(trial.counts.values())}


def _counted(key: str, number: int, trial: PolicyTrial, known: dict[int, Certificate], by: User) -> Counted:
    own_outcome, own_review, outcome, review = key.split("|")
    own, other = _answer(own_outcome, own_review), _answer(outcome, review)
    some = [known[pk] for pk in trial.examples.get(key, []) if pk in known]
    return Counted(own, other, number, own != other, [page_link(each, by, each.instance_id) for each in some])


def _answer(outcome: str, review: str) -> str:
    return answer_in_words((Outcome(outcome), Review(review) if review else None))
