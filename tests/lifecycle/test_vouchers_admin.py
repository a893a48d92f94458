"""Vouchers on the desk: made for one account each, and left alone once they have paid for something."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from certificates.models import Order, Voucher
from certificates.quotes import Basket
from core import audit
from core.models import User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.buying import buy, dv, voucher
from tests.staff.pages import address, page_shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

LIST = "/admin/certificates/voucher/"
ADD = f"{LIST}add/"
NEW = {
    "account": "customer",
    "currency": "CNY",
    "amount": "100.00",
    "expires_at": "2027-01-31 23:59",
    "code": "new-year",
}
CHANGED = {"amount": "55.00", "expires_at": "2027-03-01 00:00"}


@pytest.fixture
def marketer(db: None) -> User:
    names = ("view_voucher", "add_voucher", "change_voucher")
    return factories.staff("marketer", *(f"certificates.{name}" for name in names))


@pytest.fixture
def as_marketer(marketer: User) -> Client:
    return signed_in(marketer)


def errors(page: HttpResponse) -> list[str]:
    return list(page.context["adminform"].form.errors)


def used(account: User) -> tuple[Voucher, Order]:
    kept = voucher(account, 50_000)
    order = buy(account, Basket(dv().pk, voucher_code=kept.code))
    kept.refresh_from_db()
    return kept, order


# --- Who may -----------------------------------------------------------------------------------


def test_staff_who_may_only_look_make_and_change_none(customer: User) -> None:
    kept, client = voucher(customer), signed_in(factories.staff("looker", "certificates.view_voucher"))
    assert "CNY 100.00" in words(client.get(address(kept)))
    assert client.post(address(kept), CHANGED).status_code == 403
    assert client.get(ADD).status_code == client.post(ADD, NEW).status_code == 403
    assert Voucher.objects.get().amount == 10_000


def test_staff_who_may_only_make_them_change_none(customer: User) -> None:
    client = signed_in(factories.staff("maker", "certificates.view_voucher", "certificates.add_voucher"))
    assert client.post(ADD, NEW).status_code == 302
    assert client.post(address(Voucher.objects.get()), CHANGED).status_code == 403


def test_staff_without_the_permission_see_nothing(customer: User, cashier: User) -> None:
    kept = voucher(customer)
    for page in (LIST, address(kept), ADD):
        assert signed_in(cashier).get(page).status_code == 403


def test_nobody_deletes_a_voucher(customer: User) -> None:
    client = signed_in(factories.UserFactory(username="admin", is_staff=True, is_superuser=True))
    assert client.post(address(voucher(customer), "delete"), {"post": "yes"}).status_code == 403
    assert Voucher.objects.exists()


# --- What they do ------------------------------------------------------------------------------


def test_a_voucher_is_made_for_an_account(as_marketer: Client, marketer: User, customer: User) -> None:
    assert as_marketer.post(ADD, NEW).status_code == 302
    made = Voucher.objects.get()
    assert (made.account, made.code, made.amount, made.currency) == (customer, "NEW-YEAR", 10_000, "CNY")
    assert made.expires_at == factories.datetime(2027, 1, 31, 15, 59, tzinfo=factories.UTC)
    [entry] = audit.history(made)
    assert (entry.act, entry.by, entry.detail["account"]) == ("added", marketer, "customer")


def test_a_code_is_made_where_none_is_typed(as_marketer: Client, customer: User) -> None:
    for _ in range(2):
        as_marketer.post(ADD, {**NEW, "code": "", "account": "customer@example.com"})
    first, second = Voucher.objects.all()
    assert re.fullmatch(r"[A-Z2-9]{4}(-[A-Z2-9]{4}){3}", first.code)
    assert first.code != second.code


def test_a_stale_page_brings_no_earlier_amount_back(as_marketer: Client, customer: User) -> None:
    kept = voucher(customer)
    shown = page_shown(as_marketer, kept)
    assert as_marketer.post(address(kept), {**CHANGED, **shown}).status_code == 302
    page = as_marketer.post(address(kept), {**CHANGED, "amount": "100.00", **shown})
    assert "This was changed while you were on this page." in words(page)
    kept.refresh_from_db()
    assert kept.amount == 5_500


def test_an_unused_voucher_is_changed_and_the_trail_says_so(as_marketer: Client, customer: User) -> None:
    kept = voucher(customer)
    assert 'name="amount" value="100.00"' in as_marketer.get(address(kept)).content.decode()
    assert as_marketer.post(address(kept), CHANGED).status_code == 302
    kept.refresh_from_db()
    assert (kept.amount, kept.code, kept.account) == (5_500, "SPRING-2026", customer)
    assert [entry.act for entry in audit.history(kept)] == ["changed"]


def test_whose_it_is_and_its_code_stay(as_marketer: Client, customer: User, neighbour: User) -> None:
    kept = voucher(customer)
    as_marketer.post(address(kept), {**CHANGED, "account": "neighbour", "code": "OTHER", "currency": "USD"})
    kept.refresh_from_db()
    assert (kept.account, kept.code, kept.currency) == (customer, "SPRING-2026", "CNY")


def test_a_used_voucher_stays_as_it_was(as_marketer: Client, customer: User) -> None:
    kept, order = used(customer)
    page = as_marketer.get(address(kept))
    assert page.status_code == 200
    assert order.number in words(page)
    assert 'name="amount"' not in page.content.decode()
    assert as_marketer.post(address(kept), CHANGED).status_code == 403
    kept.refresh_from_db()
    assert (kept.amount, kept.order) == (50_000, order)


def test_a_superuser_changes_no_used_voucher_either(customer: User) -> None:
    kept, _order = used(customer)
    client = signed_in(factories.UserFactory(username="admin", is_staff=True, is_superuser=True))
    assert client.post(address(kept), CHANGED).status_code == 403


# --- What is wrong -----------------------------------------------------------------------------

BAD: dict[str, tuple[str, Any]] = {
    "nobody": ("account", "nobody"),
    "no account": ("account", ""),
    "account that is only a NUL": ("account", "\0"),
    "no currency": ("currency", ""),
    "no currency's code": ("currency", "XXY"),
    "no amount": ("amount", ""),
    "an amount of nothing": ("amount", "0"),
    "an amount below zero": ("amount", "-1"),
    "an amount in words": ("amount", "ten"),
    "an amount that is too much": ("amount", "10000000000.01"),
    "no end": ("expires_at", ""),
    "an end in words": ("expires_at", "next year"),
    "an end that has passed": ("expires_at", "2026-11-23 12:00"),
    "an end before the calendar": ("expires_at", "0001-01-01 00:00"),
    "an end after the calendar": ("expires_at", "9999-12-31 23:59"),
    "a short code": ("code", "ABC"),
    "a code of marks": ("code", "<script>"),
    "a long code": ("code", "A" * 41),
    "a code that is short without its NUL": ("code", "ABC\0"),
    "a code of another script": ("code", "КОД-2026"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_beside_its_field(as_marketer: Client, customer: User, what: str) -> None:
    name, text = BAD[what]
    page = as_marketer.post(ADD, {**NEW, name: text})
    assert page.status_code == 200
    assert errors(page) == [name]
    assert f'id="id_{name}_error"' in page.content.decode()
    assert not Voucher.objects.exists()


def test_a_code_is_nobody_elses_whatever_its_case(as_marketer: Client, customer: User, neighbour: User) -> None:
    voucher(neighbour, code="NEW-YEAR")
    page = as_marketer.post(ADD, NEW)
    assert errors(page) == ["code"]
    assert "Another voucher has this code already." in words(page)


@pytest.mark.parametrize(("query", "count"), [({"q": "spring-2026"}, 1), ({"q": "customer"}, 3), ({"q": "x"}, 0)])
def test_it_is_found_by_its_code_and_by_its_account(
    as_marketer: Client, customer: User, query: dict[str, str], count: int
) -> None:
    for code in ("SPRING-2026", "SUMMER-2026", "AUTUMN-2026"):
        voucher(customer, code=code)
    assert as_marketer.get(LIST, query).context["cl"].result_count == count


def test_the_list_says_what_became_of_it(as_marketer: Client, customer: User) -> None:
    used(customer)
    voucher(customer, code="EXPIRED", expires_at=NOON - timedelta(days=1))
    voucher(customer, code="OPEN-1")
    for use, code in (("open", "OPEN-1"), ("used", "SPRING-2026"), ("expired", "EXPIRED")):
        cl = as_marketer.get(LIST, {"use": use}).context["cl"]
        assert [each.code for each in cl.result_list] == [code]


def test_nobody_makes_a_voucher_for_themselves(as_marketer: Client, marketer: User) -> None:
    page = as_marketer.post(ADD, {**NEW, "account": marketer.username})
    assert "Nobody gives a voucher to themselves" in words(page)
    assert not Voucher.objects.exists()
