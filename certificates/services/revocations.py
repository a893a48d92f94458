"""A customer's wish to have a certificate revoked: requested, confirmed by its contact, withdrawn, lapsed.

From the confirmation on the engine asks the authority (`enrolling.revoke_at_authority`) and ends it. Where the console
speaks with no authority, as for an imported certificate, staff record what it answered (`answers.record_revoked`).
"""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Sum

from certificates.exceptions import (
    CertificateHeld,
    DeadLink,
    NoContact,
    NotNamed,
    RevocationUnderWay,
    TooManyLinks,
    WrongState,
)
from certificates.links import Link, Standing, has_expired, standing_of
from certificates.models import Application, Certificate, Revocation
from certificates.names import UnfitName, ascii_form
from certificates.services import enrolling, mails
from certificates.services.locking import lock, lock_for_owner
from certificates.states import CertificateState, RevocationState, Source
from core import audit
from core.email_addresses import shown_email
from core.models import Notice, User
from core.one_by_one import one_by_one

logger = logging.getLogger(__name__)

LINK_LIFETIME = timedelta(days=3)
# For one request: a contact who has not got five mails will not get the sixth.
MOST_LINKS = 5
LINKS_APART = timedelta(minutes=1)

_R = RevocationState


# --- Requesting --------------------------------------------------------------------------------


@transaction.atomic
def request_revocation(certificate_id: int, *, reason: str, typed: str, by: User, at: datetime) -> Revocation:
    """Store the owner's wish. DV is with the authority from then on, OV and EV once the contact has confirmed.

    `typed` is the certificate's name as the owner typed it. Raises NotYourCertificate, CertificateHeld, WrongState,
    NoContact, NotNamed, TooManyLinks, and RevocationUnderWay.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    check_revocable(certificate, at=at)
    if not is_named(certificate, typed):
        raise NotNamed(str(certificate))
    if is_confirmed_by_mail(certificate) and _links_of_a_day(certificate, at) >= MOST_LINKS:
        raise TooManyLinks(certificate, wait=True)
    revocation = Revocation(
        certificate=certificate, reason=reason, requested_by=by, requested_at=at, **_first_step(certificate, at=at)
    )
    certificate.request_revocation()
    certificate.revocation_requested_at, certificate.revocation_confirmed_at = at, revocation.confirmed_at
    certificate.save()
    _store_first(revocation)
    detail = {"reason": reason, "contact": revocation.contact_email, "state": revocation.state}
    audit.record(certificate, "revocation_requested", by=by, at=at, detail=detail)
    if revocation.state == _R.REQUESTED:
        mails.send_link(revocation, certificate, at=at)
    else:
        enrolling.revoke_at_authority(certificate)
    return revocation


def _links_of_a_day(certificate: Certificate, at: datetime) -> int:
    """How many links its contact was sent of late: who asks and withdraws in turn must not fill a mailbox."""
    recent = Revocation.objects.filter(certificate=certificate, requested_at__gt=at - timedelta(days=1))
    return recent.aggregate(sent=Sum("links_sent"))["sent"] or 0


def check_revocable(certificate: Certificate, *, at: datetime) -> None:
    """Whether its owner may have it revoked. Raises CertificateHeld, WrongState, and NoContact."""
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    is_bought_here = certificate.source == Source.PURCHASED
    if not is_bought_here or certificate.state != CertificateState.ISSUED or certificate.expires_at <= at:
        raise WrongState(certificate)
    if is_confirmed_by_mail(certificate) and not contact_of(certificate):
        raise NoContact(str(certificate))


def is_confirmed_by_mail(certificate: Certificate) -> bool:
    """Whether the contact must confirm first: for OV and EV. It comes with its product."""
    return certificate.product is not None and certificate.product.is_checked_by_staff


def contact_of(certificate: Certificate) -> str:
    """Where the link goes: to the application's contact, else to the account; empty where neither has an address."""
    contact = Application.objects.filter(pk=certificate.pk).values_list("contact_email", flat=True).first()
    return contact or certificate.account.email


def is_named(certificate: Certificate, typed: str) -> bool:
    """Whether a text is the certificate's name: in either case, an IDN in either form, with or without its last dot."""
    try:
        return ascii_form(typed.strip()) == ascii_form(certificate.name)
    except UnfitName:
        return False


def _first_step(certificate: Certificate, *, at: datetime) -> dict[str, Any]:
    """Where a new wish begins: with a link to the contact, or confirmed by the request itself."""
    if not is_confirmed_by_mail(certificate):
        return {"state": _R.CONFIRMED, "confirmed_at": at}
    return {
        "state": _R.REQUESTED,
        "contact_email": contact_of(certificate),
        "links_sent": 1,
        "link_expires_at": _end_of_link(certificate, at),
    }


def _end_of_link(certificate: Certificate, at: datetime) -> datetime:
    """Until when a link of now works; what has expired needs no revocation, so it never outlives that."""
    return min(at + LINK_LIFETIME, certificate.expires_at)


def _store_first(revocation: Revocation) -> None:
    """Raises RevocationUnderWay where the database holds a live one of the certificate."""
    try:
        with transaction.atomic():
            revocation.save()
    except IntegrityError as error:
        raise RevocationUnderWay(str(revocation.certificate)) from error


# --- Before it is confirmed --------------------------------------------------------------------


@transaction.atomic
def send_link_again(certificate_id: int, *, by: User, at: datetime) -> Revocation:
    """Send the contact another link, with which the earlier ones stop working.

    Raises NotYourCertificate, CertificateHeld, WrongState when no confirmation is awaited any more, and TooManyLinks.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    revocation = _lock_requested(certificate)
    if has_expired(revocation, at):
        raise WrongState(certificate)
    if revocation.links_sent >= MOST_LINKS:
        raise TooManyLinks(certificate, wait=False)
    if was_just_sent(revocation, at):
        raise TooManyLinks(certificate, wait=True)
    revocation.links_sent += 1
    revocation.link_expires_at = _end_of_link(certificate, at)
    revocation.save()
    mails.send_link(revocation, certificate, at=at)
    detail = {"contact": revocation.contact_email, "link": revocation.links_sent}
    audit.record(certificate, "revocation_link_sent", by=by, at=at, detail=detail)
    return revocation


def was_just_sent(revocation: Revocation, at: datetime) -> bool:
    """Whether the newest link was sent less than a minute ago. It comes with its certificate."""
    key = mails.key_of_link(revocation, revocation.links_sent)
    return Notice.objects.filter(key=key, created_at__gt=at - LINKS_APART).exists()


@transaction.atomic
def withdraw_revocation(certificate_id: int, *, by: User, at: datetime) -> Revocation:
    """Take the wish back before it is confirmed; the certificate is Issued again.

    Raises NotYourCertificate, CertificateHeld, and WrongState when no confirmation is awaited any more.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    revocation = _lock_requested(certificate)
    revocation.withdraw()
    _give_back(revocation, certificate, at=at)
    audit.record(certificate, "revocation_withdrawn", by=by, at=at)
    return revocation


def _lock_requested(certificate: Certificate) -> Revocation:
    """The wish of a locked certificate that awaits its contact, locked. Raises WrongState where there is none."""
    waiting = Revocation.objects.select_for_update().filter(certificate=certificate, state=_R.REQUESTED).first()
    if waiting is None or certificate.state != CertificateState.REVOKING:
        raise WrongState(certificate)
    waiting.certificate = certificate
    return waiting


def _give_back(revocation: Revocation, certificate: Certificate, *, at: datetime) -> None:
    """Store an end without revocation: the certificate is as if nobody had asked."""
    revocation.ended_at = at
    revocation.save()
    certificate.withdraw_revocation()
    certificate.revocation_requested_at = certificate.revocation_confirmed_at = None
    certificate.save()


@transaction.atomic
def confirm_revocation(link: Link, *, at: datetime) -> Revocation:
    """Use a link up: the authority is asked from now on. Raises DeadLink, also for one used before, CertificateHeld."""
    certificate, revocation = _lock(link.revocation)
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    standing = standing_of(link, revocation, at)
    if standing != Standing.WORKS:
        raise DeadLink(standing)
    revocation.confirm()
    revocation.confirmed_at = certificate.revocation_confirmed_at = at
    revocation.save()
    certificate.save()
    detail = {"link": link.number}
    audit.record(
        certificate, "revocation_confirmed", by=None, at=at, note=shown_email(revocation.contact_email), detail=detail
    )
    enrolling.revoke_at_authority(certificate)
    return revocation


def _lock(revocation_id: int) -> tuple[Certificate, Revocation]:
    """Lock the certificate, then the wish: the one order for everybody."""
    certificate = lock(Revocation.objects.values_list("certificate_id", flat=True).get(pk=revocation_id))
    revocation = Revocation.objects.select_for_update().get(pk=revocation_id)
    revocation.certificate = certificate
    return certificate, revocation


# --- What nobody confirmed ---------------------------------------------------------------------


def lapse_revocations(*, at: datetime, limit: int = 500) -> int:
    """End the requests whose link has expired unused; return how many.

    One that cannot be ended is logged and keeps no other from it.
    """
    due = Revocation.objects.filter(state=_R.REQUESTED, link_expires_at__lte=at).order_by("id")
    ids = list(due.values_list("id", flat=True)[:limit])
    return one_by_one(partial(_lapse, at=at), ids, logger=logger, failed="revocation %d could not be ended")


@transaction.atomic
def _lapse(revocation_id: int, *, at: datetime) -> bool:
    certificate, revocation = _lock(revocation_id)
    if revocation.state != _R.REQUESTED or not has_expired(revocation, at):
        return False
    revocation.lapse()
    _give_back(revocation, certificate, at=at)
    audit.record(certificate, "revocation_lapsed", by=None, at=at, detail={"contact": revocation.contact_email})
    mails.tell_lapsed(revocation, certificate, at=at)
    return True
