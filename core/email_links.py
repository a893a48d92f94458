"""The links in emails about a change of an account's email address.

They are never stored: an email's row names the change, and the link is signed while the email is sent. The change's
own state and times say what a link is still good for.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from core.models import EmailChange, EmailChangeState

CONFIRM_WITHIN = timedelta(days=1)
RESTORE_WITHIN = timedelta(days=7)

_S = EmailChangeState


class LinkKind(StrEnum):
    """What a link does. One that restores is sent at the request and again once the change is in effect."""

    CONFIRM = "confirm"
    RESTORE_AFTER_REQUEST = "restore-after-request"
    RESTORE_AFTER_CHANGE = "restore-after-change"


class LinkStatus(StrEnum):
    """What a link is still good for."""

    WORKS = "works"
    USED = "used"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    # Staff set an address, or an earlier one was restored.
    OVERRULED = "overruled"


@dataclass(frozen=True, slots=True)
class EmailLink:
    """One link: the primary key of its `EmailChange`, and what it does."""

    change: int
    kind: LinkKind

    @property
    def restores(self) -> bool:
        return self.kind != LinkKind.CONFIRM


def address_of(link: EmailLink) -> str:
    """The absolute URL for the email."""
    page = "restore_email" if link.restores else "confirm_email"
    return settings.BASE_URL + reverse(page, args=[token_of(link)])


def token_of(link: EmailLink) -> str:
    return _signer().sign_object([link.change, link.kind])


def read(token: str) -> EmailLink | None:
    """The link behind a token; None if this console didn't sign it."""
    try:
        change, kind = _signer().unsign_object(token)
        return EmailLink(change, LinkKind(kind))
    except (BadSignature, ValueError):
        return None


def status_of(link: EmailLink, change: EmailChange, at: datetime) -> LinkStatus:
    """What a link is good for at `at`. `change` is the one it names."""
    if change.state == _S.OVERRULED:
        return LinkStatus.OVERRULED
    return _restoring(link, change, at) if link.restores else _confirming(link, change, at)


def expires_at(link: EmailLink, change: EmailChange) -> datetime:
    """When a link stops working, UTC."""
    if link.kind == LinkKind.CONFIRM:
        return change.requested_at + CONFIRM_WITHIN
    if link.kind == LinkKind.RESTORE_AFTER_CHANGE and change.confirmed_at:
        return change.confirmed_at + RESTORE_WITHIN
    return change.requested_at + RESTORE_WITHIN


def _confirming(link: EmailLink, change: EmailChange, at: datetime) -> LinkStatus:
    if change.state == _S.RESTORED:
        return LinkStatus.OVERRULED
    if change.state == _S.DONE:
        return LinkStatus.USED
    if change.state == _S.WITHDRAWN:
        return LinkStatus.WITHDRAWN
    return LinkStatus.EXPIRED if expires_at(link, change) <= at else LinkStatus.WORKS


def _restoring(link: EmailLink, change: EmailChange, at: datetime) -> LinkStatus:
    if change.state == _S.RESTORED:
        return LinkStatus.USED
    return LinkStatus.EXPIRED if expires_at(link, change) <= at else LinkStatus.WORKS


def _signer() -> Signer:
    return Signer(salt="core.email-change-link")
