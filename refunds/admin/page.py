"""What a request's page shows: facts then and now, what the policy reads in them, the money, the story."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from certificates.states import Source
from core import audit
from core.desk.marks import EMPTY, Fact, facts, money_mark, page_link, shown
from core.email_addresses import shown_email
from core.models import User
from core.templatetags.console_format import chip
from core.text import isolated
from payments.admin.marks import READ_ALONG, payout_chip
from payments.models import Difference, Payout
from payments.services import may_resolve
from refunds.admin import words
from refunds.admin.marks import state_chip, warnings_of
from refunds.admin.story import next_step, timeline, why_not_approved
from refunds.models import RefundRequest
from refunds.rules.assess import Facts
from refunds.rules.conditions import Condition
from refunds.rules.explain import explain
from refunds.rules.facts import DECISIVE, facts_of
from refunds.rules.situation import situation_with
from refunds.services import undecided_refunds
from refunds.services.preview import changed_facts, preview_approval
from refunds.states import RequestState, Verdict


@dataclass(frozen=True)
class Compared:
    """One fact, at the submission and now."""

    label: Any
    before: Any
    now: Any
    has_changed: bool
    is_decisive: bool


@dataclass(frozen=True)
class ComparedCondition:
    """One condition as of the submission, and its fact now; None where another rule decides now."""

    condition: Condition
    now: Condition | None


@dataclass(frozen=True)
class MoneyLine:
    """What one payment gets back, and how far its payout is; one that came back and the one in its place are two."""

    channel: str
    paid_by: Any
    amount: Any
    state: Any
    outside: str
    payout: Any


@dataclass(frozen=True)
class Found:
    """A refund made at a channel that nobody has decided on, and whether this person may."""

    link: Any
    difference: Difference
    is_yours: bool

    @property
    def what(self) -> str:
        """How much, and under which number."""
        known = self.difference.amount is not None
        return " · ".join(filter(None, [self.difference.money if known else "", self.difference.external_reference]))


def context_of(request: RefundRequest, *, by: User, at: datetime) -> dict[str, Any]:
    """Everything on the page that follows from the request."""
    compared = compare(request.facts_at_submission, facts_of(request.certificate), by)
    return {
        "facts": _facts(request, by),
        "changed": [each for each in compared if each.has_changed],
        "unchanged": [each for each in compared if not each.has_changed],
        **_conditions(request, at),
        "warnings": warnings_of(request),
        "money": money_of(request),
        "money_lines": _money_lines(request, by),
        "earlier": _earlier(request, by),
        "decisions": [
            (decision, chip(Verdict(decision.verdict).label, words.VERDICT_MARKS[Verdict(decision.verdict)]))
            for decision in request.decisions.select_related("by").order_by("id")
        ],
        "steps": timeline(audit.history(request)),
        "next_step": next_step(request),
        "why_not": _why_not(request, by=by, at=at),
        "found": _found(request, by),
    }


def _facts(request: RefundRequest, by: User) -> list[Fact]:
    certificate = request.certificate
    domains = ", ".join(domain.name for domain in certificate.domains.all())
    who = " · ".join(filter(None, [str(request.account), shown_email(request.account.email)]))
    return [
        Fact(_("Account"), page_link(request.account, by, who)),
        Fact(_("Certificate"), page_link(certificate, by, f"{isolated(certificate.name)} ({certificate.instance_id})")),
        Fact(_("Domains"), domains or EMPTY),
        Fact(_("Product"), str(certificate.product or EMPTY)),
        Fact(_("Certificate's state"), certificate.get_state_display()),
        Fact(_("Order"), page_link(certificate.order, by)),
        Fact(_("Refund reason"), request.reason_in_words),
        *facts(request, by, "requested_by", "submitted_at", "policy", "calendar_version"),
        *([Fact(_("Answer to the customer"), request.answer)] if request.answer else []),
        *(facts(request, by, "lapse_cause") if request.lapse_cause else []),
    ]


def compare(before: Facts, now: Facts, by: User) -> list[Compared]:
    """All facts, then and now, in their order."""
    return [
        Compared(
            label=label,
            before=_fact(before, name, by),
            now=_fact(now, name, by),
            has_changed=getattr(before, name) != getattr(now, name),
            is_decisive=name in DECISIVE,
        )
        for name, label in words.FACTS.items()
    ]


def _fact(facts: Facts, name: str, by: User) -> Any:
    value = getattr(facts, name)
    if name == "source":
        return Source(value).label
    return money_mark(value, facts.currency) if name in {"paid", "voucher"} else shown(value, by)


def _conditions(request: RefundRequest, at: datetime) -> dict[str, Any]:
    """What the policy said at the submission and, until the request has ended, what has become of it."""
    then = explain(request.facts_at_submission, request.submitted_at)
    if not request.is_open:
        return {"then": then, "conditions": [ComparedCondition(each, None) for each in then.conditions]}
    today = situation_with(request.certificate, request, at).explanation
    is_same_rule = today.rule == then.rule
    now = {(each.column, each.text): each for each in today.conditions} if is_same_rule else {}
    return {
        "then": then,
        "today": None if is_same_rule else today,
        # What has changed since, time itself included, doesn't count then; an expired one would lapse.
        "submission_decides": not changed_facts(request) and request.certificate.expires_at > at,
        "conditions": [ComparedCondition(each, now.get((each.column, each.text))) for each in then.conditions],
    }


def money_of(request: RefundRequest) -> list[Fact]:
    """The money as a sum: what was paid, what stays, what goes back."""
    certificate = request.certificate
    return [
        Fact(_("Paid"), money_mark(certificate.paid_part, certificate.currency)),
        Fact(_("Voucher (not refunded)"), money_mark(certificate.voucher_part, certificate.currency)),
        Fact(_("Goes back"), money_mark(request.amount, request.currency)),
    ]


def _money_lines(request: RefundRequest, by: User) -> list[MoneyLine]:
    """A line for each payout of a payment for this request, or one for what none was ordered for."""
    payouts: dict[int, list[Payout | None]] = {}
    ordered = Payout.objects.filter(reference=request.reference).prefetch_related(*READ_ALONG)
    for payout in ordered.order_by("id"):
        payouts.setdefault(payout.payment_id, []).append(payout)
    shares = [share for share in request.certificate.shares.select_related("payment") if share.amount]
    return [_money_line(share, each, by) for share in shares for each in payouts.get(share.payment_id, [None])]


def _money_line(share: Any, payout: Payout | None, by: User) -> MoneyLine:
    return MoneyLine(
        channel=share.payment.get_channel_display(),
        paid_by=page_link(share.payment, by),
        amount=money_mark(share.amount, share.payment.currency),
        state=payout_chip(payout) if payout else _("Not ordered"),
        outside=" · ".join(filter(None, [payout.external_reference, payout.failure])) if payout else "",
        payout=page_link(payout, by, _("Payout")) if payout else "",
    )


def _earlier(request: RefundRequest, by: User) -> list[dict[str, Any]]:
    others = RefundRequest.objects.of(request.certificate).exclude(pk=request.pk)[:20]
    return [{"link": page_link(other, by), "request": other, "chip": state_chip(other)} for other in others]


def _found(request: RefundRequest, by: User) -> list[Found]:
    """The refunds made at a channel that somebody decides on before the request."""
    if not request.is_open:
        return []
    undecided = undecided_refunds(request.certificate).select_related("payment", "payout")
    return [Found(page_link(each, by), each, may_resolve(each, by)) for each in undecided]


def _why_not(request: RefundRequest, *, by: User, at: datetime) -> str:
    """Why this person sees no buttons, or fewer, where a decision is awaited."""
    if request.state != RequestState.UNDER_REVIEW:
        return ""
    return why_not_approved(request, preview_approval(request, by=by, at=at))
