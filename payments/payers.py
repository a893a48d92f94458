"""Whose account a bank payment came from: what is typed of it, checked, and how it is shown without being told."""

import re
import unicodedata
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

LONGEST_HOLDER = 140  # characters, as bank transfers hold them
LONGEST_TYPED = 100
DOTS = "••••"

_NUMBER = re.compile(r"[0-9A-Za-z]{5,34}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
# Parts of a number are typed apart: blanks of every width, hyphens and dashes of every length.
_PARTING = re.compile(r"[\s\-\u2010-\u2015\u2212]+")


class BadPayer(ValueError):
    """No account holder or number; the message is the reason, fit for "<field>: <reason>", and never holds what was
    typed."""


@dataclass(frozen=True, slots=True)
class Payer:
    """A payer's account as the bank needs it. Whole only here and in the bank's file: no repr shows it."""

    holder: str = field(default="", repr=False)
    number: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.holder or self.number)


NO_PAYER = Payer()


def read_holder(text: str) -> str:
    """The holder's name in one line, blanks made one. Raises BadPayer."""
    name = " ".join(text.split())
    if not name.isprintable():
        raise BadPayer(_("holds a character that cannot be printed"))
    if len(name) > LONGEST_HOLDER:
        raise BadPayer(_("is longer than %(most)s characters") % {"most": LONGEST_HOLDER})
    if not any(character.isalpha() for character in name):
        raise BadPayer(_("is no name"))
    return name


def read_number(text: str) -> str:
    """An account number without what parts it when typed. Raises BadPayer, also for an IBAN with other check digits."""
    number = _PARTING.sub("", unicodedata.normalize("NFKC", text[: LONGEST_TYPED + 1]))
    if not _NUMBER.fullmatch(number):
        raise BadPayer(_("is not an account number: 5 to 34 letters and digits"))
    if not _IBAN.fullmatch(number.upper()):
        return number
    if not _fits_check_digits(number.upper()):
        raise BadPayer(_("does not fit the check digits of an IBAN: look for a typing error"))
    return number.upper()


def _fits_check_digits(iban: str) -> bool:
    """ISO 13616: the first four behind the rest, letters as 10 to 35, leaves 1 when divided by 97."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def masked_holder(holder: str) -> str:
    """The first letter of each word."""
    return " ".join(f"{word[0]}••" for word in holder.split())


def masked_number(number: str) -> str:
    """The last four, of a short number fewer: never more than half of it."""
    return f"{DOTS} {number[-min(4, len(number) // 2) :]}"
