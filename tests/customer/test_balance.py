"""Balance: what is on the account, and every entry with its date, cause and request."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from core.models import User
from payments.models import LedgerAccount, LedgerEntry, Payout
from payments.states import Cause, LedgerKind
from refunds.models import RefundRequest
from tests import factories
from tests.customer.pages import listed, older_address, words
from tests.factories import NOON

BALANCE = "/balance/"


def refunded(account: User, *, amount: int = 120_000, currency: str = "CNY") -> RefundRequest:
    request = factories.submit(factories.certificate(account, payments={"balance": amount}, currency=currency))
    factories.pay_out()
    return request


def test_nobody_reads_it_without_signing_in(db: None) -> None:
    assert Client().get(BALANCE)["Location"] == "/accounts/login/?next=/balance/"


def test_an_empty_balance_says_so(as_customer: Client) -> None:
    text = words(as_customer.get(BALANCE))
    assert "Nothing is on your balance yet." in text
    assert "Current balance" not in text


def test_it_is_kept_per_currency(customer: User, as_customer: Client) -> None:
    for amount, currency in ((120_000, "CNY"), (30_050, "CNY"), (15_000, "JPY")):
        refunded(customer, amount=amount, currency=currency)
    text = words(as_customer.get(BALANCE))
    assert "Current balance, CNY CNY 1,500.50" in text
    assert "Current balance, JPY JPY 15,000" in text


def test_an_entry_has_its_date_cause_request_and_signed_amount(customer: User, as_customer: Client) -> None:
    request = refunded(customer)
    page = as_customer.get(BALANCE)
    assert f"2026-11-23 12:00 Refund {request.reference} in + CNY 1,200.00" in words(page)
    assert f'href="/refunds/{request.reference}/"' in page.content.decode()


@pytest.mark.broken_books  # one of its kind that no service makes
def test_what_goes_out_has_a_minus(customer: User, as_customer: Client) -> None:
    request = refunded(customer)
    LedgerEntry.objects.create(
        at=NOON,
        debit=LedgerAccount.objects.get(owner=customer),
        credit=LedgerAccount.objects.get(kind=LedgerKind.PENDING),
        amount=120_000,
        currency="CNY",
        cause=Cause.PAYOUT_RETURNED,
        payout=Payout.objects.get(reference=request.reference),
    )
    assert f"Refund came back {request.reference} out − CNY 1,200.00" in words(as_customer.get(BALANCE))


def test_an_account_sees_its_own_entries_alone(customer: User, neighbour: User, as_customer: Client) -> None:
    theirs = refunded(neighbour, amount=77_700)
    text = words(as_customer.get(BALANCE))
    assert theirs.reference not in text
    assert "777.00" not in text


def test_what_went_to_another_channel_is_no_entry(customer: User, as_customer: Client) -> None:
    factories.submit(factories.certificate(customer, payments={"alipay": 120_000}))
    assert "Nothing is on your balance yet." in words(as_customer.get(BALANCE))


def test_entries_stand_newest_first_twenty_a_page(customer: User, as_customer: Client) -> None:
    references = [refunded(customer, amount=100 + n).reference for n in range(22)][::-1]
    first = as_customer.get(BALANCE)
    assert listed(first) == references[:20]
    assert listed(as_customer.get(BALANCE + older_address(first))) == references[20:]


def test_it_takes_no_post_and_no_strange_place(customer: User, as_customer: Client) -> None:
    refunded(customer)
    assert as_customer.post(BALANCE).status_code == 405
    for query in ("after=x", "before=", "after=" + "9" * 50):
        assert "CNY 1,200.00" in words(as_customer.get(f"{BALANCE}?{query}"))


@pytest.mark.parametrize("count", [1, 3])
def test_it_is_read_in_the_same_number_of_queries_whatever_it_holds(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        refunded(customer, amount=1000 + n, currency=("CNY", "JPY", "EUR")[n])
    # Session, account, balances, entries with their payouts.
    with django_assert_num_queries(4):
        as_customer.get(BALANCE)
