"""The steps that several acts share. Each runs in its caller's transaction, on what `lock` has locked."""

from datetime import datetime
from typing import Any

from certificates import services as certificates
from certificates.models import Certificate
from core import audit
from core.mail import notify
from core.models import User
from payments import services as payments
from payments.models import Payout
from payments.services import Part
from payments.states import PayoutState
from refunds.exceptions import FactsChanged, InvalidReason
from refunds.models import Decision, RefundRequest
from refunds.rules.facts import facts_of, was_issued_meanwhile
from refunds.rules.situation import situation_with
from refunds.services.found import undecided_refunds
from refunds.states import LapseCause, Verdict


def lock(request_id: int) -> tuple[Certificate, RefundRequest]:
    """Lock the certificate, then its request: the one order for everybody."""
    certificate_id = RefundRequest.objects.values_list("certificate_id", flat=True).get(pk=request_id)
    certificate = certificates.lock(certificate_id)
    request = RefundRequest.objects.select_for_update(of=("self",)).select_related("account").get(pk=request_id)
    request.certificate = certificate
    return certificate, request


def words(text: str, longest: int) -> str:
    """What somebody wrote, without the space around it. Raises InvalidReason when it is empty or too long."""
    stripped = text.strip()
    if not 1 <= len(stripped) <= longest:
        raise InvalidReason(f"{len(stripped)} characters, 1 to {longest} may be stored")
    return stripped


def approve(request: RefundRequest, certificate: Certificate, *, by: User | None, at: datetime, note: str = "") -> None:
    """Decide for the customer. `by` is None where the policy itself approves."""
    Decision.objects.create(request=request, verdict=Verdict.APPROVE, by=by, at=at, effective_at=at, note=note)
    request.approve()
    request.save()
    audit.record(request, "approved", by=by, at=at, note=note, detail=grounds(request))
    order_payouts(request, certificate, at=at)
    if by:
        tell(request, "approved", at=at)


def order_payouts(
    request: RefundRequest, certificate: Certificate, *, at: datetime, found_to_staff: bool = False
) -> None:
    """Order the money back, unless an authority may still issue the certificate. Raises as `payments.order_payouts`."""
    if certificate.closing_since:
        return
    parts = [Part(share.payment_id, share.amount) for share in certificate.shares.all()]
    if sum(part.amount for part in parts) != request.amount:
        raise FactsChanged(request)
    decision = request.decisions.select_related("by").get(verdict=Verdict.APPROVE)
    payments.order_payouts(request.reference, parts, approved_by=decision.by, at=at, found_to_staff=found_to_staff)
    audit.record(request, "money_ordered", by=None, at=at, detail=grounds(request))


def lapse_if_due(request: RefundRequest, certificate: Certificate, *, at: datetime) -> bool:
    """Lapse a request whose certificate has expired or was issued meanwhile; say whether it has lapsed.

    Not while a refund found at a channel is undecided, which may be this request's: the worker's round after the
    decision lapses it.
    """
    if undecided_refunds(certificate).exists():
        return False
    cause = lapse_cause(request, certificate, at=at)
    if cause:
        lapse(request, certificate, cause, at=at)
    return cause is not None


def lapse(request: RefundRequest, certificate: Certificate, cause: LapseCause, *, at: datetime) -> None:
    request.lapse(at=at, cause=cause)
    end(request, certificate, "lapsed", by=None, at=at, note=cause)


def lapse_cause(request: RefundRequest, certificate: Certificate, *, at: datetime) -> LapseCause | None:
    """Why a certificate lets its request lapse at `at`; None where it doesn't."""
    facts = facts_of(certificate)
    if was_issued_meanwhile(request.facts_at_submission, facts, at):
        return LapseCause.ISSUED
    return LapseCause.EXPIRED if facts.expires_at <= at else None


def end(
    request: RefundRequest, certificate: Certificate, act: str, *, by: User | None, at: datetime, note: str = ""
) -> None:
    """Save a request that ended without payment and release its certificate."""
    request.save()
    certificates.release(certificate)
    audit.record(request, act, by=by, at=at, note=note, detail=grounds(request))
    tell(request, act, at=at)


def record_move(request: RefundRequest, act: str, *, at: datetime) -> None:
    """Store and record a move that the console made."""
    request.save()
    audit.record(request, act, by=None, at=at, detail=grounds(request))


def record_return(request: RefundRequest, payout: Payout, *, at: datetime) -> None:
    """Record that a part of the money came back, and tell the customer. The channel's words are for staff."""
    detail = {**grounds(request), "part": part_of(payout)}
    audit.record(request, "returned", by=None, at=at, note=payout.failure, detail=detail)
    tell(request, "returned", at=at, payout=payout)


def part_of(payout: Payout) -> dict[str, Any]:
    """What audit entries and emails record about one part."""
    return {"amount": payout.amount, "currency": payout.currency, "channel": payout.channel}


def grounds(request: RefundRequest) -> dict[str, Any]:
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


def tell(request: RefundRequest, event: str, *, at: datetime, payout: Payout | None = None) -> None:
    """Queue the mail about what happened to a request: once, or once for each payout that it is about."""
    about = f"{request.reference}:{event}"
    notify(
        request.account,
        f"refund_{event}",
        key=f"{about}:{payout.pk}" if payout else about,
        context={
            "reference": request.reference,
            "certificate": request.certificate.name,
            "instance_id": request.certificate.instance_id,
            "amount": request.amount,
            "currency": request.currency,
            "answer": request.answer,
            "lapse_cause": request.lapse_cause,
            "review_due": request.review_due.isoformat() if request.review_due else "",
            "part": part_of(payout) if payout else None,
            "has_come_back": has_come_back(request),
            "has_expired": request.certificate.expires_at <= at,
            "policy": request.policy,
            **_explained(request, event, at=at),
        },
        at=at,
    )


# These say on what the money was asked for and granted; the others, what holds from now on.
_ON_SUBMISSION = frozenset({"received", "approved", "refunded", "returned"})


def _explained(request: RefundRequest, event: str, *, at: datetime) -> dict[str, Any]:
    """The facts and the moment by which an email explains the refund rules."""
    if event in _ON_SUBMISSION:
        return {"facts": request.facts, "asked_at": request.submitted_at.isoformat(), "explains_submission": True}
    now = situation_with(request.certificate, request, at)
    found_at = request.certificate.refund_found_at
    return {
        "facts": now.facts.to_json(),
        "asked_at": now.at.isoformat(),
        "refund_found_at": found_at.isoformat() if found_at else "",
    }


def has_come_back(request: RefundRequest) -> bool:
    """Whether any of its money ever came back to us."""
    return Payout.objects.filter(reference=request.reference, state=PayoutState.RETURNED).exists()
