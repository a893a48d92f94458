"""What narrows the list of requests. Days are the service's."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.clock import service_day
from core.desk.lists import ListFilter
from refunds.admin import words
from refunds.admin.marks import NEAR_DUE
from refunds.rules.explain import name_of
from refunds.rules.policies import SUPPORTED
from refunds.states import OPEN, RequestState


class StateFilter(ListFilter):
    """Opens on what waits for a decision."""

    title = _("state")
    parameter_name = "state"
    default = RequestState.UNDER_REVIEW.value
    open = "open"

    def known(self) -> list[tuple[str, Any]]:
        states = [(state.value, words.STATES[state]) for state in RequestState]
        return [states[0], (self.open, _("All open ones")), *states[1:]]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(state__in=sorted(OPEN)) if value == self.open else queryset.filter(state=value)


class DueFilter(ListFilter):
    title = _("due day")
    parameter_name = "due"

    def known(self) -> list[tuple[str, Any]]:
        return [("over", _("Overdue")), ("today", _("Today")), ("near", _("Within 3 days"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        today = service_day(timezone.now())
        if value == "over":
            return queryset.filter(review_due__lt=today)
        if value == "today":
            return queryset.filter(review_due=today)
        return queryset.filter(review_due__gte=today, review_due__lte=today + NEAR_DUE)


class RuleFilter(ListFilter):
    title = _("rule")
    parameter_name = "rule"

    def known(self) -> list[tuple[str, Any]]:
        return [(rule, name_of(rule)) for rule in SUPPORTED]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(rule=value)
