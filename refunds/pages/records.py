"""What Refund Records shows: a line a request, and the whole record of one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.business_days import is_announced
from core.clock import service_day
from refunds.models import RefundRequest
from refunds.pages.panel import request_chip, request_facts
from refunds.pages.payments_back import Part, came_back_among, parts_of
from refunds.pages.timeline import Event, history_of, is_checked, next_of
from refunds.rules.explain import explain
from refunds.rules.offer import Offer
from refunds.rules.sentences import PROVISIONAL_NOTE
from refunds.rules.situation import situation_with
from refunds.services import certificates_undecided
from refunds.states import ENDED_UNPAID, MONEY_ORDERED, OPEN, UNDECIDED, RequestState
from refunds.wording import FOUND_SHORT

# Seconds between two questions of a page that shows a request in motion.
MOVING, WAITING = 2, 15
# Of the other requests of a certificate.
SHOWN_OTHERS = 20
# No payout was ordered, or none ever will be.
NOTHING_COMES = ENDED_UNPAID - {RequestState.FAILED}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as a line of the list."""

    refund: RefundRequest
    state: SafeString
    is_due: bool
    # What of it came back and is still owed; empty where nothing is.
    came_back: str = ""
    # That staff are checking a refund that was already made; empty where they are not.
    checked: str = ""


def rows_of(refunds: Sequence[RefundRequest]) -> list[Row]:
    came_back = came_back_among((refund.state, refund.reference) for refund in refunds)
    checked = _checked_among(refunds)
    return [_row(refund, came_back.get(refund.reference, ""), refund.pk in checked) for refund in refunds]


def _checked_among(refunds: Iterable[RefundRequest]) -> set[int]:
    """The open ones that a refund made by the channel itself may be of, while nobody has decided. One query at most."""
    certificates = {refund.pk: refund.certificate_id for refund in refunds if refund.is_open}
    if not certificates:
        return set()
    undecided = set(certificates_undecided().filter(certificate__in=certificates.values()))
    return {pk for pk, certificate_id in certificates.items() if certificate_id in undecided}


def _row(refund: RefundRequest, came_back: str, is_checked: bool) -> Row:
    is_due = refund.state in UNDECIDED and refund.review_due is not None
    checked = str(FOUND_SHORT) if is_checked else ""
    return Row(refund, request_chip(refund.state, came_back=bool(came_back)), is_due, came_back, checked)


def poll_seconds(refunds: Iterable[RefundRequest]) -> int:
    """How soon the list asks again; 0 while nothing in it is in motion."""
    states = {refund.state for refund in refunds}
    # What failed or came back is with a person.
    if states & (MONEY_ORDERED - {RequestState.PAYMENT_FAILED}):
        return MOVING
    return WAITING if states & OPEN else 0


def version_of(rows: Iterable[Row]) -> str:
    return _digest([(row.refund.pk, row.refund.state, row.came_back, row.checked) for row in rows])


def refresh_address(query: Mapping[str, str], version: str) -> str:
    """The address of the same page of the list, with the version that is shown."""
    kept = {name: query[name] for name in ("after", "before") if name in query}
    return f"{reverse('refund_records')}?{urlencode({**kept, 'since': version})}"


# --- One record --------------------------------------------------------------------------------


def context_of(refund: RefundRequest, at: datetime) -> dict[str, Any]:
    """Everything on a record's page. The request comes with its certificate, order and product."""
    parts, history, others = parts_of(refund), history_of(refund), _others(refund)
    checked = is_checked(refund)
    facts = request_facts(refund, at, parts, checked=checked)
    return {
        **facts,
        "explanation": explain(refund.facts_at_submission, refund.submitted_at),
        "amount_label": _amount_label(refund),
        "parts": [] if refund.state in NOTHING_COMES else parts,
        "history": history,
        "next": next_of(refund, parts, at, checked=checked),
        "is_late": refund.state == RequestState.UNDER_REVIEW and _is_past(refund, at),
        "is_due": refund.state in UNDECIDED and refund.review_due is not None,
        "due_note": PROVISIONAL_NOTE if refund.review_due and not is_announced(refund.review_due) else "",
        "others": [(row.refund, row.state) for row in rows_of(others)],
        "may_ask_again": _may_ask_again(refund, others, at),
        "version": _version(refund, parts, history, others, facts["stands"]),
        "poll_seconds": _poll_seconds(refund, parts),
    }


def may_say(done: str, refund: RefundRequest) -> bool:
    """Whether a page may still say that this was done: an old address must not claim what is over."""
    return {
        "requested": refund.state not in {RequestState.CANCELLED, RequestState.LAPSED},
        "cancelled": refund.state == RequestState.CANCELLED,
    }.get(done, False)


def _version(
    refund: RefundRequest, parts: list[Part], history: list[Event], others: list[RefundRequest], stands: str
) -> str:
    certificate = refund.certificate
    return _digest(
        [
            refund.state,
            stands,
            certificate.state,
            certificate.closing_since,
            parts,
            len(history),
            [(other.pk, other.state) for other in others],
        ]
    )


def _amount_label(refund: RefundRequest) -> str:
    if refund.state == RequestState.REFUNDED:
        return _("You got back")
    return _("You get back") if refund.state in OPEN else _("Asked for")


def _others(refund: RefundRequest) -> list[RefundRequest]:
    """The other requests of the same certificate, newest first, at most so many as anybody looks through."""
    others = RefundRequest.objects.of(refund.certificate).exclude(pk=refund.pk).filter(account_id=refund.account_id)
    return list(others[:SHOWN_OTHERS])


def _may_ask_again(refund: RefundRequest, others: list[RefundRequest], at: datetime) -> bool:
    """Whether the certificate's newest request has ended and another may follow."""
    certificate = refund.certificate
    is_newest = all(other.pk < refund.pk for other in others)
    if certificate.deleted_at or not is_newest:
        return False
    return situation_with(certificate, refund, at).offer == Offer.REFUND


def _is_past(refund: RefundRequest, at: datetime) -> bool:
    return refund.review_due is not None and service_day(at) > refund.review_due


def _poll_seconds(refund: RefundRequest, parts: Iterable[Part]) -> int:
    """Soon while the console itself is paying; slower while a person or an authority is awaited."""
    if refund.state not in OPEN:
        return 0
    return MOVING if any(part.is_moving for part in parts) else WAITING


def _digest(shown: Any) -> str:
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
