"""What happened to a request and what comes next, as its customer reads it. Never names a member of staff."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from core import audit
from core.clock import service_day
from core.models import AuditEntry
from core.money import format_money
from core.templatetags.console_format import moment
from refunds.models import RefundRequest
from refunds.pages.payments_back import Part, in_a_sentence, parts_of, payment
from refunds.pages.progress import Standing
from refunds.rules.explain import review_in_words
from refunds.rules.policies import POLICIES
from refunds.services import undecided_refunds
from refunds.states import UNDECIDED, LapseCause, Reason, RequestState
from refunds.wording import (
    ACTS,
    FOUND_NEXT,
    FOUND_UNDER_REQUEST,
    FOUND_UNDER_WAY,
    LAPSE_CAUSES,
    OWED,
    STANDS,
    STANDS_CAME_BACK,
    STANDS_WHILE_CLOSING,
    STILL_OWED,
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: when, what, who did it, and the words that go with it."""

    at: datetime
    what: str | Promise
    who: str
    note: str = ""


def history_of(request: RefundRequest) -> list[Event]:
    """What happened, oldest first."""
    return [_event(entry, request) for entry in audit.history(request) if entry.act in ACTS]


def _event(entry: AuditEntry, request: RefundRequest) -> Event:
    return Event(at=entry.at, what=ACTS[entry.act], who=_who(entry, request), note=_note(entry, request))


def _who(entry: AuditEntry, request: RefundRequest) -> str:
    if entry.by_id is None:
        return _("by the console")
    return _("by you") if entry.by_id == request.account_id else _("by our staff")


def _note(entry: AuditEntry, request: RefundRequest) -> str:
    """What a customer may read beside an act: their own reason, our answer, a cause, how much of the money.

    Notes among staff stay there, and so do a channel's words on why it did not pay: they are not written for customers.
    """
    if entry.act == "requested":
        return request.reason_in_words if request.reason == Reason.OTHER else str(Reason(request.reason).label)
    if entry.act == "rejected":
        return request.answer
    if entry.act == "lapsed":
        return str(LAPSE_CAUSES[LapseCause(request.lapse_cause)])
    if entry.act == "approved" and entry.by_id is None:
        return _("The refund rules need no review here.")
    if "part" in entry.detail:
        return _part(**entry.detail["part"])
    return ""


def _part(*, amount: int, currency: str, channel: str) -> str:
    told = {"amount": format_money(amount, currency), "channel": in_a_sentence(channel)}
    return _("%(amount)s, paid to your %(channel)s.") % told


# --- Where it stands ---------------------------------------------------------------------------


# In these states the parts say how it came to it.
_TOLD_BY_PARTS = frozenset({RequestState.PAYMENT_FAILED, RequestState.FAILED})


def stands(request: RefundRequest, parts: Iterable[Part] | None = None, *, checked: bool | None = None) -> str:
    """Where the request stands, in a sentence or two. It comes with its certificate.

    `parts`, and `is_checked` as `checked`, are read where they are not given.
    """
    if not (is_checked(request) if checked is None else checked):
        return _stands(request, parts)
    if request.state in UNDECIDED:
        return str(FOUND_UNDER_REQUEST)
    return f"{_stands(request, parts)} {FOUND_UNDER_WAY}"


def is_checked(request: RefundRequest) -> bool:
    """Whether staff are checking a refund that the channel made by itself, of what an open request is about."""
    return request.is_open and undecided_refunds(request.certificate).exists()


def _stands(request: RefundRequest, parts: Iterable[Part] | None) -> str:
    if request.state in _TOLD_BY_PARTS:
        parts = list(parts_of(request) if parts is None else parts)
        if owed := [part for part in parts if part.standing in OWED]:
            return " ".join([*map(_owed, owed), str(STILL_OWED)])
        if any(part.came_back or part.standing == Standing.CAME_BACK_FOR_GOOD for part in parts):
            return _told(request, STANDS_CAME_BACK)
    return _told(request, STANDS_WHILE_CLOSING if _awaits_authority(request) else STANDS[RequestState(request.state)])


def _owed(part: Part) -> str:
    told = {"amount": part.money, "channel": in_a_sentence(part.channel), "when": moment(part.since)}
    return str(OWED[part.standing]) % told


def _told(request: RefundRequest, words: str | Promise) -> str:
    return str(words) % {
        "amount": request.money,
        "ended": moment(request.ended_at),
        "cause": LAPSE_CAUSES[LapseCause(request.lapse_cause)] if request.lapse_cause else "",
    }


def _awaits_authority(request: RefundRequest) -> bool:
    return request.state == RequestState.APPROVED and request.certificate.closing_since is not None


# --- What comes next ---------------------------------------------------------------------------


def next_of(request: RefundRequest, parts: Iterable[Part], at: datetime, *, checked: bool) -> list[str]:
    """What comes next, one step after another, as of `at`; empty when nothing does.

    It comes with its parts, and with whether it `is_checked`.
    """
    if request.state == RequestState.UNDER_REVIEW:
        return [str(FOUND_NEXT)] if checked else [_decision(request, at), *_closing(request), *_payments(parts)]
    if request.state == RequestState.AWAITING_ANSWER:
        return [_("You answer our question; then the review goes on.")]
    if request.state == RequestState.AWAITING_REVOCATION:
        return [_("The certificate authority completes the revocation."), *_payments(parts)]
    if request.state == RequestState.APPROVED:
        return [*_closing(request), *_payments(parts)]
    if request.state in {RequestState.PAYING, RequestState.PAYMENT_FAILED}:
        return _payments(parts)
    return []


def _decision(request: RefundRequest, at: datetime) -> str:
    due = request.review_due
    if due is None:
        return _("Our staff decide.")
    if service_day(at) > due:
        return _(
            "A decision was due by %(due)s and is overdue. You don't need to do anything; our staff will still decide."
        ) % {"due": due}
    return review_in_words(POLICIES[request.policy], due)


def _closing(request: RefundRequest) -> list[str]:
    since = request.certificate.closing_since
    if since is None:
        return []
    words = _(
        "The certificate authority confirms that the application is closed (asked on %(since)s). Should it issue the "
        "certificate instead, the request lapses and you can use the certificate."
    )
    return [words % {"since": moment(since)}]


def _payments(parts: Iterable[Part]) -> list[str]:
    return list(filter(None, map(payment, parts)))
