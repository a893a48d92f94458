"""Products on the desk: who may change what, prices in major units, and errors beside their fields."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client

from certificates.models import Product
from core import audit
from core.models import User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.lifecycle.buying import dv, free_dv, multi, ov
from tests.staff.pages import address, list_of, page_shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

LIST = "/admin/certificates/product/"
ADD = f"{LIST}add/"
NEW = {
    "brand": "Entrust",
    "level": "DV",
    "domain_type": "multi",
    "currency": "CNY",
    "price": "980.00",
    "further_name_price": "120",
    "authority": "embedded",
}
CHANGED = {"currency": "CNY", "price": "310.50", "further_name_price": "", "authority": "acme"}


@pytest.fixture
def merchant(db: None) -> User:
    names = ("view_product", "add_product", "change_product")
    return factories.staff("merchant", *(f"certificates.{name}" for name in names))


@pytest.fixture
def as_merchant(merchant: User) -> Client:
    return signed_in(merchant)


def errors(page: HttpResponse) -> list[str]:
    return list(page.context["adminform"].form.errors)


# --- Who may -----------------------------------------------------------------------------------


def test_staff_who_may_only_look_change_nothing(db: None) -> None:
    product, client = dv(), signed_in(factories.staff("looker", "certificates.view_product"))
    assert "298.00" in words(client.get(address(product)))
    assert client.post(address(product), CHANGED).status_code == 403
    assert client.get(ADD).status_code == client.post(ADD, NEW).status_code == 403
    assert Product.objects.get().price == 29_800


def test_staff_without_the_permission_see_nothing(db: None, cashier: User) -> None:
    product = dv()
    for page in (LIST, address(product), ADD):
        assert signed_in(cashier).get(page).status_code == 403


def test_nobody_deletes_a_product(db: None) -> None:
    client = signed_in(factories.UserFactory(username="admin", is_staff=True, is_superuser=True))
    product = dv()
    assert client.post(address(product, "delete"), {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [product.pk], "post": "yes"}
    client.post(LIST, form)
    assert Product.objects.exists()


# --- What they do ------------------------------------------------------------------------------


def test_a_product_is_added_with_prices_in_major_units(as_merchant: Client, merchant: User) -> None:
    assert as_merchant.post(ADD, NEW).status_code == 302
    product = Product.objects.get()
    assert (product.brand, product.price, product.further_name_price, product.free) == (
        "Entrust",
        98_000,
        12_000,
        False,
    )
    [entry] = audit.history(product)
    assert (entry.act, entry.by, entry.detail["price"]) == ("added", merchant, 98_000)


def test_a_currency_without_small_change_has_none(as_merchant: Client) -> None:
    as_merchant.post(ADD, {**NEW, "currency": "jpy", "price": "9800", "further_name_price": "0"})
    product = Product.objects.get()
    assert (product.currency, product.price) == ("JPY", 9800)
    assert 'name="price" value="9800"' in as_merchant.get(address(product)).content.decode()


def test_a_price_is_changed_and_the_trail_says_so(as_merchant: Client, merchant: User) -> None:
    product = dv()
    assert 'name="price" value="298.00"' in as_merchant.get(address(product)).content.decode()
    assert as_merchant.post(address(product), CHANGED).status_code == 302
    product.refresh_from_db()
    assert (product.price, product.further_name_price, product.authority) == (31_050, 0, "acme")
    [entry] = audit.history(product)
    assert (entry.act, entry.by) == ("changed", merchant)
    assert entry.detail == {
        "currency": "CNY",
        "price": 31_050,
        "further_name_price": 0,
        "authority": "acme",
        "free": False,
    }
    assert LogEntry.objects.filter(user=merchant, object_id=str(product.pk)).count() == 1


def test_an_empty_price_takes_it_off_the_shelf(as_merchant: Client) -> None:
    product = dv()
    as_merchant.post(address(product), {**CHANGED, "price": ""})
    product.refresh_from_db()
    assert product.price is None
    assert "DigiCert DV Single Domain Not for sale" in words(as_merchant.get(LIST))


def test_a_free_product_is_put_on_sale_for_nothing(as_merchant: Client) -> None:
    form = {**NEW, "domain_type": "single", "free": "on", "price": "0", "further_name_price": ""}
    assert as_merchant.post(ADD, form).status_code == 302
    assert (Product.objects.get().price, Product.objects.get().free) == (0, True)
    assert "(free) Free" in words(as_merchant.get(LIST))


def test_what_a_product_is_does_not_change_under_what_was_bought(as_merchant: Client) -> None:
    product = dv()
    as_merchant.post(
        address(product), {**CHANGED, "brand": "Other", "level": "EV", "free": "on", "authority": "embedded"}
    )
    product.refresh_from_db()
    assert (product.brand, product.level, product.free, product.price) == ("DigiCert", "DV", False, 31_050)


# --- What is wrong -----------------------------------------------------------------------------

BAD: dict[str, tuple[str, dict[str, str]]] = {
    "price in words": ("price", {"price": "cheap"}),
    "price below zero": ("price", {"price": "-1"}),
    "price of half a cent": ("price", {"price": "1.005"}),
    "price with thousands": ("price", {"price": "1,200"}),
    "price that is too much": ("price", {"price": "10000000000.01"}),
    "price of many digits": ("price", {"price": "9" * 10_000}),
    "price of a number and a word": ("price", {"price": "1\0a"}),
    "price of nothing": ("price", {"price": "0"}),
    "price of what is free": ("price", {"free": "on", "domain_type": "single", "further_name_price": ""}),
    "price of further names of one name": ("further_name_price", {"domain_type": "single"}),
    "price of further names in words": ("further_name_price", {"further_name_price": "more"}),
    "no currency": ("currency", {"currency": ""}),
    "no currency's code": ("currency", {"currency": "XXY"}),
    "no brand": ("brand", {"brand": " "}),
    "long brand": ("brand", {"brand": "x" * 51}),
    "brand that is only a NUL": ("brand", {"brand": "\0"}),
    "brand of two empty lines": ("brand", {"brand": "\u2028\n"}),
    "unknown level": ("level", {"level": "XV"}),
    "free OV": ("free", {"free": "on", "level": "OV", "price": "0", "further_name_price": ""}),
    "OV by ACME": ("authority", {"level": "OV", "authority": "acme"}),
    "unknown authority": ("authority", {"authority": "nobody"}),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_beside_its_field_and_kept(as_merchant: Client, what: str) -> None:
    name, typed = BAD[what]
    page = as_merchant.post(ADD, {**NEW, **typed})
    assert page.status_code == 200
    assert errors(page) == [name]
    assert f'id="id_{name}_error"' in page.content.decode()
    assert not Product.objects.exists()


def test_a_stale_page_brings_no_earlier_price_back(as_merchant: Client) -> None:
    product = dv()
    shown = page_shown(as_merchant, product)
    assert as_merchant.post(address(product), {**CHANGED, **shown}).status_code == 302
    page = as_merchant.post(address(product), {**CHANGED, "price": "298.00", **shown})
    assert "This was changed while you were on this page." in words(page)
    assert 'name="price" value="298.00"' in page.content.decode()
    # Sent again it's as stale as before.
    assert page.context["adminform"].form.seen == shown["seen"]
    product.refresh_from_db()
    assert product.price == 31_050


def test_what_is_pasted_is_read_without_what_nobody_can_see(as_merchant: Client) -> None:
    pasted = {"brand": "\u202eDigi\u2028Cert\0", "price": "\u00a0１２００\u200b", "currency": "ｃｎｙ"}
    assert as_merchant.post(ADD, {**NEW, **pasted}).status_code == 302
    product = Product.objects.get()
    assert (product.brand, product.price, product.currency) == ("Digi Cert", 120_000, "CNY")


@pytest.mark.parametrize(
    ("make", "typed", "name"),
    [
        (free_dv, {"price": "5"}, "price"),
        (dv, {"price": "0"}, "price"),
        (dv, {"further_name_price": "5"}, "further_name_price"),
        (ov, {"authority": "acme"}, "authority"),
    ],
)
def test_a_change_is_judged_by_what_the_product_is(
    as_merchant: Client, make: Any, typed: dict[str, str], name: str
) -> None:
    product = make()
    free = {"price": "0"} if product.free else {}
    page = as_merchant.post(address(product), {**CHANGED, "authority": "embedded", **free, **typed})
    assert errors(page) == [name]


def test_the_same_product_again_is_refused(as_merchant: Client) -> None:
    multi(brand="Entrust")
    page = as_merchant.post(ADD, NEW)
    assert page.status_code == 200
    assert "already exists" in words(page)
    assert Product.objects.count() == 1


def test_it_is_found_by_how_its_name_begins_and_by_sale(as_merchant: Client) -> None:
    dv(), multi(), ov(price=None)
    assert "1 product" in words(as_merchant.get(LIST, {"q": "globalsign dv"}))
    assert "1 product" in words(as_merchant.get(LIST, {"sale": "no"}))
    assert "2 products" in words(as_merchant.get(list_of(Product), {"sale": "yes"}))
