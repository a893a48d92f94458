"""Purchase Certificate through its panel: two steps, what each shows, and what is refused beside its field."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from certificates.models import Order, Product, Voucher
from core.models import User
from payments.balances import balance_of
from tests.conftest import signed_in
from tests.customer.pages import field, words
from tests.factories import NOON
from tests.lifecycle.buying import (
    PURCHASE,
    chosen,
    dv,
    free_dv,
    look,
    multi,
    nothing_bought,
    ov,
    press,
    put_on_balance,
    treasurer,
    voucher,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

HTMX = {"HX-Request": "true"}


@pytest.fixture
def rich(customer: User) -> User:
    put_on_balance(customer, 1_000_000)
    return customer


def errors(page: Any) -> dict[str, list[str]]:
    return dict(page.context["form"].errors)


# --- Step 1 ------------------------------------------------------------------------------------


def test_nobody_buys_without_signing_in(db: None) -> None:
    assert Client().get(PURCHASE)["Location"] == "/accounts/login/?next=/purchase/"


def test_products_stand_by_brand_with_their_prices(as_customer: Client) -> None:
    dv(), multi(), ov(), free_dv()
    text = words(as_customer.get(PURCHASE))
    assert (
        "DigiCert DV Single Domain Free DV Single Domain CNY 298.00 "
        "GlobalSign DV Multi-Domain CNY 120.00 for each further domain CNY 980.00 OV Single Domain CNY 1,880.00"
    ) in text


def test_what_has_no_price_is_not_on_the_shelf(as_customer: Client) -> None:
    dv(brand="Entrust")
    Product.objects.create(brand="Elsewhere", level="DV", domain_type="single")
    page = words(as_customer.get(PURCHASE))
    assert "Entrust" in page
    assert "Elsewhere" not in page


def test_an_empty_shelf_says_so(as_customer: Client) -> None:
    assert "Nothing is for sale at the moment." in words(as_customer.get(PURCHASE))


def test_the_balance_it_is_paid_from_is_shown(rich: User, as_customer: Client) -> None:
    assert "Paid from your balance: CNY 10,000.00" in words(as_customer.get(PURCHASE))


def test_a_drawer_gets_the_panel_alone(as_customer: Client) -> None:
    assert "<html" not in as_customer.get(PURCHASE, headers=HTMX).content.decode()


def test_an_amount_that_cannot_be_refunded_is_not_sold_and_says_so_beside_its_field(
    rich: User, as_customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No channel that purchases are paid from has steps so far: here the balance gets some."""
    monkeypatch.setattr("payments.channels._STEPS", {"balance": {"CNY": 1000}})
    why = "Refunds in CNY must be multiples of CNY 10.00, and this price can't be divided that way."
    page = as_customer.post(PURCHASE, {**chosen(dv(29_800), quantity="2"), "step": "next"})
    assert page.status_code == 422
    assert errors(page) == {"quantity": [f"{why} Choose another quantity."]}
    assert page.context["form"]["quantity"].value() == "2"
    voucher(rich, 9_850)
    page = as_customer.post(PURCHASE, {**chosen(dv(30_000), voucher="SPRING-2026"), "step": "next"})
    assert errors(page) == {"voucher": [f"{why} Use another voucher, or none."]}


def test_an_amount_that_can_no_longer_be_refunded_is_not_bought(
    rich: User, as_customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = look(as_customer, dv())
    monkeypatch.setattr("payments.channels._STEPS", {"balance": {"CNY": 1000}})
    assert "quantity" in errors(press(as_customer, page, "buy"))
    assert nothing_bought(rich)


# --- Step 2 ------------------------------------------------------------------------------------


def test_price_lines_say_all_before_anything_is_bought(rich: User, as_customer: Client) -> None:
    voucher(rich, 10_000)
    text = words(look(as_customer, dv(), quantity="2", voucher=" spring-2026 "))
    assert "Product DigiCert DV Single Domain Quantity 2 Duration One year" in text
    assert "Service period ends 2027-11-23 12:00" in text
    assert (
        "Price of one certificate CNY 298.00 List price CNY 596.00 Voucher SPRING-2026 − CNY 100.00 To pay CNY 496.00 "
        "Your balance now CNY 10,000.00 Your balance afterwards CNY 9,504.00"
    ) in text
    assert nothing_bought(rich)


def test_a_multi_domain_product_names_its_domains(rich: User, as_customer: Client) -> None:
    assert "Number of domains 7" in words(look(as_customer, multi(), names="7"))


def test_the_number_of_domains_counts_for_nothing_beside_a_single_domain(rich: User, as_customer: Client) -> None:
    assert "Number of domains" not in words(look(as_customer, dv(), names="junk"))


def test_free_is_marked_and_needs_no_balance(as_customer: Client) -> None:
    text = words(look(as_customer, free_dv()))
    assert "DigiCert DV Single Domain (free)" in text
    assert "To pay CNY 0.00" in text
    assert "balance now" not in text


def test_what_is_lost_of_a_voucher_is_said_before(customer: User, as_customer: Client) -> None:
    voucher(customer, 50_000)
    page = look(as_customer, dv(), voucher="SPRING-2026")
    assert "is used up by it: CNY 202.00 of it are lost." in words(page)


def test_back_keeps_what_was_typed(rich: User, as_customer: Client) -> None:
    voucher(rich)
    product = multi()
    page = press(as_customer, look(as_customer, product, names="9", quantity="3", voucher="SPRING-2026"), "back")
    html = page.content.decode()
    assert page.status_code == 200
    assert re.search(rf'name="product" value="{product.pk}" data-multi checked', html)
    assert 'name="names" value="9"' in html
    assert '<option value="3" selected>' in html
    assert 'name="voucher" value="SPRING-2026"' in html
    assert "error-summary" not in html


# --- Buying ------------------------------------------------------------------------------------


def test_buy_leads_to_the_receipt_and_tells_the_list(rich: User, as_customer: Client) -> None:
    answer = press(as_customer, look(as_customer, dv(), quantity="2"), "buy")
    order = Order.objects.get(account=rich)
    assert answer["Location"] == f"/orders/{order.number}/?done=bought"
    page = as_customer.get(answer["Location"], headers=HTMX)
    assert page["HX-Trigger"] == '{"certificatesChanged": {}}'
    text = words(page)
    assert "Bought, and CNY 596.00 were paid from your balance." in text
    assert "List price CNY 596.00 Paid CNY 596.00 From: Account balance CNY 596.00" in text
    for certificate in order.certificates.all():
        assert f'href="/certificates/{certificate.instance_id}/apply/"' in page.content.decode()
    assert balance_of(rich.pk, "CNY") == 1_000_000 - 59_600


def test_one_certificate_is_applied_for_next(as_customer: Client) -> None:
    answer = press(as_customer, look(as_customer, free_dv()), "buy")
    page = as_customer.get(answer["Location"])
    assert "Bought. There was nothing to pay." in words(page)
    assert "DigiCert DV Single Domain (free)" in words(page)
    assert re.search(r'class="button button--primary" href="/certificates/[^/]+/apply/"', page.content.decode())


def test_a_receipt_loaded_again_announces_nothing(as_customer: Client) -> None:
    answer = press(as_customer, look(as_customer, free_dv()), "buy")
    page = as_customer.get(answer["Location"].partition("?")[0], headers=HTMX)
    assert "HX-Trigger" not in page
    assert "Bought" not in words(page)


def test_double_click_buys_once(rich: User, as_customer: Client) -> None:
    page = look(as_customer, dv())
    answers = [press(as_customer, page, "buy")["Location"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert Order.objects.filter(account=rich).count() == 1
    assert balance_of(rich.pk, "CNY") == 1_000_000 - 29_800


def test_the_same_form_shows_its_receipt_whatever_has_become_of_the_product(rich: User, as_customer: Client) -> None:
    page = look(as_customer, dv())
    answer = press(as_customer, page, "buy")
    Product.objects.update(price=None)
    assert press(as_customer, page, "buy")["Location"] == answer["Location"]


def test_two_forms_buy_twice(rich: User, as_customer: Client) -> None:
    product = dv()
    for _ in range(2):
        press(as_customer, look(as_customer, product), "buy")
    assert Order.objects.filter(account=rich).count() == 2


def test_an_order_is_nobody_elses(rich: User, as_customer: Client, neighbour: User) -> None:
    address = press(as_customer, look(as_customer, dv()), "buy")["Location"]
    assert signed_in(neighbour).get(address).status_code == 404
    assert as_customer.get("/orders/20261123000001/").status_code == 404
    assert as_customer.post(address).status_code == 405


# --- What changes meanwhile --------------------------------------------------------------------


def test_a_changed_price_is_shown_and_nothing_bought(rich: User, as_customer: Client) -> None:
    product = dv()
    page = look(as_customer, product)
    Product.objects.update(price=31_000)
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 409
    assert "The terms have changed since you saw them. Nothing was bought." in words(answer)
    assert "To pay CNY 298.00 → is now CNY 310.00" in words(answer)
    assert nothing_bought(rich)
    assert press(as_customer, answer, "buy").status_code == 302


def test_a_changed_balance_is_shown_and_nothing_bought(rich: User, as_customer: Client) -> None:
    page = look(as_customer, dv())
    put_on_balance(rich, 5)
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 409
    assert "Your balance CNY 10,000.00 → is now CNY 10,000.05" in words(answer)
    assert nothing_bought(rich)


def test_a_changed_voucher_is_shown_and_nothing_bought(rich: User, as_customer: Client) -> None:
    kept = voucher(rich)
    page = look(as_customer, dv(), voucher=kept.code)
    Voucher.objects.update(amount=5_000)
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 409
    assert "Voucher CNY 100.00 → is now CNY 50.00" in words(answer)
    assert nothing_bought(rich)


def test_a_voucher_that_ran_out_meanwhile_is_said_beside_its_field(rich: User, as_customer: Client) -> None:
    kept = voucher(rich)
    page = look(as_customer, dv(), voucher=kept.code)
    Voucher.objects.update(expires_at=NOON)
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 422
    assert errors(answer) == {"voucher": ["This voucher has expired."]}
    assert nothing_bought(rich)


def test_a_product_taken_off_the_shelf_meanwhile_is_said_beside_it(rich: User, as_customer: Client) -> None:
    page = look(as_customer, dv())
    Product.objects.update(price=None)
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 422
    assert list(errors(answer)) == ["product"]
    assert nothing_bought(rich)


# --- Not enough --------------------------------------------------------------------------------


def test_missing_money_is_said_with_the_amount_and_there_is_no_button(customer: User, as_customer: Client) -> None:
    put_on_balance(customer, 20_000)
    page = as_customer.post(PURCHASE, {**chosen(dv()), "step": "next"})
    assert page.status_code == 422
    assert "Your balance is not enough: CNY 98.00 are missing. Nothing was bought." in words(page)
    assert "Your balance now CNY 200.00 Missing CNY 98.00" in words(page)
    assert 'value="buy"' not in page.content.decode()


def test_money_spent_meanwhile_buys_nothing(customer: User, as_customer: Client) -> None:
    put_on_balance(customer, 40_000)
    product = dv()
    pages = [look(as_customer, product) for _ in range(2)]
    press(as_customer, pages[0], "buy")
    answer = press(as_customer, pages[1], "buy")
    assert answer.status_code == 422
    assert "CNY 196.00 are missing" in words(answer)
    assert "Your balance CNY 400.00 → is now CNY 102.00" in words(answer)
    assert Order.objects.filter(account=customer).count() == 1


def test_a_form_that_shows_too_little_money_is_not_bought_by_hand(customer: User, as_customer: Client) -> None:
    page = as_customer.post(PURCHASE, {**chosen(dv()), "step": "next"})
    answer = press(as_customer, page, "buy")
    assert answer.status_code == 422
    assert nothing_bought(customer)


# --- Bad input ---------------------------------------------------------------------------------

BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "no product": ("product", {"product": ""}),
    "product that is a word": ("product", {"product": "dv"}),
    "product that nobody knows": ("product", {"product": "987654"}),
    "product of 5000 digits": ("product", {"product": "9" * 5000}),
    "product beyond the database": ("product", {"product": "9" * 30}),
    "product below zero": ("product", {"product": "-1"}),
    "product with a NUL": ("product", {"product": "1\0"}),
    "one name": ("names", {"names": "1"}),
    "101 names": ("names", {"names": "101"}),
    "names below zero": ("names", {"names": "-2"}),
    "no number of names": ("names", {"names": ""}),
    "names in words": ("names", {"names": "two"}),
    "half a name": ("names", {"names": "2.5"}),
    "names of 5000 digits": ("names", {"names": "9" * 5000}),
    "names that are only a NUL": ("names", {"names": "\0"}),
    "no quantity": ("quantity", {"quantity": ""}),
    "quantity of none": ("quantity", {"quantity": "0"}),
    "quantity of 11": ("quantity", {"quantity": "11"}),
    "quantity below zero": ("quantity", {"quantity": "-1"}),
    "quantity in words": ("quantity", {"quantity": "<b>one</b>"}),
    "quantity with a NUL": ("quantity", {"quantity": "1\0"}),
    "unknown voucher": ("voucher", {"voucher": "NOBODY-KNOWS"}),
    "voucher of wildcards": ("voucher", {"voucher": "%"}),
    "voucher with a NUL": ("voucher", {"voucher": "SPRING\0"}),
    "voucher of 100,000 letters": ("voucher", {"voucher": "x" * 100_000}),
    "voucher of markup": ("voucher", {"voucher": "<script>alert(1)</script>"}),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_beside_its_field_and_kept(rich: User, as_customer: Client, what: str) -> None:
    name, typed = BAD[what]
    voucher(rich)
    sent = {**chosen(multi(), names="7", quantity="3", voucher="SPRING-2026"), **typed}
    page = as_customer.post(PURCHASE, {**sent, "step": "next"})
    html = page.content.decode()
    assert page.status_code == 422
    assert list(errors(page)) == [name]
    assert f'id="id_{name}_error"' in html
    assert "Nothing was stored; what you entered is kept." in words(page)
    for kept, shown in {"names": 'value="7"', "quantity": '<option value="3" selected>'}.items():
        assert kept == name or shown in html
    assert "<script>alert" not in html
    assert nothing_bought(rich)


def test_half_a_character_is_no_voucher(rich: User, as_customer: Client) -> None:
    sent = urlencode({**chosen(dv()), "step": "next"}).replace("voucher=", "voucher=%ED%A0%80")
    page = as_customer.post(PURCHASE, sent, content_type="application/x-www-form-urlencoded")
    assert page.status_code == 422
    assert list(errors(page)) == ["voucher"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"currency": "USD"}, "This voucher is in another currency than the product."),
        ({"expires_at": NOON}, "This voucher has expired."),
        ({"code": "OTHER"}, "Your account has no voucher with this code."),
    ],
)
def test_a_voucher_that_cannot_pay_says_why(
    rich: User, as_customer: Client, fields: dict[str, Any], sentence: str
) -> None:
    voucher(rich, **fields)
    page = as_customer.post(PURCHASE, {**chosen(dv(), voucher="SPRING-2026"), "step": "next"})
    assert page.status_code == 422
    assert sentence in words(page)


def test_the_voucher_of_another_account_reads_as_unknown(rich: User, as_customer: Client, neighbour: User) -> None:
    product = dv()
    unknown = as_customer.post(PURCHASE, {**chosen(product, voucher="SPRING-2026"), "step": "next"})
    voucher(neighbour)
    anothers = as_customer.post(PURCHASE, {**chosen(product, voucher="SPRING-2026"), "step": "next"})
    assert errors(unknown) == errors(anothers)


@pytest.mark.parametrize("token", ["", "junk", "\0", "x" * 100_000, "a:b:c"])
def test_a_form_that_is_none_of_ours_buys_nothing(rich: User, as_customer: Client, token: str) -> None:
    page = look(as_customer, dv())
    answer = press(as_customer, page, "buy", form=token)
    assert answer.status_code == 409
    assert "Please look again. Nothing was bought." in words(answer)
    assert nothing_bought(rich)


def test_a_form_for_something_else_buys_nothing(rich: User, as_customer: Client) -> None:
    page = look(as_customer, dv())
    answer = press(as_customer, page, "buy", quantity="10")
    assert answer.status_code == 409
    assert "Please look again." in words(answer)
    assert nothing_bought(rich)


def test_the_form_of_another_account_buys_nothing(rich: User, as_customer: Client, neighbour: User) -> None:
    put_on_balance(neighbour, 1_000_000)
    page = look(as_customer, dv())
    answer = press(signed_in(neighbour), page, "buy")
    assert answer.status_code == 409
    assert nothing_bought(neighbour)
    assert nothing_bought(rich)


def test_the_form_of_another_account_that_was_used_shows_nothing_of_its_order(
    rich: User, as_customer: Client, neighbour: User
) -> None:
    put_on_balance(neighbour, 1_000_000)
    page = look(as_customer, dv())
    press(as_customer, page, "buy")
    assert press(signed_in(neighbour), page, "buy").status_code == 409


def test_a_form_of_another_site_is_refused(rich: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rich)
    assert client.post(PURCHASE, {**chosen(dv()), "step": "next"}).status_code == 403


@pytest.mark.parametrize("step", ["", "pay", "\0", "x" * 1000])
def test_an_unknown_step_only_shows_the_terms(rich: User, as_customer: Client, step: str) -> None:
    answer = press(as_customer, look(as_customer, dv()), step)
    assert answer.status_code == 200
    assert field(answer, "form")
    assert nothing_bought(rich)


def test_back_takes_whatever_was_sent(as_customer: Client) -> None:
    answer = as_customer.post(PURCHASE, {"step": "back", "product": "\0x", "quantity": "<b>", "names": "9" * 9000})
    assert answer.status_code == 200


def test_other_methods_are_refused(as_customer: Client) -> None:
    assert as_customer.put(PURCHASE).status_code == 405
    assert as_customer.head(PURCHASE).status_code == 200


# --- The balance page --------------------------------------------------------------------------


def test_the_balance_shows_what_came_in_and_went_out(rich: User, as_customer: Client) -> None:
    answer = press(as_customer, look(as_customer, dv()), "buy")
    number = answer["Location"].split("/")[2]
    page = as_customer.get("/balance/")
    assert f"Certificates bought {number} out − CNY 298.00" in words(page)
    assert "Credited by staff in + CNY 10,000.00" in words(page)
    assert f'href="/orders/{number}/"' in page.content.decode()
    assert treasurer().username not in words(page)
