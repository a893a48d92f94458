"""Daily totals and their export: the same to the cent, by the day of each channel's own books."""

import csv
from datetime import date, datetime, timedelta
from itertools import count
from types import GeneratorType
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from core.csv_cells import safe_cell
from core.models import User
from core.money import parse_amount
from payments import totals
from payments.admin.totals import COLUMNS, csv_lines
from payments.days import books_day, span_of
from payments.models import Payment, Payout
from payments.services import Part, order_payouts, record_paid, record_returned
from payments.totals import totals_of
from tests import factories
from tests.factories import NOON

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 23)
HOUR = timedelta(hours=1)
# Payments without an order, and payouts without a request behind them.
bare_payments = pytest.mark.broken_books

_numbers = count(1)


def gone(
    account: User, channel: str, amount: int, currency: str, day: date, *, by: User, reference: str = ""
) -> Payout:
    """A payout that its channel booked on `day`."""
    number = next(_numbers)
    at = min(NOON, span_of(channel, day)[0])
    payment = Payment.objects.create(
        account=account, channel=channel, amount=amount, currency=currency, reference=f"in-{number}", paid_at=at
    )
    [payout] = order_payouts(f"RF-{number}", [Part(payment.pk, amount)], approved_by=None, at=at)
    recorded_at = max(NOON, span_of(channel, day)[0])
    return record_paid(payout.pk, reference or f"out-{number}", by=by, at=recorded_at, day=day)


def rows(day: date, channel: str = "") -> list[dict[str, str]]:
    return list(csv.DictReader(csv_lines(day, channel)))


# --- Page and file -----------------------------------------------------------------------------

DAYS = st.sampled_from([DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)])
MOVED = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["alipay", "bank", "card"]),
        "currency": st.sampled_from(["CNY", "JPY", "KWD", "USD"]),
        "amount": st.integers(min_value=1, max_value=10**11),
        "day": DAYS,
        # When it came back, hours from the beginning of DAY in the service's zone; None where it did not.
        "back_after": st.none() | st.integers(min_value=-24, max_value=71),
    }
)


@bare_payments
@settings(max_examples=25)
@given(moved=st.lists(MOVED, max_size=7))
def test_totals_equal_the_export_to_the_cent(moved: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        expected = make(moved)
        for day in (DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)):
            assert exported(day) == shown(day) == {key[1:]: sums for key, sums in expected.items() if key[0] == day}
        transaction.set_rollback(True)


def make(moved: list[dict[str, Any]]) -> dict[tuple[date, str, str], list[int]]:
    """Let it happen; say what each day, channel and currency then sums to, in plain words: number and sum, twice."""
    account, by = factories.UserFactory(), factories.cashier(f"cashier-{next(_numbers)}")
    sums: dict[tuple[date, str, str], list[int]] = {}
    for each in moved:
        channel, currency, amount = each["channel"], each["currency"], each["amount"]
        payout = gone(account, channel, amount, currency, each["day"], by=by)
        add(sums, (each["day"], channel, currency), 0, amount)
        if each["back_after"] is not None:
            at = span_of("alipay", DAY)[0] + each["back_after"] * HOUR
            record_returned(payout.pk, "account closed", by=by, at=at)
            zone_hours = 0 if channel == "card" else 8
            day = (at.astimezone(NOON.tzinfo) + zone_hours * HOUR).date()
            add(sums, (day, channel, currency), 2, amount)
    return sums


def add(sums: dict[tuple[date, str, str], list[int]], key: tuple[date, str, str], at: int, amount: int) -> None:
    entry = sums.setdefault(key, [0, 0, 0, 0])
    entry[at] += 1
    entry[at + 1] += amount


def shown(day: date) -> dict[tuple[str, str], list[int]]:
    return {
        (total.channel, total.currency): [total.paid_count, total.paid, total.back_count, total.back]
        for total in totals_of(day)
    }


def exported(day: date) -> dict[tuple[str, str], list[int]]:
    """What the file sums to, read as anybody would: amounts by their currency's digits, the direction for a sign."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows(day):
        entry = sums.setdefault((row["channel"], row["currency"]), [0, 0, 0, 0])
        at = {"out": 0, "back": 2}[row["direction"]]
        entry[at] += 1
        entry[at + 1] += parse_amount(row["amount"], row["currency"])
        assert row["day"] == day.isoformat()
    return sums


# --- Days --------------------------------------------------------------------------------------


@bare_payments
def test_money_that_came_back_counts_on_the_day_of_its_return_and_leaves_the_day_it_went_out(
    customer: User, cashier: User
) -> None:
    payout = gone(customer, "bank", 70_000, "CNY", DAY - timedelta(days=3), by=cashier)
    record_returned(payout.pk, "account closed", by=cashier, at=NOON)
    [then], [now] = totals_of(DAY - timedelta(days=3)), totals_of(DAY)
    assert (then.paid_count, then.paid, then.back_count, then.net) == (1, 70_000, 0, 70_000)
    assert (now.paid_count, now.paid, now.back_count, now.back, now.net) == (0, 0, 1, 70_000, -70_000)


@bare_payments
@pytest.mark.parametrize(("channel", "day"), [("card", DAY), ("bank", DAY + timedelta(days=1))])
def test_day_of_a_return_is_that_of_the_channels_own_books(
    customer: User, cashier: User, channel: str, day: date
) -> None:
    """Five in the afternoon in UTC is the next day in Shanghai."""
    evening = datetime(2026, 11, 23, 17, 0, tzinfo=NOON.tzinfo)
    payout = gone(customer, channel, 500, "CNY", DAY - timedelta(days=1), by=cashier)
    record_returned(payout.pk, "account closed", by=cashier, at=evening)
    assert books_day(channel, evening) == day
    assert [total.back for total in totals_of(day)] == [500]
    assert totals_of(DAY if day != DAY else DAY + timedelta(days=1)) == []


@bare_payments
def test_file_says_the_zone_of_every_day(customer: User, cashier: User) -> None:
    for channel in ("alipay", "card"):
        gone(customer, channel, 500, "CNY", DAY, by=cashier)
    assert [(row["channel"], row["day"], row["zone"]) for row in rows(DAY)] == [
        ("alipay", "2026-11-23", "Asia/Shanghai"),
        ("card", "2026-11-23", "UTC"),
    ]


# --- The file ----------------------------------------------------------------------------------


@bare_payments
def test_amounts_have_their_currencys_digits_and_no_sign(customer: User, cashier: User) -> None:
    for currency, amount in (("CNY", 5), ("JPY", 1200), ("KWD", 1200)):
        record_returned(gone(customer, "bank", amount, currency, DAY, by=cashier).pk, "closed", by=cashier, at=NOON)
    told = [(row["direction"], row["amount"], row["currency"]) for row in rows(DAY)]
    once = [("0.05", "CNY"), ("1200", "JPY"), ("1.200", "KWD")]
    assert told == [(direction, *amount) for direction in ("out", "back") for amount in once]


@bare_payments
def test_one_channel_may_be_had_alone(customer: User, cashier: User) -> None:
    for channel in ("alipay", "card"):
        gone(customer, channel, 500, "CNY", DAY, by=cashier)
    assert [row["channel"] for row in rows(DAY, "card")] == ["card"]


@bare_payments
def test_no_cell_of_the_file_is_taken_for_a_formula(customer: User, cashier: User) -> None:
    gone(customer, "bank", 500, "CNY", DAY, by=cashier, reference='=HYPERLINK("http://x.example","pay")')
    [row] = rows(DAY)
    assert row["outside_reference"] == '\'=HYPERLINK("http://x.example","pay")'
    assert not [cell for cell in row.values() if cell[0] in "=+-@"]


@bare_payments
def test_large_day_takes_no_more_memory_than_a_small_one(
    customer: User, cashier: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are read in chunks, and each line is handed on before the next is read."""
    asked = []
    monkeypatch.setattr(totals, "CHUNK", 2)
    for _ in range(5):
        gone(customer, "bank", 500, "CNY", DAY, by=cashier)
    iterator = type(Payout.objects.all()).iterator
    monkeypatch.setattr(
        type(Payout.objects.all()),
        "iterator",
        lambda self, chunk_size: asked.append(chunk_size) or iterator(self, chunk_size),
    )
    lines = csv_lines(DAY)
    assert isinstance(lines, GeneratorType)
    assert next(lines).strip() == ",".join(COLUMNS)
    assert asked == []
    assert len(list(lines)) == 5
    assert asked == [2, 2]


@bare_payments
def test_totals_take_two_queries_however_much_moved(customer: User, cashier: User) -> None:
    for channel in ("alipay", "bank", "card", "bank"):
        gone(customer, channel, 500, "CNY", DAY, by=cashier)
    with CaptureQueriesContext(connection) as captured:
        assert len(totals_of(DAY)) == 3
    assert len(captured) == 2


# --- Cells -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\tplain",
        " =1",
        "\u00a0=1",
        "\u3000=1",
        "\ufeff=1",
        "\u200b-1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        " ＝1",
    ],
)
def test_text_that_a_spreadsheet_would_run_stands_behind_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "2026-1", "a=1", "RF-1/2", "'=1", "支付宝", "  padded ", "1200.00"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


@given(st.text())
def test_no_text_begins_as_a_formula_once_it_is_safe(text: str) -> None:
    cell = safe_cell(text)
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.lstrip().startswith(tuple("=+-@＝＋－＠"))
