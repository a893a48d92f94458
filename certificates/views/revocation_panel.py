"""Where a revocation stands, as its certificate's owner reads it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from certificates import hooks
from certificates.links import has_expired
from certificates.models import Certificate, Revocation
from certificates.services.enrolling import to_end
from certificates.services.mails import keys_of_links
from certificates.services.revocations import MOST_LINKS
from certificates.states import CertificateState, RevocationReason, RevocationState
from certificates.views.common import subject
from core.email_addresses import shown_email
from core.models import Notice
from core.templatetags.console_format import moment

_R = RevocationState

REQUESTED, SENT, WITHDRAWN = "requested", "sent", "withdrawn"
# What `?done=` may say, and of a revocation in which states it is true.
DONE = {
    REQUESTED: {_R.REQUESTED, _R.CONFIRMED, _R.COMPLETED},
    SENT: {_R.REQUESTED},
    WITHDRAWN: {_R.WITHDRAWN},
}
# Seconds: an authority answers at once, people do not.
SOON, LATER = 2, 10


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, who did it, and what is said of it."""

    at: datetime
    what: str
    who: str = ""
    note: str = ""


def newest_of(certificate: Certificate) -> Revocation | None:
    """The certificate's newest revocation; None where none was ever requested here."""
    newest = Revocation.objects.filter(certificate=certificate).order_by("-id").first()
    if newest:
        newest.certificate = certificate
    return newest


def context_of(certificate: Certificate, revocation: Revocation | None, at: datetime) -> dict[str, Any]:
    """What `certificates/revocation.html` shows. The certificate comes with its order, product and account."""
    events = list(_events(certificate, revocation))
    stands, awaited = _stands(certificate, revocation, at), list(_next(certificate, revocation, at))
    is_waiting = _awaits_contact(revocation, at)
    is_over = certificate.state == CertificateState.ISSUED
    return {
        **subject(certificate, at),
        "revocation": revocation,
        "stands": stands,
        "events": events,
        "next": awaited,
        "silent_since": certificate.authority_silent_since if _is_going(certificate) else None,
        "prospects": hooks.refund_prospects(certificate, at=at)
        if certificate.state != CertificateState.ISSUED
        else None,
        "may_withdraw": is_waiting,
        "may_resend": is_waiting and revocation is not None and revocation.links_sent < MOST_LINKS,
        "is_over": is_over,
        "poll_seconds": _poll_seconds(certificate, at, is_waiting=is_waiting),
        "version": _digest([stands, events, awaited, certificate.state, certificate.authority_silent_since]),
    }


def may_say(done: str, revocation: Revocation | None) -> bool:
    """Whether what an address says was done is so."""
    return revocation is not None and revocation.state in DONE.get(done, set())


def _awaits_contact(revocation: Revocation | None, at: datetime) -> bool:
    return revocation is not None and revocation.state == _R.REQUESTED and not has_expired(revocation, at)


def _is_going(certificate: Certificate) -> bool:
    return certificate.state == CertificateState.REVOKING


# --- What happened -----------------------------------------------------------------------------


def _events(certificate: Certificate, revocation: Revocation | None) -> Iterator[Event]:
    """Oldest first. Without a request of its own, only what the certificate's dates say."""
    if revocation is None:
        if certificate.revocation_requested_at:
            yield Event(certificate.revocation_requested_at, _("Revocation requested"))
    else:
        yield Event(revocation.requested_at, _("Revocation requested"), _by(revocation), _reason(revocation))
        yield from _links(revocation)
        if revocation.contact_email and revocation.confirmed_at:
            yield Event(revocation.confirmed_at, _("Confirmed"), _("by %(contact)s") % _told(revocation))
    if revocation and revocation.ended_at and revocation.state in _ENDS:
        yield Event(revocation.ended_at, str(_ENDS[revocation.state]()))
    elif certificate.revoked_at:
        yield Event(certificate.revoked_at, _("Revoked by the certificate authority"))


_ENDS = {
    _R.WITHDRAWN: lambda: _("Request withdrawn"),
    _R.LAPSED: lambda: _("Request ended: not confirmed in time"),
}


def _by(revocation: Revocation) -> str:
    return _("by you") if revocation.requested_by_id == revocation.certificate.account_id else _("by our staff")


def _reason(revocation: Revocation) -> str:
    return str(RevocationReason(revocation.reason).label)


def _told(revocation: Revocation) -> dict[str, str]:
    return {"contact": shown_email(revocation.contact_email), "expires": moment(revocation.link_expires_at)}


def _links(revocation: Revocation) -> Iterator[Event]:
    """A mail each: queued in the moment of the act, and sent when the mail server takes it."""
    mails = Notice.objects.filter(key__startswith=keys_of_links(revocation)).order_by("id")
    for mail in mails:
        words = _("Link sent to %(contact)s") if mail.sent_at else _("Link is being sent to %(contact)s")
        yield Event(mail.sent_at or mail.created_at, words % _told(revocation))


# --- Where it stands, and what comes next ------------------------------------------------------


def _stands(certificate: Certificate, revocation: Revocation | None, at: datetime) -> str:
    if certificate.state == CertificateState.REVOKING:
        return _stands_under_way(certificate, revocation, at)
    if certificate.state != CertificateState.ISSUED:
        return _("The certificate is revoked.")
    if revocation and revocation.state == _R.LAPSED:
        return _("The request has ended: it was not confirmed in time. The certificate is as it was before.")
    return _("You have withdrawn the request. The certificate is as it was before.")


def _stands_under_way(certificate: Certificate, revocation: Revocation | None, at: datetime) -> str:
    since = moment(certificate.revocation_confirmed_at or certificate.revocation_requested_at)
    if revocation and revocation.state == _R.REQUESTED:
        if has_expired(revocation, at):
            return _("The request was not confirmed in time and is about to end.")
        return _("We wait for %(contact)s to confirm the revocation.") % _told(revocation)
    return _("We wait for the certificate authority to revoke it, since %(since)s.") % {"since": since}


def _next(certificate: Certificate, revocation: Revocation | None, at: datetime) -> Iterator[str]:
    if not _is_going(certificate):
        return
    if revocation and revocation.state == _R.REQUESTED:
        if has_expired(revocation, at):
            yield _("The certificate is Issued again in a moment. You can then request the revocation anew.")
            return
        words = _("%(contact)s opens the newest link in the mail and confirms, before %(expires)s.")
        yield words % _told(revocation)
    if not to_end(certificate, at=at):  # the console speaks with no authority about it
        words = _(
            "Our staff have the certificate authority revoke it, and record it here within %(days)s business days."
        )
    else:
        words = _("The certificate authority revokes it: usually at once, at most %(days)s business days later.")
    yield words % {"days": hooks.revocation_allowance(certificate)}


def _poll_seconds(certificate: Certificate, at: datetime, *, is_waiting: bool) -> int:
    if not _is_going(certificate):
        return 0
    is_slow = is_waiting or certificate.authority_silent_since or not to_end(certificate, at=at)
    return LATER if is_slow else SOON


def _digest(shown: Any) -> str:
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
