"""Which account a typed name leads to."""

from hashlib import sha256

from django.db.models import Q

from core.email_addresses import LONGEST_EMAIL, form_or_text
from core.models import User
from core.text import read_code


def account_named(typed: str) -> User | None:
    """The one account that this user name or email address leads to, active or not.

    An exact user name comes first: an account always has one, so no other account's address can shut it out.
    It's one query, whether or not there is such an account.
    """
    exact, plain, address = typed.strip(), plain_name(typed), form_or_text(typed)
    if len(exact) > LONGEST_EMAIL:  # no user name is longer either
        return None
    candidates = list(User.objects.filter(Q(username=exact) | Q(username__iexact=plain) | Q(email=address)))
    for matches in (
        [account for account in candidates if account.username == exact],
        [account for account in candidates if account.email and account.email == address],
        [account for account in candidates if plain_name(account.username) == plain],
    ):
        if len(matches) == 1:
            return matches[0]
    return None


def account_of_address(address: str) -> User | None:
    """The active account whose own email address this is."""
    return User.objects.filter(email=form_or_text(address), is_active=True).first()


def plain_name(typed: str) -> str:
    """A name as it is compared: without what nobody can see, in lower case."""
    return read_code(typed).lower()


def key_of(account: User | None, typed: str) -> str:
    """What attempts on an account are counted under, whichever of its names was typed; any text where there is none."""
    return f"account-{account.pk}" if account else f"name-{digest_of(typed)}"


def digest_of(typed: str) -> str:
    """A short, fixed stand-in for what was typed."""
    return sha256(plain_name(form_or_text(typed)).encode("utf-8", "replace")).hexdigest()
