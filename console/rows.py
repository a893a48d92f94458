"""One certificate as a line of the Overview: everything its template needs, worked out beforehand."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from certificates.models import Certificate
from certificates.states import (
    APPLICATION_RUNNING,
    NEAR_EXPIRATION,
    CertificateState,
    ShownState,
    shown_state,
)
from certificates.wording import STATE_MARKS, kind_of
from core.money import format_money
from core.templatetags.console_format import chip, moment
from refunds.facts import facts_of
from refunds.offer import Offer, offer
from refunds.policy import Assessment, Rule, assess
from refunds.states import MONEY_ORDERED, OPEN, RequestState
from refunds.wording import RULES

SHOWN_DOMAINS = 2

STATES_IN_MOTION = APPLICATION_RUNNING | {CertificateState.REVOKING}


@dataclass(frozen=True, slots=True)
class Row:
    instance_id: str
    name: str
    domains: list[str]
    more_domains: int
    kind: str
    state: SafeString
    note: str
    request: str
    reference: str
    expires: str
    near: str
    offer: Offer
    hint: str
    is_in_motion: bool
    is_money_moving: bool

    @property
    def has_one_name(self) -> bool:
        return self.domains == [self.name]


def row_of(certificate: Certificate, domains: list[str], request: tuple[str, str] | None, at: datetime) -> Row:
    """A certificate's line at `at`. `request` is the state and the reference of its newest request."""
    request_state, reference = request or (None, "")
    is_open = request_state in OPEN
    assessment = assess(facts_of(certificate), at)
    offered = offer(assessment, certificate.state, request_state)
    language = get_language() or ""
    return Row(
        instance_id=certificate.instance_id,
        name=certificate.name,
        domains=domains[:SHOWN_DOMAINS],
        more_domains=max(len(domains) - SHOWN_DOMAINS, 0),
        kind=kind_of(certificate),
        state=state_mark(shown_state(certificate.state, certificate.expires_at, at), language),
        note=_note(certificate),
        request=_request_label(request_state, language) if request_state and is_open else "",
        reference=reference,
        expires=moment(certificate.expires_at),
        near=_near(certificate.expires_at, at, language),
        offer=offered,
        hint=_hint(offered, assessment, certificate),
        is_in_motion=is_open or certificate.state in STATES_IN_MOTION,
        is_money_moving=request_state in MONEY_ORDERED and certificate.closing_since is None,
    )


@lru_cache
def state_mark(shown: ShownState, language: str) -> SafeString:
    """The mark of a state, made once: a page shows twenty of them."""
    return chip(shown.label, STATE_MARKS[shown])


@lru_cache
def _request_label(state: str, language: str) -> str:
    return gettext("Refund: %(state)s") % {"state": RequestState(state).label}


def _note(certificate: Certificate) -> str:
    """What is awaited and since when, or why it failed."""
    if certificate.closing_since:
        return gettext("Being closed at the authority since %(time)s") % {"time": moment(certificate.closing_since)}
    if certificate.state == CertificateState.REVOKING:
        return gettext("Since %(time)s") % {"time": moment(certificate.revocation_requested_at)}
    return certificate.failure_cause if certificate.state == CertificateState.VALIDATION_FAILED else ""


def _near(expires_at: datetime, at: datetime, language: str) -> str:
    """The days until the end in words, where few are left; else empty."""
    if not at < expires_at <= at + NEAR_EXPIRATION:
        return ""
    return _days_left((timezone.localtime(expires_at).date() - timezone.localtime(at).date()).days, language)


@lru_cache(maxsize=256)
def _days_left(days: int, language: str) -> str:
    if days == 0:
        return gettext("today")
    return ngettext("in %(days)s day", "in %(days)s days", days) % {"days": days}


def _hint(offered: Offer, assessment: Assessment, certificate: Certificate) -> str:
    """What the customer should know before clicking: how much and until when, or why not."""
    if offered == Offer.NONE:
        return why_not(certificate, assessment)
    if offered != Offer.REFUND:
        return ""
    if assessment.rule == Rule.REVOKE_FIRST:
        return gettext("revoke by %(day)s first") % {"day": assessment.revoke_by}
    if assessment.rule == Rule.REVOCATION_PENDING:
        return gettext("once it is revoked, by %(day)s") % {"day": assessment.revoke_by}
    amount = format_money(assessment.amount or 0, assessment.currency)
    return gettext("%(amount)s until %(day)s") % {"amount": amount, "day": assessment.request_by}


def why_not(certificate: Certificate, assessment: Assessment) -> str:
    """Why nothing is offered: the policy's reason, unless the money is back already."""
    if certificate.state == CertificateState.REFUNDED:
        return gettext("What you paid for this certificate has been given back.")
    return str(RULES[assessment.rule])
