"""Approving several requests: what will be done to each and why, then each in a transaction of its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.models import User
from core.money import format_money
from core.templatetags.console_format import chip
from payments.exceptions import PaymentsError
from refunds.admin import words
from refunds.admin.story import what_happened
from refunds.exceptions import FactsChanged, RefundsError, RequestMoved
from refunds.models import RefundRequest
from refunds.rules.facts import facts_of
from refunds.services import approve_refund, review_token
from refunds.services.preview import APPROVE, Check, Effect, preview_approval
from refunds.states import RequestState
from refunds.wording import STATE_MARKS

# More than a person reads through before agreeing to it.
LIMIT = 100


@dataclass(frozen=True)
class Line:
    """One request of the page that asks: what will come of it, and the token of what was shown."""

    request: RefundRequest
    preview: Check
    token: str

    @property
    def mark(self) -> SafeString:
        return chip(self.preview.in_list, words.EFFECT_MARKS[self.preview.effect])

    @property
    def is_acted_on(self) -> bool:
        return self.preview.does_something

    @property
    def ticket(self) -> str:
        """What the form carries."""
        return f"{self.request.pk}:{self.token}"


@dataclass(frozen=True)
class Result:
    """What came of one request."""

    request: RefundRequest
    mark: SafeString


def lines_of(requests: Iterable[RefundRequest], *, by: User, at: datetime) -> list[Line]:
    return [
        Line(request, preview_approval(request, by=by, at=at), review_token(request, facts_of(request.certificate)))
        for request in requests
    ]


def totals_of(lines: Iterable[Line]) -> dict[str, Any]:
    """How many will be approved and lapse, and how much goes back, a sum per currency."""
    approved = [line.request for line in lines if line.preview is APPROVE]
    sums: dict[str, int] = {}
    for request in approved:
        sums[request.currency] = sums.get(request.currency, 0) + request.amount
    return {
        "approved": len(approved),
        "acted_on": sum(line.is_acted_on for line in lines),
        "money": [format_money(amount, currency) for currency, amount in sorted(sums.items())],
    }


def approve_each(tickets: Iterable[str], *, by: User) -> list[Result]:
    """Approve what the page showed, one transaction a request; nothing that fails stops the others."""
    results = [_approve(ticket, by=by) for ticket in list(tickets)[:LIMIT]]
    return [result for result in results if result is not None]


def _approve(ticket: str, *, by: User) -> Result | None:
    number, _colon, token = ticket.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    at = timezone.now()
    try:
        request = approve_refund(int(number), seen=token, by=by, at=at)
    except RefundRequest.DoesNotExist:
        return None
    except (RefundsError, PaymentsError) as error:
        request = RefundRequest.objects.get(pk=int(number))
        return Result(request, chip(_refusal(error, request, by=by), words.EFFECT_MARKS[Effect.UNDECIDABLE]))
    return Result(request, _outcome(request))


def _outcome(request: RefundRequest) -> SafeString:
    if request.state == RequestState.LAPSED:
        return chip(what_happened(request), STATE_MARKS[RequestState.LAPSED])
    return chip(_("Approved."), words.EFFECT_MARKS[Effect.APPROVES])


def _refusal(error: Exception, request: RefundRequest, *, by: User) -> str:
    if isinstance(error, FactsChanged):
        return _("Skipped: the certificate has changed since the page was opened.")
    if isinstance(error, RequestMoved):
        return _("Skipped: %(what)s") % {"what": what_happened(request)}
    if isinstance(error, PaymentsError):
        return _("Skipped: more would go back than was paid in.")
    now = preview_approval(request, by=by, at=timezone.now())
    return _("Skipped: look at this request again.") if now.does_something else str(now.in_list)
