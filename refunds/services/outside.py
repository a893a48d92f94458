"""Refunds that a channel made by itself: which request each may be the payout of, and making it that."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext as _

from certificates import services as certificates
from certificates.models import Certificate, Share
from certificates.states import CAN_END
from core import audit
from core.models import User
from core.money import format_money
from core.text import isolated
from payments.exceptions import NotYours
from payments.models import Difference
from payments.services import Candidate, DifferenceMoved, take_as_payouts
from payments.states import DifferenceKind
from refunds.models import Decision, RefundRequest
from refunds.services import steps
from refunds.services.preview import is_involved
from refunds.states import LIVE, RequestState, Verdict


def candidates_of(difference: Difference) -> list[Candidate]:
    """REFUND_CANDIDATES: what a person may choose from.

    Requests under review whose every part was found at its channel, and certificates of the payment without one.
    """
    shares = Share.objects.filter(payment=difference.payment_id, amount__gt=0).select_related("certificate")
    paid_for = {share.certificate_id: share for share in shares.order_by("certificate_id")}
    requests = RefundRequest.objects.filter(certificate__in=paid_for, state__in=sorted(LIVE))
    live = {request.certificate_id: request for request in requests.select_related("certificate", "account")}
    fitting = [request for request in live.values() if _cover(request, difference)]
    return [
        *(_request(request) for request in sorted(fitting, key=lambda request: request.pk)),
        *(_certificate(share) for pk, share in paid_for.items() if pk not in live),
    ]


def confirm_channel_refund(difference: Difference, candidate: str, *, by: User, at: datetime) -> None:
    """REFUND_CONFIRMED: a request goes from under review to refunded, with the channel's refunds as its payouts.

    In the caller's transaction. Raises DifferenceMoved where it no longer fits, NotYours, and as `take_as_payouts`.
    """
    request_id = RefundRequest.objects.filter(reference=candidate).values_list("pk", flat=True).first()
    if request_id is None:
        raise DifferenceMoved(candidate)
    certificate, request = steps.lock(request_id)
    if is_involved(request, by):
        raise NotYours(str(request))
    found = _cover(request, difference)
    if not found:
        raise DifferenceMoved(str(request))
    _confirm(request, certificate, found, by=by, at=at)


def _confirm(
    request: RefundRequest, certificate: Certificate, found: Iterable[Difference], *, by: User, at: datetime
) -> None:
    payouts = take_as_payouts([each.pk for each in found], request.reference, by=by, at=at)
    note = ", ".join(payout.external_reference for payout in payouts)
    Decision.objects.create(request=request, verdict=Verdict.CONFIRM, by=by, at=at, effective_at=at, note=note)
    request.confirm(at=at)
    request.save()
    certificates.refund(certificate)
    audit.record(request, "confirmed", by=by, at=at, note=note, detail=steps.grounds(request))
    steps.tell(request, "refunded", at=at)


# --- What fits ---------------------------------------------------------------------------------


def _cover(request: RefundRequest, difference: Difference) -> list[Difference]:
    """The refunds found that are the request's parts, this one among them, by payment; empty unless there is each."""
    certificate = request.certificate
    if difference.kind != DifferenceKind.MISSING_HERE or difference.is_pending:
        return []
    if request.state != RequestState.UNDER_REVIEW or not _can_end(certificate):
        return []
    shares = list(certificate.shares.filter(amount__gt=0).order_by("payment_id"))
    known = Difference.objects.found_at_channel().filter(
        is_pending=False, payment__in=[share.payment_id for share in shares]
    )
    found = [difference, *known.exclude(payment=difference.payment_id).order_by("id")]
    parts = [next((each for each in found if _is_part(each, share, certificate)), None) for share in shares]
    return [] if None in parts or difference not in parts else [part for part in parts if part]


def _can_end(certificate: Certificate) -> bool:
    """Whether nothing of it is in use, and no authority can issue it any more."""
    return certificate.state in CAN_END and certificate.closing_since is None


def _is_part(difference: Difference, share: Share, certificate: Certificate) -> bool:
    is_meant = difference.assigned_to in {"", certificate.instance_id}
    found = (difference.payment_id, difference.amount, difference.currency)
    return is_meant and found == (share.payment_id, share.amount, certificate.currency)


def _request(request: RefundRequest) -> Candidate:
    told = {"request": request, "certificate": _name(request.certificate), "money": request.money}
    label = _("Request %(request)s: %(certificate)s, %(money)s") % {**told}
    return Candidate(request.reference, f"{label} · {request.account}", is_request=True)


def _certificate(share: Share) -> Candidate:
    money = format_money(share.amount, share.certificate.currency)
    return Candidate(share.certificate.instance_id, f"{_name(share.certificate)}, {money}", is_request=False)


def _name(certificate: Certificate) -> str:
    return f"{isolated(certificate.shown_name)} ({certificate.instance_id})"
