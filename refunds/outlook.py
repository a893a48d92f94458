"""What approving a request would do now, said before anybody does it. Reads, locks and changes nothing."""

from datetime import datetime
from enum import StrEnum

from core.models import User
from refunds.facts import decisive_differences, facts_of, was_issued_meanwhile
from refunds.models import RefundRequest
from refunds.policy import assess
from refunds.services import is_refund_found, may_decide, undecided_refunds
from refunds.states import RequestState


class Outlook(StrEnum):
    """In the order in which `approve_refund` asks."""

    OWN = "own"
    NOT_PERMITTED = "not_permitted"
    MOVED = "moved"
    # A refund made directly at the channel: nobody has decided on it yet, or it was kept as unmatched.
    REFUNDED_OUTSIDE = "refunded_outside"
    ISSUED = "issued"
    EXPIRED = "expired"
    NOT_SUPPORTED = "not_supported"
    CHANGED = "changed"
    REFUND_KEPT = "refund_kept"
    APPROVE = "approve"


LAPSES = frozenset({Outlook.ISSUED, Outlook.EXPIRED})
# Approving does something: it approves, or it lets the request lapse.
ACTS = LAPSES | {Outlook.APPROVE}


def outlook(request: RefundRequest, *, by: User, at: datetime) -> Outlook:
    """What `approve_refund` would do to this request at `at`, by this person. It comes with its certificate."""
    if not may_decide(request, by):
        return Outlook.OWN if by.pk in {request.account_id, request.requested_by_id} else Outlook.NOT_PERMITTED
    if request.state != RequestState.UNDER_REVIEW:
        return Outlook.MOVED
    return _of_facts(request, at)


def _of_facts(request: RefundRequest, at: datetime) -> Outlook:
    if undecided_refunds(request.certificate).exists():
        return Outlook.REFUNDED_OUTSIDE
    before, now = request.facts_at_submission, facts_of(request.certificate)
    if was_issued_meanwhile(before, now, at):
        return Outlook.ISSUED
    if now.expires_at <= at:
        return Outlook.EXPIRED
    then = assess(before, request.submitted_at)
    if not then.supported or then.amount != request.amount:
        return Outlook.NOT_SUPPORTED
    if decisive_differences(before, now):
        return Outlook.CHANGED
    return Outlook.REFUND_KEPT if is_refund_found(request.certificate) else Outlook.APPROVE
