"""The link by which a certificate's contact confirms its revocation.

It is never stored: a mail's row holds the revocation and the number of the link, and the link is made of them while
the mail is sent. It works once, only the newest one does, and the revocation's own row says until when.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from certificates.models import Revocation
from certificates.states import RevocationState

_SALT = "certificates.revocation-link"


class Standing(StrEnum):
    """What a link is still good for."""

    WORKS = "works"
    USED = "used"
    REPLACED = "replaced"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    # The authority was quicker, of itself.
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Link:
    """The `number`-th link that was sent for a revocation, counted from 1."""

    revocation: int
    number: int


def address_of(link: Link) -> str:
    """The whole address that the contact opens."""
    return settings.BASE_URL + reverse("confirm_revocation", args=[token_of(link)])


def token_of(link: Link) -> str:
    return Signer(salt=_SALT).sign_object([link.revocation, link.number])


def read(token: str) -> Link | None:
    """The link that a token stands for; None for one that this console has not signed."""
    try:
        return Link(*Signer(salt=_SALT).unsign_object(token))
    except BadSignature:
        return None


def standing_of(link: Link, revocation: Revocation, at: datetime) -> Standing:
    """What a link is good for at `at`. The revocation is the one that it names."""
    if revocation.state == RevocationState.WITHDRAWN:
        return Standing.WITHDRAWN
    if revocation.state == RevocationState.LAPSED:
        return Standing.EXPIRED
    if revocation.state != RevocationState.REQUESTED:
        return Standing.USED if revocation.confirmed_at else Standing.REVOKED
    if link.number != revocation.links_sent:
        return Standing.REPLACED
    return Standing.EXPIRED if has_expired(revocation, at) else Standing.WORKS


def has_expired(revocation: Revocation, at: datetime) -> bool:
    """Whether the newest link's time is over."""
    return revocation.link_expires_at is None or revocation.link_expires_at <= at
