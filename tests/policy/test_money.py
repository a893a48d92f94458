"""Amounts are whole numbers of minor units, read and written without a float."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import AmountError, format_money, minor_digits, parse_amount, plain_amount
from tests.policy.strategies import repeatable

currencies = st.sampled_from(["CNY", "USD", "JPY", "KWD", "CLF", "XYZ"])


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("CNY", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("IQD", 3), ("ALL", 2), ("CLF", 4), ("XYZ", 2)],
)
def test_a_currency_has_the_minor_digits_of_iso_4217(currency: str, digits: int):
    assert minor_digits(currency) == digits


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1200.00", "CNY", 120_000),
        ("1200", "CNY", 120_000),
        ("1200.5", "CNY", 120_050),
        ("0", "CNY", 0),
        ("0012", "CNY", 1_200),
        ("1200", "JPY", 1_200),
        ("1.234", "KWD", 1_234),
        ("0.1", "KWD", 100),
        ("99999999999999999999.99", "CNY", 9_999_999_999_999_999_999_999),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int):
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "-1",
        "+1",
        "1.",
        ".5",
        "1,000",
        "1e3",
        "0x1",
        "１２",
        "1.2.3",
        "1_000",
        "NaN",
        "1.234",
        "1.230",
    ],
)
def test_what_is_no_amount_of_the_currency_is_refused(text: str):
    with pytest.raises(AmountError):
        parse_amount(text, "CNY")


def test_more_digits_than_the_currency_has_are_refused():
    with pytest.raises(AmountError, match="JPY"):
        parse_amount("1200.0", "JPY")


def test_an_endless_amount_is_refused():
    with pytest.raises(AmountError, match="4000"):
        parse_amount("1" * 5000, "CNY")


@repeatable
@given(st.integers(-(10**20), 10**20), currencies)
def test_what_is_written_reads_back(minor: int, currency: str):
    text = plain_amount(minor, currency)
    assert parse_amount(text.removeprefix("-"), currency) == abs(minor)
    assert text.startswith("-") == (minor < 0)
    assert len(text.rpartition(".")[2]) == (minor_digits(currency) or len(text))


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "text"),
    [
        (120_000, "CNY", "en", "CNY 1,200.00"),
        (120_000, "CNY", "de", "CNY 1.200,00"),
        (1_200, "JPY", "en", "JPY 1,200"),
        (1_234, "KWD", "en", "KWD 1.234"),
        (1_234, "IQD", "en", "IQD 1.234"),
        (5, "CNY", "zh-hans", "CNY 0.05"),
    ],
)
def test_money_is_shown_as_the_reader_writes_it(minor: int, currency: str, locale: str, text: str):
    assert format_money(minor, currency, locale).replace("\xa0", " ") == text
