"""One value of a row: from what the file says to the plain JSON value that is kept of it. All raise Unfit."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from babel.numbers import list_currencies

from certificates.importing.domains import domain_names
from certificates.importing.problems import Unfit
from certificates.importing.reading import Number
from certificates.pem import is_armored, text_of
from certificates.states import DomainType, Level
from core.clock import as_utc
from core.csv_cells import damage_reason, day_reason, iso_day
from core.csv_files import LOST, encoding_reason
from core.email_addresses import BadEmail, normalize_email
from core.money import parse_amount, plain_amount
from payments.payers import BadPayer, read_holder, read_number
from payments.states import Channel

FIRST_YEAR, LAST_YEAR = 1970, 2200
LARGEST_AMOUNT = 2**63 - 1  # minor units, as the database holds them
LONGEST_AMOUNT = 100  # characters
LONGEST_PERIOD = 3660  # days
MOST_PAYMENTS = 100
LARGEST_PEM = 100_000  # bytes

_Pem = TypeVar("_Pem", str, bytes)

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_ACCOUNT = re.compile(r"[\w.@+-]{1,150}")
_INSTANCE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_CURRENCIES = frozenset(list_currencies())
_LEVELS = tuple(Level.values)
_CHANNELS = tuple(Channel.values)
_DOMAIN_TYPES = {word: kind.value for kind in DomainType for word in (kind.value, str(kind.label).lower())}


def line_of_text(value: Any, longest: int = 200) -> str:
    """One line of printable text, not empty."""
    if not isinstance(value, str):
        raise Unfit("is not a text")
    if LOST in value or not value.isprintable():
        raise Unfit(_unprintable(value))
    if len(value) > longest:
        raise Unfit(f"is longer than {longest} characters")
    return value


def identifier(value: Any, longest: int = 200) -> str:
    """A line of text that names one thing, so that not a digit of it may be lost."""
    text = line_of_text(value, longest)
    if reason := damage_reason(text):
        raise Unfit(reason)
    if isinstance(value, Number) and not value.isdecimal():
        raise Unfit("is a JSON number with a sign, a fraction or an exponent: write it as a string, in quotes")
    return str(text)


def order_number(value: Any) -> str:
    return identifier(value, 64)


def brand(value: Any) -> str:
    return line_of_text(value, 50)


def account(value: Any) -> str:
    """A user name, in the one form that sign-in looks for."""
    name = unicodedata.normalize("NFKC", identifier(value))
    if not _ACCOUNT.fullmatch(name):
        raise Unfit("is not an account's name: letters, digits and @ . + - _, at most 150")
    return name


@lru_cache(maxsize=4096)
def _email(text: str) -> str:
    try:
        return normalize_email(text)
    except BadEmail:
        raise Unfit("is not an email address") from None


def email(value: Any) -> str:
    """An address in its stored form."""
    if not isinstance(value, str):
        raise Unfit("is not a text")
    return _email(value)


@lru_cache(maxsize=4096)
def _moment(text: str) -> str:
    text = iso_day(text)
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise Unfit(day_reason(text) or "is not a time as RFC 3339 writes it, 2026-06-01T12:00:00+08:00")
    if match["offset"] is None:
        raise Unfit("has no offset (Z, or +08:00)")
    try:
        moment = as_utc(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise Unfit("is not a time of the calendar and the clock") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Unfit(f"is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.isoformat()


def moment(value: Any) -> str:
    """A moment as ISO 8601 in UTC."""
    return _moment(line_of_text(value))


def currency(value: Any) -> str:
    code = line_of_text(value)
    if code not in _CURRENCIES:
        raise Unfit("is not a currency's code, three capital letters of ISO 4217")
    return code


@dataclass(frozen=True, slots=True)
class MoneyFormat:
    """How a row writes its amounts: in which currency, None where that can't be told, and with which decimal mark."""

    currency: str | None
    has_decimal_comma: bool = False


def amount(value: Any, written: MoneyFormat) -> str:
    """An amount with all of its currency's digits. Without a currency only its writing is looked at."""
    return _amount(line_of_text(value, LONGEST_AMOUNT), written.currency, decimal_comma=written.has_decimal_comma)


@lru_cache(maxsize=4096)
def _amount(text: str, currency_code: str | None, *, decimal_comma: bool) -> str:
    minor = parse_amount(text, currency_code, decimal_comma=decimal_comma)
    if minor > LARGEST_AMOUNT:
        raise Unfit("is too large")
    return plain_amount(minor, currency_code) if currency_code else text


def payments(value: Any, written: MoneyFormat) -> list[dict[str, str]]:
    """The payments by channel and reference, so that their order in the file says nothing."""
    parts = [_payment(part, written) for part in _payment_parts(value)]
    if len(parts) > MOST_PAYMENTS:
        raise Unfit(f"are {len(parts)}, more than {MOST_PAYMENTS}")
    names = [(part["channel"], part["reference"]) for part in parts if part["reference"]]
    for channel, reference in names:
        if names.count((channel, reference)) > 1:
            raise Unfit(f"name {channel}:{reference} twice")
    return sorted(parts, key=lambda part: (part["channel"], part["reference"], part["amount"]))


def _payment_parts(value: Any) -> Iterable[Mapping[str, Any]]:
    """`channel:amount:reference;…`, or a list of objects with these keys."""
    if isinstance(value, str):
        keys = ("channel", "amount", "reference")
        parts = (map(str.strip, part.split(":", 2)) for part in value.split(";") if part.strip())
        return [dict(zip(keys, part, strict=False)) for part in parts]
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return value
    raise Unfit("are not a list of objects with channel, amount and reference")


def _payment(part: Mapping[str, Any], written: MoneyFormat) -> dict[str, str]:
    if not {"channel", "amount"} <= part.keys() <= {"channel", "amount", "reference"}:
        raise Unfit("are not each channel:amount:reference")
    channel, paid = part["channel"], part["amount"]
    if channel not in _CHANNELS:
        raise Unfit(f"name the channel {channel!a}, which is not one of {', '.join(_CHANNELS)}")
    reference = _reference(part.get("reference") or "")
    if not reference and channel != Channel.BALANCE:
        raise Unfit(f"lack the reference of the {channel} payment")
    try:
        plain = amount(paid, written)
    except ValueError as error:
        raise Unfit(f"have an amount that {error}") from None
    if not plain.strip("0."):
        raise Unfit("have an amount of 0")
    return {"channel": channel, "amount": plain, "reference": reference}


def _reference(value: Any) -> str:
    try:
        return identifier(value)
    except Unfit as error:
        raise Unfit(f"have a reference that {error}") from None


def bank_holder(value: Any) -> str:
    return _of_payer(read_holder, line_of_text(value))


def bank_account(value: Any) -> str:
    return _of_payer(read_number, identifier(value))


def _of_payer(reader: Callable[[str], str], value: str) -> str:
    """No refusal repeats what was read."""
    try:
        return reader(value)
    except BadPayer as error:
        raise Unfit(str(error)) from None


def level(value: Any) -> str:
    name = line_of_text(value).upper()
    if name not in _LEVELS:
        raise Unfit(f"is not one of {', '.join(_LEVELS)}")
    return name


def domain_type(value: Any) -> str:
    name = line_of_text(value).lower()
    if name not in _DOMAIN_TYPES:
        raise Unfit(f"is not one of {', '.join(DomainType.values)}")
    return _DOMAIN_TYPES[name]


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = line_of_text(value).lower()
    if word not in _FLAGS:
        raise Unfit("is not true or false")
    return _FLAGS[word]


def domains(value: Any) -> list[str]:
    """A list of names; in a text they are parted by `;` or blanks."""
    if isinstance(value, str):
        return domain_names(re.split(r"[;\s]+", value.strip("; ")))
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return domain_names(value)
    raise Unfit("are not a list of names")


def days(value: Any) -> int:
    text = line_of_text(value)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= LONGEST_PERIOD):
        raise Unfit(f"is not a whole number from 1 to {LONGEST_PERIOD}")
    return int(text)


def instance_id(value: Any) -> str:
    text = identifier(value)
    if not _INSTANCE_ID.fullmatch(text):
        raise Unfit("is not an instance ID: small letters, digits and -, at most 40")
    return text


def policy(value: Any, known: Iterable[str]) -> str:
    name = line_of_text(value)
    if name not in known:
        raise Unfit(f"is not one of {', '.join(sorted(known))}")
    return name


def pem_text(value: Any, folder: Path) -> str:
    """The PEM text that a row carries or that is in a file under `folder`."""
    if not isinstance(value, str):
        raise Unfit("is not a text")
    if is_armored(_not_too_large(value)):
        return value
    if LOST in value or not value.isprintable():
        raise Unfit(_unprintable(value))
    return _read_pem(folder / value, folder)


def _read_pem(path: Path, folder: Path) -> str:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            raise Unfit("is a path that leaves the file's folder")
        if not real.is_file():
            raise Unfit("is a path to something that is not a file")
        with real.open("rb") as file:
            content = file.read(LARGEST_PEM + 1)
    except (OSError, RuntimeError) as error:
        raise Unfit(f"cannot be read ({getattr(error, 'strerror', None) or 'a path that leads nowhere'})") from None
    return text_of(_not_too_large(content))


def _not_too_large(pem: _Pem) -> _Pem:
    if len(pem) > LARGEST_PEM:
        raise Unfit(f"is larger than {LARGEST_PEM:,} bytes")
    return pem


def _unprintable(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character"
    if LOST in text:
        return encoding_reason()
    return "holds a character that cannot be printed"
