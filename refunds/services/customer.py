"""What a customer does."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from certificates import services as certificates
from core import audit
from core.business_days import CALENDAR_VERSION
from core.models import User
from refunds.exceptions import (
    AlreadyRequested,
    InvalidReason,
    MayNotRequest,
    NotRefundable,
    RefundedOutside,
    RequestMoved,
    SummaryChanged,
)
from refunds.models import LONGEST_REASON, RefundRequest, new_reference
from refunds.rules.assess import Assessment
from refunds.rules.situation import Situation, situation_of
from refunds.rules.table import Review
from refunds.services import found, steps
from refunds.services.agreed import Summary, summarise
from refunds.states import CANCELLABLE, LIVE, Reason


@transaction.atomic
def request_refund(
    certificate_id: int, *, agreed: Summary, form_key: UUID, reason: str, reason_text: str, by: User, at: datetime
) -> RefundRequest:
    """Ask for the paid part of a certificate back, as shown and agreed to.

    Submitting the same form again returns the request it already made. `reason_text` counts with the reason *Other*
    alone. Raises MayNotRequest, InvalidReason, AlreadyRequested, RefundedOutside, NotRefundable and SummaryChanged;
    then nothing is stored.
    """
    certificate = certificates.lock(certificate_id)
    if certificate.account_id != by.pk or not by.is_active or certificate.deleted_at:
        raise MayNotRequest(str(certificate))
    known = RefundRequest.objects.filter(form_key=form_key, certificate=certificate).first()
    if known:
        return known
    text = _text_of(reason, reason_text)
    situation = situation_of(certificate, at)
    at = situation.at
    assessment = _assess_for_request(situation, agreed)
    request = _store(situation, form_key=form_key, reason=reason, reason_text=text, requested_by=by)
    certificates.hold(certificate, request.reference, at=at)
    audit.record(request, "requested", by=by, at=at, note=request.reason, detail=steps.grounds(request))
    if assessment.review == Review.NONE:
        steps.approve(request, certificate, by=None, at=at)
    else:
        steps.tell(request, "received", at=at)
    return request


@transaction.atomic
def cancel_refund(request_id: int, *, by: User, at: datetime) -> RefundRequest:
    """Cancel a request and release its certificate.

    Raises MayNotRequest; RequestMoved when it is too late; RefundedOutside while staff are checking a refund that the
    payment channel has made by itself.
    """
    certificate, request = steps.lock(request_id)
    if request.account_id != by.pk or not by.is_active:
        raise MayNotRequest(str(request))
    if request.state not in CANCELLABLE:
        raise RequestMoved(request)
    found.require_decided(certificate)
    request.cancel(at=at)
    steps.end(request, certificate, "cancelled", by=by, at=at)
    return request


def _text_of(reason: str, text: str) -> str:
    """What is stored beside a reason: the customer's own words with *Other*, else nothing. Raises InvalidReason."""
    if reason not in Reason.values:
        raise InvalidReason(reason)
    return steps.words(text, LONGEST_REASON) if reason == Reason.OTHER else ""


def _assess_for_request(situation: Situation, agreed: Summary) -> Assessment:
    certificate, newest, assessment = situation.certificate, situation.newest, situation.assessment
    if isinstance(newest, RefundRequest) and newest.state in LIVE:
        raise AlreadyRequested(newest)
    if certificate.refund_found_at:
        raise RefundedOutside(str(certificate))
    if not assessment.supported:
        raise NotRefundable(assessment)
    if assessment.review == Review.NONE and found.is_refund_found(certificate):
        # Also where it is of another certificate of the order: no money of its payments can be ordered now.
        raise RefundedOutside(str(certificate))
    now = summarise(situation)
    if now != agreed:
        raise SummaryChanged(now)
    return assessment


def _store(situation: Situation, **typed: Any) -> RefundRequest:
    certificate, facts, assessment = situation.certificate, situation.facts, situation.assessment
    return RefundRequest.objects.create(
        reference=new_reference(situation.at),
        certificate=certificate,
        account_id=certificate.account_id,
        submitted_at=situation.at,
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
