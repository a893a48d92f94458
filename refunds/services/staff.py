"""What staff do."""

import hashlib
import json
from datetime import datetime

from django.db import transaction

from certificates.models import Certificate
from core.models import User
from core.stale import require_current
from payments import services as payments
from payments.exceptions import PayoutMoved
from refunds.exceptions import FactsChanged, MayNotDecide, NotRefundable, RefundedOutside, RequestMoved
from refunds.facts import decisive_differences, facts_of
from refunds.models import LONGEST_ANSWER, Decision, RefundRequest
from refunds.policy import Facts, assess
from refunds.services import found, steps
from refunds.states import RequestState, Verdict


@transaction.atomic
def approve_refund(request_id: int, *, seen: str, by: User, at: datetime, note: str = "") -> RefundRequest:
    """Grant a request on the facts of its submission and order its payouts.

    `seen` is `review_token` of the page that was decided on. Returns the request lapsed when its certificate expired or
    was issued meanwhile, whatever the page showed. Raises MayNotDecide, InvalidReason, RequestMoved, FactsChanged,
    NotRefundable and RefundedOutside; then nothing is stored.
    """
    note = steps.words(note, LONGEST_ANSWER) if note else ""
    certificate, request = _lock_for_decision(request_id, by=by)
    found.require_decided(certificate)
    if steps.lapse_if_due(request, certificate, at=at):
        return request
    _require_as_seen(request, certificate, seen)
    _require_unchanged_support(request, certificate)
    if found.is_refund_found(certificate):
        # Decided: it was kept as unmatched, so no other money of the payment goes back.
        raise RefundedOutside(str(request))
    steps.approve(request, certificate, by=by, at=at, note=note)
    return request


@transaction.atomic
def reject_refund(request_id: int, *, answer: str, seen: str, by: User, at: datetime) -> RefundRequest:
    """Refuse a request with an answer that its customer reads. Returns and raises as `approve_refund`."""
    answer = steps.words(answer, LONGEST_ANSWER)
    certificate, request = _lock_for_decision(request_id, by=by)
    found.require_decided(certificate)
    if steps.lapse_if_due(request, certificate, at=at):
        return request
    _require_as_seen(request, certificate, seen)
    Decision.objects.create(request=request, verdict=Verdict.REJECT, by=by, at=at, effective_at=at, note=answer)
    request.reject(at=at, answer=answer)
    steps.end(request, certificate, "rejected", by=by, at=at, note=answer)
    return request


@transaction.atomic
def fail_refund(request_id: int, *, reason: str, by: User, at: datetime, seen: str | None = None) -> RefundRequest:
    """Give a refund up whose payouts have all failed; the certificate can be used again.

    `seen` is `review_token` of the page that was acted on. Raises StalePage, RequestMoved, InvalidReason, and what
    `payments.services.give_up` raises.
    """
    reason = steps.words(reason, LONGEST_ANSWER)
    certificate, request = steps.lock(request_id)
    require_current(seen, review_token(request, facts_of(certificate)))
    if request.state != RequestState.PAYMENT_FAILED:
        raise RequestMoved(request)
    payments.give_up(request.reference, by=by, at=at)
    request.give_up(at=at)
    steps.end(request, certificate, "failed", by=by, at=at, note=reason)
    return request


def fail_refund_of(reference: str, *, reason: str, by: User, at: datetime) -> None:
    """PAYOUT_IMPOSSIBLE: give up the refund behind a payout that cannot be made. Raises PayoutMoved and NotYours."""
    request = RefundRequest.objects.only("pk").get(reference=reference)
    try:
        fail_refund(request.pk, reason=reason, by=by, at=at)
    except RequestMoved as moved:
        raise PayoutMoved(str(moved)) from moved


def may_decide(request: RefundRequest, by: User) -> bool:
    """Whether a person may decide this request: with the permission, and it is neither theirs nor made by them."""
    is_involved = by.pk in {request.account_id, request.requested_by_id}
    return by.is_active and by.is_staff and by.has_perm("refunds.review_refund") and not is_involved


def review_token(request: RefundRequest, facts: Facts) -> str:
    """A digest of what a reviewer's page shows; it differs when the request or a fact has changed since."""
    shown = json.dumps([request.pk, request.state, facts.to_json()], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()


def _lock_for_decision(request_id: int, *, by: User) -> tuple[Certificate, RefundRequest]:
    certificate, request = steps.lock(request_id)
    if not may_decide(request, by):
        raise MayNotDecide(str(request))
    if request.state != RequestState.UNDER_REVIEW:
        raise RequestMoved(request)
    return certificate, request


def _require_as_seen(request: RefundRequest, certificate: Certificate, seen: str) -> None:
    if seen != review_token(request, facts_of(certificate)):
        raise FactsChanged(request)


def _require_unchanged_support(request: RefundRequest, certificate: Certificate) -> None:
    """Both must hold: supported on the facts and at the moment of submission, and nothing decisive has changed."""
    before = request.facts_at_submission
    assessment = assess(before, request.submitted_at)
    if not assessment.supported or assessment.amount != request.amount:
        raise NotRefundable(assessment)
    if decisive_differences(before, facts_of(certificate)):
        raise FactsChanged(request)
