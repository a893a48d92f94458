"""Links that set a new password.

Asking for one queues a job, whether or not an account has the address: the answer is the same, and as quick. The
worker finds the account and queues the email; its link is made while it is sent, so neither the queue nor the staff's
desk holds one, and its time runs from the sending.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.urls import reverse

from console.sign_in.accounts import account_of_address, digest_of
from console.sign_in.limits import Limit, TooMany, Use, take
from core import jobs
from core.mail import notify
from core.models import User

JOB = "order_reset_link"
# Earlier links work until one is used, so those who asked for more than this have a link already.
PER_ADDRESS = Limit(5, timedelta(hours=1))


def request_link(address: str, *, at: datetime) -> None:
    """Queue a link for the account of an email address, if there is one. More than five an hour are dropped."""
    try:
        take([Use(f"reset:{digest_of(address)}", PER_ADDRESS)], at=at)
    except TooMany:
        return
    request = uuid4().hex
    jobs.enqueue(JOB, key=request, payload={"request": request, "address": address})


def order_link(payload: dict[str, Any], *, at: datetime) -> Callable[[], None] | None:
    """Job handler: queue the email for the account of the address, if there is one."""
    account = account_of_address(payload["address"])
    if account is None:
        return None
    return partial(notify, account, "password_reset", key=f"password-reset:{payload['request']}", context={}, at=at)


def address_of(account: User) -> str:
    """A new link's whole address. It works once, for settings.PASSWORD_RESET_TIMEOUT seconds from now."""
    key = {"uidb36": user_pk_to_url_str(account), "key": default_token_generator.make_token(account)}
    return settings.BASE_URL + reverse("account_reset_password_from_key", kwargs=key)
