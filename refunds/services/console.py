"""What the console itself does: ends what time or an authority has decided, and follows the money.

The last three functions are hooks of the floors below; `console.settings` names them.
"""

import logging
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q

from certificates import services as certificates
from certificates.models import Certificate
from core.one_by_one import one_by_one
from payments.models import Payout
from payments.states import PayoutState
from refunds.exceptions import RequestMoved
from refunds.models import RefundRequest
from refunds.rules.facts import facts_of, was_issued_meanwhile
from refunds.rules.policies import Rule
from refunds.services import found, steps
from refunds.states import MONEY_ORDERED, UNDECIDED, RequestState

logger = logging.getLogger(__name__)

# Of these a part is still owed to the customer.
NOT_WITH_CUSTOMER = frozenset({PayoutState.FAILED, PayoutState.RETURNED})
UNISSUED_RULES = (Rule.UNISSUED_IMMEDIATE, Rule.UNISSUED_MANUAL)


def lapse_overdue(*, at: datetime, limit: int = 500) -> int:
    """Lapse the undecided requests whose certificate has expired or was issued meanwhile; return how many.

    Approved ones too that were issued before their money was ordered. None while a refund found at a channel is
    undecided. One that cannot be lapsed is logged and keeps no other from it.
    """
    issued = Q(certificate__issued_at__lte=at, rule__in=UNISSUED_RULES)
    undecided = Q(Q(certificate__expires_at__lte=at) | issued, state__in=sorted(UNDECIDED))
    due = RefundRequest.objects.filter(undecided | Q(issued, state=RequestState.APPROVED))
    waiting = due.exclude(certificate__in=found.certificates_undecided())
    ids = list(waiting.order_by("id").values_list("id", flat=True)[:limit])
    return one_by_one(partial(_lapse, at=at), ids, logger=logger, failed="refund request %d could not be lapsed")


@transaction.atomic
def _lapse(request_id: int, *, at: datetime) -> bool:
    certificate, request = steps.lock(request_id)
    if request.state == RequestState.APPROVED and not _states_of_payouts(request):
        return _was_issued(request, certificate, at=at) and steps.lapse_if_due(request, certificate, at=at)
    return request.state in UNDECIDED and steps.lapse_if_due(request, certificate, at=at)


def lock_for_payout(reference: str) -> None:
    """PAYOUT_SETTLING: lock the certificate and the request behind a payout, before its payment is."""
    request_id = RefundRequest.objects.filter(reference=reference).values_list("id", flat=True).first()
    if request_id:
        steps.lock(request_id)


def payout_settled(payout: Payout, *, at: datetime) -> None:
    """PAYOUT_SETTLED: move the request on after its payout. Raises RequestMoved when it awaits no money."""
    request = RefundRequest.objects.select_for_update().filter(reference=payout.reference).first()
    if request is None:
        return
    if payout.state == PayoutState.RETURNED:
        _take_back(request, payout, at=at)
    elif request.state in MONEY_ORDERED:
        _follow(request, payout, at=at)
    else:
        raise RequestMoved(request)


def certificate_changed(certificate: Certificate, *, at: datetime) -> None:
    """CERTIFICATE_CHANGED: an authority has answered. Issued lapses the request; closed lets its money go."""
    request = RefundRequest.objects.select_for_update().of(certificate).open().first()
    if request is None or _states_of_payouts(request):
        return
    if _was_issued(request, certificate, at=at):
        # Where a refund found at the channel is undecided, it lapses once it is decided (`lapse_overdue`).
        steps.lapse_if_due(request, certificate, at=at)
        return
    if request.state == RequestState.APPROVED:
        # What the channel has given back by itself since the approval is for staff to look at.
        steps.order_payouts(request, certificate, at=at, found_to_staff=True)


def _was_issued(request: RefundRequest, certificate: Certificate, *, at: datetime) -> bool:
    return was_issued_meanwhile(request.facts_at_submission, facts_of(certificate), at)


def _states_of_payouts(request: RefundRequest) -> set[str]:
    current = Payout.objects.current().filter(reference=request.reference)
    return set(current.values_list("state", flat=True))


def _follow(request: RefundRequest, payout: Payout, *, at: datetime) -> None:
    """Bring the request to where its payouts are, over every state that lies between."""
    payouts = _states_of_payouts(request)
    is_missing_money = bool(payouts & NOT_WITH_CUSTOMER)
    is_tried_again = request.state == RequestState.PAYMENT_FAILED and not is_missing_money
    if request.state == RequestState.APPROVED or is_tried_again:
        request.pay()
        steps.record_move(request, "paying", at=at)
    if is_missing_money and request.state == RequestState.PAYING:
        request.fail_payment()
        steps.record_move(request, "payment_failed", at=at)
    if payouts == {PayoutState.PAID}:
        _finish(request, payout, at=at)


def _finish(request: RefundRequest, payout: Payout, *, at: datetime) -> None:
    """`payout` is the last that was paid: a refund made good is told again."""
    request.settle(at=at)
    steps.record_move(request, "refunded", at=at)
    certificates.refund(certificates.lock(request.certificate_id))
    steps.tell(request, "refunded", at=at, payout=payout if steps.has_come_back(request) else None)


def _take_back(request: RefundRequest, payout: Payout, *, at: datetime) -> None:
    """A part came back: whatever its other parts do, money is owed, and a certificate that had ended is on hold again.

    Raises RequestMoved from a state in which nothing can have been paid.
    """
    if request.state == RequestState.REFUNDED:
        certificates.undo_refund(certificates.lock(request.certificate_id), request.reference)
    if request.state in {RequestState.PAYING, RequestState.REFUNDED}:
        request.fail_payment()
    if request.state != RequestState.PAYMENT_FAILED:
        raise RequestMoved(request)
    request.save()
    steps.record_return(request, payout, at=at)
