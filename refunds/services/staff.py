"""What staff do."""

import hashlib
import json
from datetime import datetime

from django.db import transaction

from core.models import User
from core.stale import require_current
from payments import services as payments
from payments.exceptions import PayoutMoved
from refunds.exceptions import FactsChanged, RequestMoved
from refunds.models import LONGEST_ANSWER, Decision, RefundRequest
from refunds.rules.assess import Facts
from refunds.rules.facts import facts_of
from refunds.services import steps
from refunds.services.preview import Check, Effect, preview_approval
from refunds.states import RequestState, Verdict


@transaction.atomic
def approve_refund(request_id: int, *, seen: str, by: User, at: datetime, note: str = "") -> RefundRequest:
    """Grant a request on the facts of its submission and order its payouts.

    `seen` is `review_token` of the page that was decided on. Returns the request lapsed when its certificate expired or
    was issued meanwhile, whatever the page showed. Raises MayNotDecide, InvalidReason, RequestMoved, FactsChanged,
    NotRefundable and RefundedOutside; then nothing is stored.
    """
    note = steps.words(note, LONGEST_ANSWER) if note else ""
    request, now = _lock_for_decision(request_id, seen=seen, by=by, at=at)
    if now.lapse_cause:
        return request
    if now.refusal:
        raise now.refusal(request)
    steps.approve(request, request.certificate, by=by, at=at, note=note)
    return request


@transaction.atomic
def reject_refund(request_id: int, *, answer: str, seen: str, by: User, at: datetime) -> RefundRequest:
    """Refuse a request with an answer that its customer reads. Returns and raises as `approve_refund`."""
    answer = steps.words(answer, LONGEST_ANSWER)
    request, now = _lock_for_decision(request_id, seen=seen, by=by, at=at)
    if now.lapse_cause:
        return request
    Decision.objects.create(request=request, verdict=Verdict.REJECT, by=by, at=at, effective_at=at, note=answer)
    request.reject(at=at, answer=answer)
    steps.end(request, request.certificate, "rejected", by=by, at=at, note=answer)
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


def review_token(request: RefundRequest, facts: Facts) -> str:
    """A digest of what a reviewer's page shows; it differs when the request or a fact has changed since."""
    shown = json.dumps([request.pk, request.state, facts.to_json()], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()


def _lock_for_decision(request_id: int, *, seen: str, by: User, at: datetime) -> tuple[RefundRequest, Check]:
    """Lock a request and say what approving it does; where its certificate lets it lapse, it has lapsed.

    Raises what blocks any decision, and FactsChanged where the request isn't what the page showed.
    """
    certificate, request = steps.lock(request_id)
    now = preview_approval(request, by=by, at=at)
    if now.refusal and now.effect == Effect.UNDECIDABLE:
        raise now.refusal(request)
    if now.lapse_cause:
        steps.lapse(request, certificate, now.lapse_cause, at=at)
    elif seen != review_token(request, facts_of(certificate)):
        raise FactsChanged(request)
    return request, now
