"""Changing an account's email address, which is the way into the account.

A customer's change needs the password (the form asks for it) and a link sent to the new address. The old address is
told at the request and at the change; a link there undoes it, signs out every device and makes the password useless,
since whoever made the change knew it. Staff change an address at once.

The account's row is locked first, then its changes.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from core import audit
from core.accounts import forget_former_addresses
from core.email_links import CONFIRM_WITHIN, RESTORE_WITHIN, EmailLink, LinkKind, LinkStatus, expires_at, status_of
from core.mail import notify
from core.models import EmailChange, EmailChangeState, User

MOST_REQUESTS = 5  # of an account within a day: each sends an email to an address that may be a stranger's

_S = EmailChangeState


class EmailChangeError(Exception):
    """A change of address was refused; nothing has changed."""


class DeadEmailLink(EmailChangeError):
    """A link is no longer good for what it was made for; `status` says why."""

    def __init__(self, status: LinkStatus) -> None:
        super().__init__(status)
        self.status = status


class EmailTaken(EmailChangeError):
    """Another account has the address."""


class SameEmail(EmailChangeError):
    """The account has this address already."""


class TooManyEmailChanges(EmailChangeError):
    """The account has asked for as many changes within a day as it may."""


class PasswordReplaced(EmailChangeError):
    """The account's password is no longer the one that was checked."""


# --- The account's own change ------------------------------------------------------------------


@transaction.atomic
def request_change(checked: User, new_email: str, *, at: datetime) -> EmailChange:
    """Send a link to the new address, and tell the old one. An earlier request is withdrawn.

    If another account has the address, its owner is told instead, without a link; the person asking can't tell.
    `new_email` is in its stored form, and `checked` is the account as it was when its password was checked. Raises
    PasswordReplaced, SameEmail and TooManyEmailChanges.
    """
    account = _lock(checked.pk)
    if account.password != checked.password:
        # An owner who restores the address makes the password useless; that must not be overtaken by its last use.
        raise PasswordReplaced(account.username)
    if new_email == account.email:
        raise SameEmail(new_email)
    if account.email_changes.filter(requested_at__gt=at - timedelta(days=1)).count() >= MOST_REQUESTS:
        raise TooManyEmailChanges(account.username)
    for earlier in account.email_changes.filter(state=_S.REQUESTED):
        _withdraw(earlier, at=at)
    change = EmailChange.objects.create(account=account, old_email=account.email, new_email=new_email, requested_at=at)
    audit.record(account, "email_change_requested", by=account, at=at, detail=_detail(change))
    if holder := User.objects.filter(email=new_email).first():
        key = f"account-{account.pk}:email-change-{change.pk}:in-use"
        context = {"username": holder.username, "new_email": new_email}
        notify(holder, "email_change_in_use", key=key, context=context, at=at)
    else:
        _tell(change, "email_change_confirm", EmailLink(change.pk, LinkKind.CONFIRM), new_email, at=at)
    _tell(change, "email_change_requested", EmailLink(change.pk, LinkKind.RESTORE_AFTER_REQUEST), account.email, at=at)
    return change


@transaction.atomic
def withdraw_change(account_id: int, *, at: datetime) -> bool:
    """Take back the account's request, if there is one; say whether there was. The link no longer works."""
    account = _lock(account_id)
    waiting = account.email_changes.filter(state=_S.REQUESTED).first()
    if waiting is None:
        return False
    _withdraw(waiting, at=at)
    audit.record(account, "email_change_withdrawn", by=account, at=at, detail=_detail(waiting))
    return True


@transaction.atomic
def confirm_change(link: EmailLink, *, at: datetime) -> EmailChange:
    """Put a change into effect by the link sent to the new address. Raises DeadEmailLink, EmailTaken."""
    account, change = _lock_both(link)
    status = _status_for_confirming(link, change, account, at)
    if status != LinkStatus.WORKS:
        raise DeadEmailLink(status)
    change.confirm()
    change.confirmed_at = at
    change.save()
    _set_email(account, change.new_email)
    audit.record(account, "email_changed", by=account, at=at, detail=_detail(change))
    _tell(change, "email_changed", EmailLink(change.pk, LinkKind.RESTORE_AFTER_CHANGE), change.old_email, at=at)
    return change


def waiting_change(account: User, *, at: datetime) -> EmailChange | None:
    """The account's request whose link still works."""
    return account.email_changes.filter(state=_S.REQUESTED, requested_at__gt=at - CONFIRM_WITHIN).first()


# --- Undoing it --------------------------------------------------------------------------------


@transaction.atomic
def restore_email(link: EmailLink, *, at: datetime) -> User:
    """Give an account its old address back, sign out all its devices, and make its password useless.

    The account's later changes end, and so do the links sent for them: they went to addresses that this one undoes.
    If another account has taken the old address meanwhile, staff must settle it. Raises DeadEmailLink.
    """
    account, change = _lock_both(link)
    status = status_of(link, change, at)
    if status != LinkStatus.WORKS:
        raise DeadEmailLink(status)
    change.restore()
    change.ended_at = at
    change.save()
    _overrule(account, Q(pk__gt=change.pk), at=at)
    # Sessions are tied to the password's hash: they all end.
    account.set_unusable_password()
    try:
        _set_email(account, change.old_email)
    except EmailTaken:
        _set_email(account, "", unsettled=change.old_email)
    audit.record(account, "email_restored", by=None, at=at, detail=_detail(change))
    return account


# --- Staff -------------------------------------------------------------------------------------


@transaction.atomic
def changed_by_staff(account: User, old_email: str, *, at: datetime) -> None:
    """Tell the old address that staff have set another, and end the account's own changes.

    The email holds no link that undoes it: staff set an address because the old mailbox is lost or in wrong hands.
    """
    _overrule(account, Q(), at=at)
    if old_email:
        notify(
            account,
            "email_changed_by_staff",
            key=f"account-{account.pk}:email-by-staff:{at.isoformat()}",
            context={"username": account.username, "old_email": old_email, "new_email": account.email},
            at=at,
            address=old_email,
        )


# --- Shared ------------------------------------------------------------------------------------


def _lock(account_id: int) -> User:
    return User.objects.select_for_update().get(pk=account_id)


def _lock_both(link: EmailLink) -> tuple[User, EmailChange]:
    account = _lock(EmailChange.objects.values_list("account_id", flat=True).get(pk=link.change))
    change = EmailChange.objects.select_for_update().get(pk=link.change)
    change.account = account
    return account, change


def _status_for_confirming(link: EmailLink, change: EmailChange, account: User, at: datetime) -> LinkStatus:
    status = status_of(link, change, at)
    is_as_requested = account.is_active and account.email == change.old_email
    return status if status != LinkStatus.WORKS or is_as_requested else LinkStatus.OVERRULED


def _set_email(account: User, email: str, *, unsettled: str = "") -> None:
    """Raises EmailTaken if another account has the address."""
    account.email, account.unsettled_email = email, unsettled
    try:
        with transaction.atomic():
            account.save(update_fields=["email", "unsettled_email", "password"])
    except IntegrityError as error:
        raise EmailTaken(email) from error
    forget_former_addresses(account)


def _withdraw(change: EmailChange, *, at: datetime) -> None:
    change.withdraw()
    change.ended_at = at
    change.save()


def _overrule(account: User, which: Q, *, at: datetime) -> None:
    """End every link of these changes that could still act."""
    recent = Q(requested_at__gt=at - CONFIRM_WITHIN - RESTORE_WITHIN) | Q(state=_S.REQUESTED)
    open_states = [_S.REQUESTED, _S.WITHDRAWN, _S.DONE]
    for change in account.email_changes.select_for_update().filter(which, recent, state__in=open_states):
        change.overrule()
        change.ended_at = at
        change.save()


def _tell(change: EmailChange, template: str, link: EmailLink, address: str, *, at: datetime) -> None:
    """Queue one email to `address`, if there is one. Its row holds what the link is made of, not the link."""
    if not address:
        return
    context = {
        "change": change.pk,
        "link": link.kind,
        "username": change.account.username,
        "old_email": change.old_email,
        "new_email": change.new_email,
        "expires_at": expires_at(link, change).isoformat(),
    }
    key = f"account-{change.account_id}:email-change-{change.pk}:{link.kind}"
    notify(change.account, template, key=key, context=context, at=at, address=address)


def _detail(change: EmailChange) -> dict[str, Any]:
    return {"old": change.old_email, "new": change.new_email}
