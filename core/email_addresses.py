"""The one form in which email addresses are stored and compared, and how people see them."""

import re

import idna
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from core.text import read_code

LONGEST_EMAIL, LONGEST_LOCAL_PART = 254, 64  # characters of the stored form (RFC 5321)
# Longer text isn't looked at: a domain in its own script and invisible characters make an address longer than stored.
LONGEST_TYPED = 1000

_DOT_ATOM = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)


class BadEmail(ValidationError):
    """A text that isn't an email address we accept; the message is a sentence to show beside the field."""


# The migration core.0004 uses this: a stricter rule needs a migration of its own.
def normalize_email(text: str) -> str:
    """The form of an email address that we store and compare: lowercase ASCII, the domain as its A-label.

    Dots and +tags stay. Quoted local parts, address literals and a trailing dot are refused. Raises BadEmail.
    """
    if len(text) > LONGEST_TYPED:
        raise BadEmail(_("This is too long for an email address."))
    local, at, domain = read_code(text).lower().rpartition("@")
    if not at or not _DOT_ATOM.fullmatch(local):
        raise _invalid()
    address = f"{local}@{_ascii_domain(domain)}"
    if len(local) > LONGEST_LOCAL_PART or len(address) > LONGEST_EMAIL:
        raise BadEmail(_("This is too long for an email address."))
    return address


def shown_email(address: str) -> str:
    """A stored address for people: its domain in its own script. What isn't an address stays as it is."""
    local, at, domain = address.rpartition("@")
    if not at or "xn--" not in domain:
        return address
    try:
        return f"{local}@{idna.decode(domain)}"
    except UnicodeError:
        return address


def is_same_email(one: str, other: str) -> bool:
    """Whether two texts name the same mailbox, however each is written."""
    return form_or_text(one) == form_or_text(other)


def form_or_text(text: str) -> str:
    """The stored form of an address, or the text unchanged if it has none: for lookups, where it then finds nothing."""
    try:
        return normalize_email(text)
    except BadEmail:
        return text


def _ascii_domain(domain: str) -> str:
    """A domain by IDNA 2008 with UTS 46. Only `localhost` may have a single label. Raises BadEmail."""
    try:
        name = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError as error:
        raise _invalid() from error
    last = name.rpartition(".")[2]
    if not last or last.isdecimal() or (last == name and name != "localhost"):
        raise _invalid()
    return name


def _invalid() -> BadEmail:
    return BadEmail(_("Enter a valid email address, such as name@example.com."))
