"""What the Details panel shows of one certificate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from certificates import names
from certificates.actions import actions_of, await_proof, renewed_among
from certificates.models import Certificate
from certificates.states import shown_state
from certificates.wording import kind_of
from console.rows import links_to, note_of, state_mark
from core.clock import zone_label
from refunds.models import RefundRequest
from refunds.pages.payments_back import came_back_among
from refunds.pages.timeline import is_checked
from refunds.rules.situation import situation_of
from refunds.wording import FOUND_SHORT

# In the order of a certificate's life.
EVENTS = {
    "purchased_at": _("Purchased"),
    "submitted_at": _("Application submitted"),
    "proven_at": _("Domains proven"),
    "validated_at": _("Application approved by the authority"),
    "issued_at": _("Issued"),
    "not_before": _("Valid from, as the certificate says"),
    "revocation_requested_at": _("Revocation requested"),
    "revocation_confirmed_at": _("Revocation confirmed"),
    "revoked_at": _("Revoked"),
    "service_ends_at": _("Service period ends"),
    "not_after": _("Certificate expires"),
}


@dataclass(frozen=True, slots=True)
class Event:
    label: str
    at: datetime | None
    is_to_come: bool


def of(certificate: Certificate, at: datetime) -> dict[str, Any]:
    """The template's context: `certificate` comes with its order and product."""
    situation = situation_of(certificate, at)
    awaits_proof = certificate.pk in await_proof([certificate])
    is_renewed = certificate.pk in renewed_among([certificate], at)
    actions = actions_of(certificate, at, awaits_proof=awaits_proof, is_renewed=is_renewed)
    newest = situation.newest
    return {
        "certificate": certificate,
        "kind": kind_of(certificate),
        "state": state_mark(shown_state(certificate.state, certificate.expires_at, at), get_language() or ""),
        "note": note_of(certificate, awaits_proof=awaits_proof),
        "links": links_to(actions, get_language() or ""),
        "domains": [names.shown(name) for name in certificate.domains.values_list("name", flat=True)],
        "renewed": certificate.renewal_of,
        "events": _events(certificate, at),
        "newest": newest,
        "standing": _standing(newest) if isinstance(newest, RefundRequest) else "",
        "checked": FOUND_SHORT if isinstance(newest, RefundRequest) and is_checked(newest) else "",
        "explanation": situation.explanation,
        "offer": situation.offer,
        "answer": situation.answer,
        "is_overruled": bool(situation.overruled),
        "is_open": situation.is_open,
        "zone": zone_label(at),
    }


def _standing(newest: RefundRequest) -> str:
    """The state of a request, or what of its money came back and is still owed."""
    came_back = came_back_among([(newest.state, newest.reference)])
    return came_back.get(newest.reference) or newest.get_state_display()


def _events(certificate: Certificate, at: datetime) -> list[Event]:
    moments = {name: getattr(certificate, name) for name in EVENTS}
    return [
        Event(str(label), moments[name], is_to_come=moments[name] is not None and moments[name] > at)
        for name, label in EVENTS.items()
    ]
