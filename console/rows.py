"""One certificate as a line of the Overview: everything its template needs, worked out beforehand."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from certificates.models import Certificate
from certificates.states import (
    APPLICATION_RUNNING,
    NEAR_EXPIRATION,
    CertificateState,
    DomainType,
    ShownState,
    shown_state,
)
from core.money import format_money
from core.templatetags.console_format import icon, moment
from refunds.facts import facts_of
from refunds.offer import Offer, offer
from refunds.policy import Assessment, Rule, assess
from refunds.states import MONEY_ORDERED, OPEN, RequestState
from refunds.wording import RULES

SHOWN_DOMAINS = 2

# The tone and the icon that go with each state's word.
STATE_MARKS = {
    ShownState.PENDING_APPLICATION: ("ended", "circle-dashed"),
    ShownState.PENDING_VERIFICATION: ("busy", "clock"),
    ShownState.VALIDATING_APPLICATION: ("busy", "loader"),
    ShownState.VALIDATION_FAILED: ("bad", "circle-x"),
    ShownState.ISSUED: ("ok", "circle-check"),
    ShownState.PENDING_EXPIRATION: ("near", "calendar-clock"),
    ShownState.EXPIRED: ("bad", "clock-alert"),
    ShownState.REVOKING: ("busy", "undo-2"),
    ShownState.REVOKED: ("ended", "ban"),
    ShownState.REFUNDED: ("ok", "wallet"),
}
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
        hint=_hint(offered, assessment),
        is_in_motion=is_open or certificate.state in STATES_IN_MOTION,
        is_money_moving=request_state in MONEY_ORDERED and certificate.closing_since is None,
    )


def kind_of(certificate: Certificate) -> str:
    """Brand, validation level and domain type in words."""
    product = certificate.product
    if product is None:
        return gettext("Uploaded")
    return _kind(product.brand, product.level, product.domain_type, product.free, get_language() or "")


@lru_cache(maxsize=256)
def _kind(brand: str, level: str, domain_type: str, is_free: bool, language: str) -> str:
    words = [brand, level, str(DomainType(domain_type).label)]
    return " ".join([*words, gettext("(free)")] if is_free else words)


@lru_cache
def state_mark(shown: ShownState, language: str) -> SafeString:
    """A state as people see it: an icon and a word, in its tone."""
    tone, name = STATE_MARKS[shown]
    return format_html('<span class="chip chip--{}">{}{}</span>', tone, icon(name), shown.label)


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


def _hint(offered: Offer, assessment: Assessment) -> str:
    """What the customer should know before clicking: how much and until when, or why not."""
    if offered == Offer.NONE:
        return str(RULES[assessment.rule])
    if offered != Offer.REFUND:
        return ""
    if assessment.rule == Rule.REVOKE_FIRST:
        return gettext("revoke by %(day)s first") % {"day": assessment.revoke_by}
    if assessment.rule == Rule.REVOCATION_PENDING:
        return gettext("once it is revoked, by %(day)s") % {"day": assessment.revoke_by}
    amount = format_money(assessment.amount or 0, assessment.currency)
    return gettext("%(amount)s until %(day)s") % {"amount": amount, "day": assessment.request_by}


def zone_label(at: datetime) -> str:
    """The reader's zone as its offset at `at`: "UTC+08:00"."""
    offset = f"{timezone.localtime(at):%z}"
    return f"UTC{offset[:3]}:{offset[3:]}"
