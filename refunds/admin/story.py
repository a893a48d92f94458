"""What happened to a request, as staff read it: its timeline, and one sentence for whoever comes too late."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from core import audit
from core.models import AuditEntry
from core.templatetags.console_format import day, moment
from refunds.admin import words
from refunds.models import RefundRequest
from refunds.services.preview import Check, changed_facts
from refunds.states import LapseCause, Reason, RequestState

# Their notes are codes, or stand on the page already.
_NOTES_OF_CODES = {"requested": dict(Reason.choices), "lapsed": dict(LapseCause.choices)}


@dataclass(frozen=True)
class Step:
    """One line of the timeline."""

    act: Any
    who: str
    at: datetime
    note: Any


def timeline(history: Iterable[AuditEntry]) -> list[Step]:
    return [Step(words.ACTS.get(entry.act, entry.act), who(entry), entry.at, note_of(entry)) for entry in history]


def who(entry: AuditEntry) -> str:
    return str(entry.by) if entry.by else _("the console")


def note_of(entry: AuditEntry) -> Any:
    codes = _NOTES_OF_CODES.get(entry.act)
    return capfirst(str(codes.get(entry.note, entry.note))) if codes else entry.note


def next_step(request: RefundRequest) -> str:
    """What comes next; empty once nothing does. The request comes with its certificate."""
    if request.state == RequestState.APPROVED and request.certificate.closing_since:
        return str(words.NEXT_WHILE_CLOSING)
    following = words.NEXT.get(RequestState(request.state))
    return str(following) % {"due": day(request.review_due)} if following else ""


def what_happened(request: RefundRequest) -> str:
    """The last thing that somebody did with a request, who and when; the console's own steps follow from it."""
    history = audit.history(request)
    last = history.last()
    if last and last.by is None and last.act != "lapsed":
        last = history.exclude(by=None).exclude(act="requested").last() or last
    if last is None:
        return str(words.STATES[request.state])
    told = {"act": words.ACTS.get(last.act, last.act), "who": who(last), "time": moment(last.at), "note": note_of(last)}
    if last.act == "lapsed":
        return _("%(act)s (%(note)s) on %(time)s.") % told
    return _("%(act)s by %(who)s on %(time)s.") % told


def why_not_approved(request: RefundRequest, preview: Check) -> str:
    """Why approving doesn't approve; empty where it does, and for a request that has moved on."""
    if not preview.on_page:
        return ""
    return str(preview.on_page) % {"facts": ", ".join(str(words.FACTS[name]) for name in changed_facts(request))}
