"""One certificate as a line of the Overview: everything its template needs, worked out beforehand."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from certificates.actions import Action, actions_of, ends_early
from certificates.models import Certificate
from certificates.names import shown
from certificates.states import (
    APPLICATION_RUNNING,
    NEAR_EXPIRATION,
    CertificateState,
    ShownState,
    shown_state,
)
from certificates.wording import STATE_MARKS, kind_of
from core.templatetags.console_format import chip, moment
from refunds.rules.offer import Offer
from refunds.rules.situation import situation_with
from refunds.states import MONEY_ORDERED, OPEN, RequestState

SHOWN_DOMAINS = 2
# Beside Refund and Details; the rest stands under More.
FIRST_ACTIONS = 1

JUST_ASKED = timedelta(minutes=1)
# What failed or came back is with a person.
MOVING_MONEY = MONEY_ORDERED - {RequestState.PAYMENT_FAILED}
STATES_IN_MOTION = APPLICATION_RUNNING | {CertificateState.REVOKING}


# The end of each action's address, and its name.
ACTIONS = {
    Action.APPLY: ("apply", _("Apply for Certificate")),
    Action.VERIFY: ("verify", _("Verify")),
    Action.CANCEL_APPLICATION: ("application/cancel", _("Cancel Application")),
    Action.DOWNLOAD: ("download", _("Download")),
    Action.REVOKE: ("revoke", _("Revoke")),
    Action.REVOCATION: ("revocation", _("Withdraw Request")),
    Action.RENEW: ("renew", _("Renewal Purchase")),
    Action.DELETE: ("delete", _("Delete")),
}


class Newest(NamedTuple):
    """What a row reads of the newest refund request."""

    state: str
    reference: str


class Link(NamedTuple):
    """An action of a row: the name of its page, the end of its address, and what it is called."""

    name: str
    path: str
    label: str


@lru_cache
def links_to(actions: tuple[Action, ...], language: str) -> tuple[Link, ...]:
    return tuple(Link(action, ACTIONS[action][0], str(ACTIONS[action][1])) for action in actions)


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
    service_ends: str
    renews: bool
    offer: Offer
    hint: str
    first: tuple["Link", ...]
    more: tuple["Link", ...]
    is_in_motion: bool
    is_moving: bool

    @property
    def has_one_name(self) -> bool:
        return self.domains == [self.name]


def row_of(
    certificate: Certificate,
    domains: list[str],
    request: Newest | None,
    at: datetime,
    *,
    awaits_proof: bool = False,
    is_renewed: bool = False,
    came_back: str = "",
) -> Row:
    """A certificate's line at `at`. `request` is its newest refund request.

    `came_back` says what of its money came back and is still owed.
    """
    request_state, reference = request or (None, "")
    is_open = request_state in OPEN
    situation = situation_with(certificate, request, at)
    language = get_language() or ""
    actions = actions_of(certificate, at, awaits_proof=awaits_proof, is_renewed=is_renewed)
    links = links_to(actions, language)
    # What nobody presses in passing never stands first.
    in_sight = 0 if links and links[0].name == Action.DELETE else FIRST_ACTIONS
    return Row(
        instance_id=certificate.instance_id,
        name=certificate.shown_name,
        domains=[shown(domain) for domain in domains[:SHOWN_DOMAINS]],
        more_domains=max(len(domains) - SHOWN_DOMAINS, 0),
        kind=kind_of(certificate),
        state=state_mark(shown_state(certificate.state, certificate.expires_at, at), language),
        note=note_of(certificate, awaits_proof=awaits_proof),
        request=_request_label(came_back or request_state, language) if request_state and is_open else "",
        reference=reference,
        expires=moment(certificate.expires_at),
        near=_near(certificate.expires_at, at, language),
        service_ends=_service_ends(certificate),
        renews=certificate.renewal_of_id is not None,
        offer=situation.offer,
        hint=situation.hint,
        first=links[:in_sight],
        more=links[in_sight:],
        is_in_motion=is_open or certificate.state in STATES_IN_MOTION or certificate.closing_since is not None,
        is_moving=_is_moving(certificate, request_state, at),
    )


@lru_cache
def state_mark(shown: ShownState, language: str) -> SafeString:
    """The mark of a state, made once: a page shows twenty of them."""
    return chip(shown.label, STATE_MARKS[shown])


@lru_cache
def _request_label(state: str, language: str) -> str:
    """Of a state, or of words that say more than it does."""
    words = RequestState(state).label if state in RequestState.values else state
    return gettext("Refund: %(state)s") % {"state": words}


def _is_moving(certificate: Certificate, request_state: str | None, at: datetime) -> bool:
    """Whether it changes within seconds: money is on its way, or an authority has just been asked."""
    if request_state in MOVING_MONEY and certificate.closing_since is None:
        return True
    asked = (certificate.submitted_at, certificate.proven_at, certificate.validated_at, certificate.closing_since)
    newest = max(filter(None, [*asked, certificate.revocation_confirmed_at]), default=None)
    is_asked = certificate.state in STATES_IN_MOTION and newest is not None and at - newest < JUST_ASKED
    return is_asked and certificate.authority_silent_since is None


def note_of(certificate: Certificate, *, awaits_proof: bool = False) -> str:
    """What is awaited and since when, or why it failed."""
    if certificate.closing_since:
        return _since(gettext("Being closed at the authority since %(time)s"), certificate.closing_since)
    if certificate.state == CertificateState.VALIDATION_FAILED:
        return certificate.failure_cause
    if certificate.authority_silent_since:
        silent = gettext("The authority has not answered since %(time)s; it is asked again")
        return _since(silent, certificate.authority_silent_since)
    return _awaited(certificate, awaits_proof=awaits_proof)


def _awaited(certificate: Certificate, *, awaits_proof: bool) -> str:
    if certificate.state == CertificateState.ISSUED and awaits_proof:
        return gettext("To be issued anew: prove the domains")
    if certificate.state == CertificateState.PENDING_VERIFICATION or awaits_proof:
        return _since(gettext("Domains to be proven, since %(time)s"), certificate.submitted_at)
    if certificate.state == CertificateState.VALIDATING_APPLICATION:
        return _validation(certificate)
    if certificate.state != CertificateState.REVOKING:
        return ""
    if certificate.revocation_confirmed_at:
        return _since(gettext("With the authority since %(time)s"), certificate.revocation_confirmed_at)
    return _since(
        gettext("Waiting for the contact to confirm by email since %(time)s"), certificate.revocation_requested_at
    )


def _validation(certificate: Certificate) -> str:
    is_checked = certificate.product is not None and certificate.product.is_checked_by_staff
    if is_checked and not certificate.validated_at:
        return _since(gettext("Being checked by our staff since %(time)s"), certificate.submitted_at)
    since = max(filter(None, [certificate.proven_at, certificate.validated_at]), default=certificate.submitted_at)
    return _since(gettext("With the authority since %(time)s"), since)


def _since(words: str, at: datetime | None) -> str:
    return words % {"time": moment(at)}


def _service_ends(certificate: Certificate) -> str:
    """The end of the year bought, where the certificate itself ends earlier: it is re-issued until then."""
    return moment(certificate.service_ends_at) if ends_early(certificate) else ""


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
