"""What approving a request does now: the one question of the page that shows it and of the act itself."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from core.models import User
from refunds.exceptions import FactsChanged, MayNotDecide, NotRefundable, RefundedOutside, RefundsError, RequestMoved
from refunds.models import RefundRequest
from refunds.rules.assess import Assessment, assess
from refunds.rules.facts import decisive_differences, facts_of
from refunds.services import found, steps
from refunds.states import LapseCause, RequestState


class Outlook(StrEnum):
    """In the order in which they're asked."""

    OWN = "own"
    NOT_PERMITTED = "not_permitted"
    MOVED = "moved"
    # A refund made directly at the channel: nobody has decided on it yet, or it was kept as unmatched.
    REFUNDED_OUTSIDE = "refunded_outside"
    # By the names of their causes.
    ISSUED = LapseCause.ISSUED.value
    EXPIRED = LapseCause.EXPIRED.value
    NOT_SUPPORTED = "not_supported"
    CHANGED = "changed"
    REFUND_KEPT = "refund_kept"
    APPROVE = "approve"


LAPSES = frozenset({Outlook.ISSUED, Outlook.EXPIRED})
# Approving does something: it approves, or it lets the request lapse.
ACTS = LAPSES | {Outlook.APPROVE}
# Nothing can be decided, neither way.
UNDECIDABLE = frozenset({Outlook.OWN, Outlook.NOT_PERMITTED, Outlook.MOVED, Outlook.REFUNDED_OUTSIDE})

REFUSALS: Mapping[Outlook, Callable[[RefundRequest], RefundsError]] = {
    Outlook.OWN: lambda request: MayNotDecide(str(request)),
    Outlook.NOT_PERMITTED: lambda request: MayNotDecide(str(request)),
    Outlook.MOVED: RequestMoved,
    Outlook.REFUNDED_OUTSIDE: lambda request: RefundedOutside(str(request)),
    Outlook.NOT_SUPPORTED: lambda request: NotRefundable(_at_submission(request)),
    Outlook.CHANGED: FactsChanged,
    Outlook.REFUND_KEPT: lambda request: RefundedOutside(str(request)),
}


def outlook(request: RefundRequest, *, by: User, at: datetime) -> Outlook:
    """What `approve_refund` does to this request at `at`, by this person. The request comes with its certificate.

    Where the certificate and the request are locked, the answer holds until the transaction ends.
    """
    if not may_decide(request, by):
        return Outlook.OWN if _is_involved(request, by) else Outlook.NOT_PERMITTED
    if request.state != RequestState.UNDER_REVIEW:
        return Outlook.MOVED
    if found.undecided_refunds(request.certificate).exists():
        return Outlook.REFUNDED_OUTSIDE
    cause = steps.lapse_cause(request, request.certificate, at=at)
    return Outlook(cause) if cause else _of_decision(request)


def _of_decision(request: RefundRequest) -> Outlook:
    """It must be supported on the facts and at the moment of submission, and nothing decisive may have changed."""
    then = _at_submission(request)
    if not then.supported or then.amount != request.amount:
        return Outlook.NOT_SUPPORTED
    if decisive_differences(request.facts_at_submission, facts_of(request.certificate)):
        return Outlook.CHANGED
    # Decided: it was kept as unmatched, so no other money of the payment goes back.
    return Outlook.REFUND_KEPT if found.is_refund_found(request.certificate) else Outlook.APPROVE


def may_decide(request: RefundRequest, by: User) -> bool:
    """Whether a person may decide this request: with the permission, and it is neither theirs nor made by them."""
    may_review = by.is_active and by.is_staff and by.has_perm("refunds.review_refund")
    return may_review and not _is_involved(request, by)


def _is_involved(request: RefundRequest, by: User) -> bool:
    return by.pk in {request.account_id, request.requested_by_id}


def _at_submission(request: RefundRequest) -> Assessment:
    return assess(request.facts_at_submission, request.submitted_at)
