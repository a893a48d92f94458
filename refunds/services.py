"""Every change of refund requests: one function per business act. Nobody else writes them.

Each locks the certificate, then the request, looks again, and records what it did in the same transaction. Moments
(`at`) are aware; amounts are minor units.
"""

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from certificates import services as certificates
from certificates.models import Certificate
from core import audit
from core.business_days import CALENDAR_VERSION
from core.mail import notify
from core.models import User
from payments import services as payments
from payments.models import Payout
from payments.services import Part
from payments.states import PayoutState
from refunds.exceptions import AlreadyRequested, FactsChanged, MayNotDecide, MayNotRequest, NotRefundable, RequestMoved
from refunds.exceptions import SummaryChanged
from refunds.facts import decisive_differences, facts_of, was_issued_meanwhile
from refunds.models import Decision, RefundRequest, new_reference
from refunds.policy import Assessment, Facts, Review, Rule, assess
from refunds.states import CANCELLABLE, LIVE, MONEY_ORDERED, UNDECIDED, LapseCause, RequestState, Verdict
from refunds.summary import Summary, summarise

UNISSUED_RULES = (Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL)

# --- The customer ------------------------------------------------------------------------------


@transaction.atomic
def request_refund(
    certificate_id: int, *, agreed: Summary, form_key: UUID, reason: str, reason_text: str, by: User, at: datetime
) -> RefundRequest:
    """Ask for the paid part of a certificate back, as shown and agreed to. The same form again gives its first request.

    Raises MayNotRequest, AlreadyRequested, NotRefundable and SummaryChanged; then nothing is stored.
    """
    certificate = certificates.lock(certificate_id)
    if certificate.account_id != by.pk or certificate.deleted_at:
        raise MayNotRequest(str(certificate))
    known = RefundRequest.objects.filter(form_key=form_key, certificate=certificate).first()
    if known:
        return known
    assessment = _assess_for_request(certificate, agreed, at=at)
    request = _store(certificate, assessment, form_key=form_key, reason=reason, reason_text=reason_text, by=by, at=at)
    certificates.hold(certificate, request.reference, at=at)
    audit.record(request, "requested", by=by, at=at, note=request.reason, detail=_grounds(request))
    if assessment.review == Review.NONE:
        _approve(request, certificate, by=None, at=at)
    else:
        _tell(request, "received", at=at)
    return request


def _assess_for_request(certificate: Certificate, agreed: Summary, *, at: datetime) -> Assessment:
    newest = RefundRequest.objects.of(certificate).first()
    if newest and newest.state in LIVE:
        raise AlreadyRequested(newest)
    assessment = assess(facts_of(certificate), at)
    if not assessment.supported:
        raise NotRefundable(assessment)
    now = summarise(certificate, assessment)
    if now != agreed:
        raise SummaryChanged(now)
    return assessment


def _store(certificate: Certificate, assessment: Assessment, *, by: User, at: datetime, **typed: Any) -> RefundRequest:
    facts = facts_of(certificate)
    return RefundRequest.objects.create(
        reference=new_reference(at),
        certificate=certificate,
        account_id=certificate.account_id,
        requested_by=by,
        submitted_at=at,
        policy=facts.policy,
        calendar_version=CALENDAR_VERSION,
        facts=facts.to_json(),
        rule=assessment.rule,
        review=assessment.review,
        warnings=list(assessment.warnings),
        review_due=assessment.review_due,
        amount=assessment.amount,
        currency=assessment.currency,
        **typed,
    )


@transaction.atomic
def cancel_refund(request_id: int, *, by: User, at: datetime) -> RefundRequest:
    """Take a request back; its certificate is free again. Raises MayNotRequest, and RequestMoved when it is too late."""
    certificate, request = _lock(request_id)
    if request.account_id != by.pk:
        raise MayNotRequest(str(request))
    if request.state not in CANCELLABLE:
        raise RequestMoved(request)
    request.cancel(at=at)
    _end(request, certificate, "cancelled", by=by, at=at)
    return request


# --- Staff -------------------------------------------------------------------------------------


@transaction.atomic
def approve_refund(request_id: int, *, seen: str, by: User, at: datetime, note: str = "") -> RefundRequest:
    """Grant a request on the facts of its submission and order its payouts.

    `seen` is `review_token` of the page that was decided on. Returns the request lapsed when its certificate expired or
    was issued meanwhile. Raises MayNotDecide, RequestMoved, FactsChanged and NotRefundable; then nothing is stored.
    """
    certificate, request = _lock_for_decision(request_id, seen=seen, by=by)
    if _lapse_if_due(request, certificate, at=at):
        return request
    _require_unchanged_support(request, certificate)
    _approve(request, certificate, by=by, at=at, note=note)
    return request


@transaction.atomic
def reject_refund(request_id: int, *, answer: str, seen: str, by: User, at: datetime) -> RefundRequest:
    """Refuse a request with an answer that its customer reads. Returns and raises as `approve_refund`."""
    certificate, request = _lock_for_decision(request_id, seen=seen, by=by)
    if _lapse_if_due(request, certificate, at=at):
        return request
    Decision.objects.create(request=request, verdict=Verdict.REJECT, by=by, at=at, effective_at=at, note=answer)
    request.reject(at=at, answer=answer)
    _end(request, certificate, "rejected", by=by, at=at, note=answer)
    return request


@transaction.atomic
def fail_refund(request_id: int, *, reason: str, by: User, at: datetime) -> RefundRequest:
    """Give a refund up whose payouts have all failed; the certificate can be used again.

    Raises RequestMoved, and what `payments.services.give_up` raises.
    """
    certificate, request = _lock(request_id)
    if request.state != RequestState.PAYMENT_FAILED:
        raise RequestMoved(request)
    payments.give_up(request.reference, by=by, at=at)
    request.give_up(at=at)
    _end(request, certificate, "failed", by=by, at=at, note=reason)
    return request


def may_decide(request: RefundRequest, by: User) -> bool:
    """Whether a person may decide this request: with the permission, and it is neither theirs nor made by them."""
    is_involved = by.pk in {request.account_id, request.requested_by_id}
    return by.is_active and by.is_staff and by.has_perm("refunds.review_refund") and not is_involved


def review_token(request: RefundRequest, facts: Facts) -> str:
    """A digest of what a reviewer's page shows; it differs when the request or a fact has changed since."""
    shown = json.dumps([request.pk, request.state, facts.to_json()], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()


def _lock_for_decision(request_id: int, *, seen: str, by: User) -> tuple[Certificate, RefundRequest]:
    certificate, request = _lock(request_id)
    if not may_decide(request, by):
        raise MayNotDecide(str(request))
    if request.state != RequestState.UNDER_REVIEW:
        raise RequestMoved(request)
    if seen != review_token(request, facts_of(certificate)):
        raise FactsChanged(request)
    return certificate, request


def _require_unchanged_support(request: RefundRequest, certificate: Certificate) -> None:
    """Both must hold: supported on the facts and at the moment of submission, and nothing decisive has changed."""
    before = request.facts_at_submission
    assessment = assess(before, request.submitted_at)
    if not assessment.supported or assessment.amount != request.amount:
        raise NotRefundable(assessment)
    if decisive_differences(before, facts_of(certificate)):
        raise FactsChanged(request)


# --- The console itself ------------------------------------------------------------------------


def lapse_overdue(*, at: datetime, limit: int = 500) -> int:
    """Lapse the undecided requests whose certificate has expired or was issued meanwhile; return how many."""
    expired = Q(certificate__expires_at__lte=at)
    issued = Q(certificate__issued_at__lte=at, rule__in=UNISSUED_RULES)
    due = RefundRequest.objects.filter(expired | issued, state__in=sorted(UNDECIDED)).order_by("id")
    return sum(_lapse(request_id, at=at) for request_id in due.values_list("id", flat=True)[:limit])


@transaction.atomic
def _lapse(request_id: int, *, at: datetime) -> bool:
    certificate, request = _lock(request_id)
    return request.state in UNDECIDED and _lapse_if_due(request, certificate, at=at)


def _lapse_if_due(request: RefundRequest, certificate: Certificate, *, at: datetime) -> bool:
    facts = facts_of(certificate)
    if was_issued_meanwhile(request.facts_at_submission, facts, at):
        cause = LapseCause.ISSUED
    elif facts.expires_at <= at:
        cause = LapseCause.EXPIRED
    else:
        return False
    request.lapse(at=at, cause=cause)
    _end(request, certificate, "lapsed", by=None, at=at, note=cause)
    return True


# --- Hooks of the floors below -----------------------------------------------------------------


def lock_for_payout(reference: str) -> None:
    """PAYOUT_SETTLING: lock the certificate and the request behind a payout, before its payment is."""
    request_id = RefundRequest.objects.filter(reference=reference).values_list("id", flat=True).first()
    if request_id:
        _lock(request_id)


def payout_settled(payout: Payout, *, at: datetime) -> None:
    """PAYOUT_SETTLED: move the request on after its payout. Raises RequestMoved when it awaits no money."""
    request = RefundRequest.objects.select_for_update().filter(reference=payout.reference).first()
    if request is None:
        return
    if request.state not in MONEY_ORDERED:
        raise RequestMoved(request)
    _follow(request, _states_of_payouts(request), at=at)


def certificate_changed(certificate: Certificate, *, at: datetime) -> None:
    """CERTIFICATE_CHANGED: an authority has answered. Issued lapses the request; closed lets its money go."""
    request = RefundRequest.objects.select_for_update().of(certificate).open().first()
    if request is None or _states_of_payouts(request):
        return
    if _lapse_if_issued(request, certificate, at=at):
        return
    if request.state == RequestState.APPROVED:
        _order_payouts(request, certificate, at=at)


def _lapse_if_issued(request: RefundRequest, certificate: Certificate, *, at: datetime) -> bool:
    issued = was_issued_meanwhile(request.facts_at_submission, facts_of(certificate), at)
    return issued and _lapse_if_due(request, certificate, at=at)


def _states_of_payouts(request: RefundRequest) -> set[str]:
    return set(Payout.objects.filter(reference=request.reference).values_list("state", flat=True))


def _follow(request: RefundRequest, payouts: set[str], *, at: datetime) -> None:
    """Bring the request to where its payouts are, over every state that lies between."""
    is_tried_again = request.state == RequestState.PAYMENT_FAILED and PayoutState.FAILED not in payouts
    if request.state == RequestState.APPROVED or is_tried_again:
        request.pay()
        _note(request, "paying", at=at)
    if PayoutState.FAILED in payouts and request.state == RequestState.PAYING:
        request.fail_payment()
        _note(request, "payment_failed", at=at)
    if payouts == {PayoutState.PAID}:
        _finish(request, at=at)


def _finish(request: RefundRequest, *, at: datetime) -> None:
    request.settle(at=at)
    _note(request, "refunded", at=at)
    certificates.refund(certificates.lock(request.certificate_id))
    _tell(request, "refunded", at=at)


# --- Shared steps ------------------------------------------------------------------------------


def _lock(request_id: int) -> tuple[Certificate, RefundRequest]:
    """Lock the certificate, then its request: the one order for everybody."""
    certificate_id = RefundRequest.objects.values_list("certificate_id", flat=True).get(pk=request_id)
    certificate = certificates.lock(certificate_id)
    request = RefundRequest.objects.select_for_update(of=("self",)).select_related("account").get(pk=request_id)
    request.certificate = certificate
    return certificate, request


def _approve(
    request: RefundRequest, certificate: Certificate, *, by: User | None, at: datetime, note: str = ""
) -> None:
    """Decide for the customer. `by` is None where the policy itself approves."""
    Decision.objects.create(request=request, verdict=Verdict.APPROVE, by=by, at=at, effective_at=at, note=note)
    request.approve()
    request.save()
    audit.record(request, "approved", by=by, at=at, note=note, detail=_grounds(request))
    _order_payouts(request, certificate, at=at)
    if by:
        _tell(request, "approved", at=at)


def _order_payouts(request: RefundRequest, certificate: Certificate, *, at: datetime) -> None:
    """Order the money back, unless an authority may still issue the certificate."""
    if certificate.closing_since:
        return
    parts = [Part(share.payment_id, share.amount) for share in certificate.shares.all()]
    if sum(part.amount for part in parts) != request.amount:
        raise FactsChanged(request)
    decision = request.decisions.select_related("by").get(verdict=Verdict.APPROVE)
    payments.order_payouts(request.reference, parts, approved_by=decision.by, at=at)
    audit.record(request, "money_ordered", by=None, at=at, detail={"amount": request.amount})


def _end(
    request: RefundRequest, certificate: Certificate, act: str, *, by: User | None, at: datetime, note: str = ""
) -> None:
    """Store a request that ended without payment, and let its certificate go."""
    request.save()
    certificates.release(certificate)
    audit.record(request, act, by=by, at=at, note=note, detail=_grounds(request))
    _tell(request, act, at=at)


def _note(request: RefundRequest, act: str, *, at: datetime) -> None:
    request.save()
    audit.record(request, act, by=None, at=at, detail=_grounds(request))


def _grounds(request: RefundRequest) -> dict[str, Any]:
    """What an audit entry keeps of a request: on which facts, by which rule of which policy."""
    return {
        "state": request.state,
        "rule": request.rule,
        "policy": request.policy,
        "calendar": request.calendar_version,
        "amount": request.amount,
        "currency": request.currency,
        "facts": request.facts,
    }


def _tell(request: RefundRequest, event: str, *, at: datetime) -> None:
    """Queue the mail about what happened to a request."""
    notify(
        request.account,
        f"refund_{event}",
        key=f"{request.reference}:{event}",
        context={
            "reference": request.reference,
            "certificate": request.certificate.name,
            "instance_id": request.certificate.instance_id,
            "amount": request.amount,
            "currency": request.currency,
            "answer": request.answer,
            "lapse_cause": request.lapse_cause,
            "review_due": request.review_due.isoformat() if request.review_due else "",
        },
        at=at,
    )
