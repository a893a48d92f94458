"""The console's own authority. It keeps its books in CaOrder, and each call is one short transaction of its own.

It takes the console's word that a domain was proven and a company checked: both are asked of it by the same services.
"""

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from certificates.authority import pki
from certificates.authority.base import (
    AuthorityUnavailable,
    Challenge,
    Closed,
    Enrolled,
    HandedIn,
    Issued,
    Refused,
    Waiting,
)
from certificates.authority.issuers import issuers, places, signing
from certificates.models import CaOrder
from certificates.states import RevocationReason, Verification
from certificates.x509 import read_certificate

RECORD = "_certificate-proof"
FOLDER = "/.well-known/pki-validation"
LONGEST_DNS_NAME = 253


class EmbeddedAuthority:
    def hand_in(self, order: Enrolled, *, at: datetime) -> HandedIn | Refused:
        try:
            pki.read_order(order)
            challenges = tuple(_challenges(order))
        except pki.UnfitRequest as unfit:
            return Refused(str(unfit))
        with transaction.atomic():
            if _note(order.reference, at=at).closed_at:
                return _withdrawn()
        return HandedIn(challenges, data={})

    def make_ready(self, order: Enrolled, *, at: datetime) -> Waiting | Refused:
        return Waiting({**order.data, "ready": True})

    def poll(self, order: Enrolled, *, at: datetime) -> Waiting | Issued | Refused:
        if not order.data.get("ready"):
            return Waiting(order.data)
        # Before the order is locked: on first use they are made under a lock of their own.
        intermediate = issuers(at=at).intermediate
        with transaction.atomic():
            known = _lock(order.reference)
            if known.closed_at:
                return _withdrawn()
            if known.issued_at is None:
                try:
                    _issue(known, pki.read_order(order), signing(intermediate), chain=intermediate.pem, at=at)
                except pki.UnfitRequest as unfit:
                    return Refused(str(unfit))
            return Issued(known.pem)

    def close(self, order: Enrolled, *, at: datetime) -> Closed | Issued | Waiting:
        with transaction.atomic():
            # One that was never handed in is noted as closed, so that no late hand-in opens it.
            known = _note(order.reference, at=at)
            if known.issued_at:
                return Issued(known.pem)
            if known.closed_at is None:
                known.closed_at = at
                known.save(update_fields=["closed_at"])
        return Closed()

    def revoke(self, order: Enrolled, pem: str, reason: str, *, at: datetime) -> datetime | None:
        serial = read_certificate(pem).serial
        with transaction.atomic():
            known = _issued_as(serial, _lock(order.reference))
            if known.revoked_at is None:
                known.revoked_at = pki.to_second(at)
                known.revocation_reason = RevocationReason(reason)
                known.save(update_fields=["revoked_at", "revocation_reason"])
            return known.revoked_at

    def poll_revocation(self, order: Enrolled, pem: str, *, at: datetime) -> datetime | None:
        known = CaOrder.objects.filter(reference=order.reference).first()
        return _issued_as(read_certificate(pem).serial, known).revoked_at


def _note(reference: str, *, at: datetime) -> CaOrder:
    """The order under its lock, written down if it was not known."""
    CaOrder.objects.get_or_create(reference=reference, defaults={"handed_in_at": at})
    return _lock(reference)


def _lock(reference: str) -> CaOrder:
    known = CaOrder.objects.select_for_update().filter(reference=reference).first()
    if known is None:
        raise AuthorityUnavailable(f"The console's own authority knows no order {reference}.")
    return known


def _issued_as(serial: str, known: CaOrder | None) -> CaOrder:
    """The order, if the certificate of that serial number is what was issued for it."""
    if known is None or known.serial != serial:
        raise AuthorityUnavailable(f"The console's own authority did not issue the certificate {serial}.")
    return known


def _withdrawn() -> Refused:
    return Refused(_("The application was withdrawn."))


def _issue(order: CaOrder, wanted: pki.Wanted, issuer: pki.Issuer, *, chain: str, at: datetime) -> None:
    """Issue for a locked order. Raises AuthorityUnavailable once the intermediate is over."""
    if issuer.certificate.not_valid_after_utc <= at:
        raise AuthorityUnavailable("The intermediate of the console's own authority has expired.")
    certificate = pki.make_certificate(issuer, wanted, places(), at=at)
    order.issued_at = pki.to_second(at)
    order.serial = f"{certificate.serial_number:x}"
    order.not_after = certificate.not_valid_after_utc
    # With its chain, so that the same is handed over whatever becomes of the issuers.
    order.pem = certificate.public_bytes(Encoding.PEM).decode() + chain
    order.save(update_fields=["issued_at", "serial", "not_after", "pem"])


# --- What must be published --------------------------------------------------------------------


def _challenges(order: Enrolled) -> Iterator[Challenge]:
    """One for each record or file. All of an order are alike, so that one text serves all its domains."""
    if order.verification == Verification.FILE:
        yield from _files(order)
    else:
        yield from _records(order)


def _files(order: Enrolled) -> Iterator[Challenge]:
    place, value = f"{FOLDER}/{_secret(order, 'place')[:32]}.txt", _secret(order, "value")
    for name in order.names:
        if name.startswith("*."):
            raise pki.UnfitRequest(_("A wildcard domain cannot be verified by file: choose the DNS record."))
        yield Challenge(name, place, value)


def _records(order: Enrolled) -> Iterator[Challenge]:
    """A wildcard and the domain beneath it share a record, which is asked for once."""
    first_of: dict[str, str] = {}
    for name in order.names:
        first_of.setdefault(f"{RECORD}.{name.removeprefix('*.')}", name)
    for place, name in first_of.items():
        if len(place) > LONGEST_DNS_NAME:
            raise pki.UnfitRequest(_("A domain is too long for a DNS record below it: verify it by file."))
        yield Challenge(name, place, _secret(order, "value"))


def _secret(order: Enrolled, purpose: str) -> str:
    """Nobody can guess it, and the same order has the same one again after a kill."""
    return salted_hmac(
        "certificates.authority.embedded", f"{order.reference} {purpose}", algorithm="sha256"
    ).hexdigest()
