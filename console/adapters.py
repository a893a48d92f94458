"""What the console asks otherwise of django-allauth."""

import math
from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import ngettext

from console.sign_in import devices
from console.sign_in.accounts import account_named
from console.sign_in.attempts import Attempt
from console.sign_in.limits import TooMany
from core.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Accounts come from the import and from staff; nobody signs up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The account, if this is its password. Raises ValidationError after too many tries.

        Every page that asks for a password ends here. One name leads to one account and costs one look at a password,
        whether or not there is such an account: the time an answer takes must not tell.
        """
        typed, password = credentials["username"], credentials["password"]
        account = account_named(typed)
        try:
            attempt = Attempt(
                typed,
                account,
                device=devices.device_of(request, account) if account else "",
                address=self.get_client_ip(request),
                at=timezone.now(),
            )
        except TooMany as reason:
            raise ValidationError(_refusal(reason.wait), code="too_many_login_attempts") from reason
        if not _is_right(account, password):
            return None
        attempt.succeeded()
        return account

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        """Whether this is the password of who is signed in; `user` then carries its hash as it was checked."""
        found = self.authenticate(context.request, username=user.get_username(), password=password)
        if found is None or found.pk != user.pk:
            return False
        # Looking at a password may renew its hash.
        user.password = found.password
        return True

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse:
        devices.remember(request, user)
        return super().post_login(request, user, **kwargs)

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        """Raises PermissionDenied where the account's password is no longer the one this request was let in with."""
        with transaction.atomic():
            now = User.objects.select_for_update().get(pk=user.pk)
            # Restoring an address makes the password useless: whoever knew it must not set another one meanwhile.
            if (now.password, now.is_active) != (user.password, user.is_active):
                raise PermissionDenied
            user.set_password(password)
            user.save(update_fields=["password"])
        devices.remember(context.request, user)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """allauth would send it during the request, with links made from the Host header: use `core.mail.notify`."""
        raise NotImplementedError(template_prefix)


def _is_right(account: User | None, password: str) -> bool:
    if account is None:
        User().set_password(password)  # takes as long as a look at a real one
        return False
    return account.check_password(password)


def _refusal(wait: timedelta) -> str:
    minutes = math.ceil(wait / timedelta(minutes=1))
    return ngettext(
        "Too many failed attempts. Try again in %(minutes)s minute, or reset your password.",
        "Too many failed attempts. Try again in %(minutes)s minutes, or reset your password.",
        minutes,
    ) % {"minutes": minutes}
