"""Money as integers in minor units plus an ISO currency code: read, written and shown, never through a float."""

import re
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import format_currency
from django.utils.translation import get_language

# Python refuses to convert more than 4,300 digits, and no amount has as many.
MAX_DIGITS = 4000

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_WITH_COMMA = re.compile(r"([0-9]+),([0-9]+)")


class AmountError(ValueError):
    """A text is no amount of the currency; the message is the reason, fit for "<field>: <reason>"."""


# ISO 4217's minor units, where they are not 2. CLDR, and so babel, counts the digits in everyday use instead.
_CURRENCIES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_MINOR_DIGITS = {code: digits for digits, codes in _CURRENCIES_BY_DIGITS.items() for code in codes.split()}


def minor_digits(currency: str) -> int:
    """How many decimal digits a currency has (CNY 2, JPY 0, KWD 3); 2 for a code that is not known."""
    return _MINOR_DIGITS.get(currency, 2)


def parse_amount(text: str, currency: str | None, *, decimal_comma: bool = False) -> int:
    """Minor units of `digits` or `digits.digits`, with at most the currency's minor digits.

    With `decimal_comma` also of `digits,digits` with exactly the currency's digits: with any other number of them the
    comma may separate thousands. Without a currency only the writing is checked, and the answer means nothing.
    Raises AmountError.
    """
    if decimal_comma:
        text = _with_point(text, currency)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise AmountError("is not an amount, digits or digits.digits")
    whole, fraction = match[1], match[2] or ""
    if len(text) > MAX_DIGITS:
        raise AmountError(f"has more than {MAX_DIGITS} characters")
    digits = len(fraction) if currency is None else minor_digits(currency)
    if len(fraction) > digits:
        raise AmountError(f"has more decimal digits than {currency} ({digits})")
    return int(whole + fraction.ljust(digits, "0"))


def _with_point(text: str, currency: str | None) -> str:
    match = _WITH_COMMA.fullmatch(text)
    if match is None:
        return text
    whole, fraction = match.groups()
    if currency and len(fraction) != minor_digits(currency):
        raise AmountError(
            f"has {len(fraction)} digits after its comma, and {currency} has {minor_digits(currency)}: "
            "write amounts without thousands separators"
        )
    return f"{whole}.{fraction}"


def plain_amount(minor: int, currency: str) -> str:
    """Minor units as a plain decimal with all of the currency's digits: "1200.00"."""
    digits = minor_digits(currency)
    sign, text = "-" if minor < 0 else "", str(abs(minor)).zfill(digits + 1)
    if not digits:
        return sign + text
    return f"{sign}{text[:-digits]}.{text[-digits:]}"


def format_money(minor: int, currency: str, locale: str | None = None) -> str:
    """Minor units for a reader: currency code, then the number in the locale's writing, "CNY 1,200.00".

    `locale` is a language code as Django or CLDR write it ("en", "zh-hans", "de_AT"); the reader's language by default.
    """
    return _format(minor, currency, locale or get_language() or "en")


@lru_cache(maxsize=4096)  # a list shows the same few prices over and over
def _format(minor: int, currency: str, code: str) -> str:
    number = Decimal(plain_amount(minor, currency))
    pattern = "¤¤ #,##0." + "0" * minor_digits(currency)
    return format_currency(number, currency, pattern.rstrip("."), locale=_locale(code), currency_digits=False)


@lru_cache(maxsize=64)
def _locale(code: str) -> Locale:
    return Locale.parse(code.replace("-", "_"))
