"""Renewal Purchase: for what it is offered, what it buys, and where the new certificate stands."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from certificates.exceptions import (
    CertificateHeld,
    CertificatesError,
    InvalidBasket,
    NotForSale,
    NotYourCertificate,
    RenewedAlready,
    TermsChanged,
    WillBeReissued,
    WrongState,
)
from certificates.models import Certificate, Order, Product
from certificates.quotes import Basket
from certificates.services import purchasing
from core import audit
from core.models import User
from payments.balances import balance_of
from refunds.rules.assess import assess
from refunds.rules.facts import facts_of
from refunds.rules.policies import Rule
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle import embedded
from tests.lifecycle.buying import buy, dv, free_dv, multi, near_its_end, press, put_on_balance, voucher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


@pytest.fixture
def rich(customer: User) -> User:
    put_on_balance(customer, 1_000_000)
    return customer


def renew(old: Certificate) -> Certificate:
    basket = purchasing.renewal_basket(Certificate.objects.get(pk=old.pk))
    return buy(old.account, basket).certificates.get()


def page_of(certificate: Certificate) -> str:
    return f"/certificates/{certificate.instance_id}/renew/"


# --- What it buys ------------------------------------------------------------------------------


def test_a_renewal_is_a_new_certificate_with_the_remaining_days(rich: User) -> None:
    old = near_its_end(rich, dv(), days=12)
    new = renew(old)
    assert (new.renewal_of, new.product, new.names_bought, new.state) == (old, old.product, 1, "pending_application")
    assert new.service_ends_at == NOON + timedelta(days=365 + 12)
    assert new.paid_part == 29_800
    assert balance_of(rich.pk, "CNY") == 1_000_000 - 29_800
    assert audit.history(old).get().act == "renewed"


def test_the_old_one_stays_as_it_is(rich: User) -> None:
    old = near_its_end(rich, dv())
    renew(old)
    assert Certificate.objects.get(pk=old.pk).state == "issued"


def test_a_renewal_stands_just_below_the_old_one(rich: User) -> None:
    older, old, newer = (near_its_end(rich, dv(), days=days) for days in (10, 11, 12))
    new = renew(old)
    listed = list(Certificate.objects.owned_by(rich).order_by("-listed_at", "-id"))
    assert listed == [newer, old, new, older]


def test_of_two_bought_together_each_has_its_renewal_below_it(rich: User) -> None:
    dv()
    ago = timedelta(days=355)
    dates = {"issued_at": NOON - ago, "not_after": NOON + timedelta(days=10), "state": "issued"}
    first, second = factories.bought_together(rich, [600, 600], {"balance": 1200}, bought=ago, **dates)
    new = [renew(second), renew(first)]
    assert list(Certificate.objects.owned_by(rich).order_by("-listed_at", "-id")) == [second, new[0], first, new[1]]


def test_a_renewal_is_judged_by_the_policy_like_any_purchase(rich: User, settings: Settings) -> None:
    new = renew(near_its_end(rich, dv()))
    assert assess(facts_of(new), NOON).rule == Rule.UNISSUED_IMMEDIATE
    assert new.order.policy == settings.REFUND_POLICY


def test_as_many_names_as_were_bought(rich: User) -> None:
    new = renew(near_its_end(rich, multi(), names_bought=9))
    assert (new.names_bought, new.paid_part) == (9, 98_000 + 8 * 12_000)


def test_as_many_names_as_it_has_where_nobody_recorded_it(rich: User) -> None:
    domains = ("example.com", "a.example.com", "b.example.com")
    assert renew(near_its_end(rich, multi(), domains=domains)).names_bought == 3
    assert renew(near_its_end(rich, multi(), domains=("example.com",))).names_bought == 2
    assert renew(near_its_end(rich, dv(), domains=domains)).names_bought == 1


def test_a_free_one_is_renewed_for_nothing(customer: User) -> None:
    assert renew(near_its_end(customer, free_dv(), payments={})).paid_part == 0


def test_a_renewal_can_be_renewed_in_its_turn(rich: User) -> None:
    old = near_its_end(rich, dv())
    again = near_its_end(rich, dv(), renewal_of=old)
    assert renew(again).renewal_of == again


# --- Refused by the service --------------------------------------------------------------------


def held(account: User) -> Certificate:
    certificate = near_its_end(account, dv())
    Certificate.objects.filter(pk=certificate.pk).update(hold="RF-1")
    return certificate


def renewed(account: User) -> Certificate:
    certificate = near_its_end(account, dv())
    renew(certificate)
    return certificate


def off_the_shelf(account: User) -> Certificate:
    certificate = near_its_end(account, dv())
    Product.objects.update(price=None)
    return certificate


REFUSED: dict[str, tuple[Callable[[User], Certificate], type[CertificatesError], str]] = {
    "more than 30 days to go": (lambda who: near_its_end(who, dv(), days=31), WrongState, "in the state “Issued”"),
    "expired": (lambda who: near_its_end(who, dv(), days=0), WrongState, "in the state “Expired”"),
    "not issued": (
        lambda who: factories.certificate(who, product=dv(), bought=timedelta(days=355)),
        WrongState,
        "in the state “Pending Application”",
    ),
    "revoking": (
        lambda who: near_its_end(who, dv(), state="revoking", revocation_requested_at=NOON),
        WrongState,
        "in the state “Revoking”",
    ),
    "under refund": (held, CertificateHeld, "A refund of this certificate is under way."),
    "renewed already": (renewed, RenewedAlready, "has been renewed already"),
    "re-issued until its period ends": (
        lambda who: near_its_end(who, dv(authority="acme"), service_ends_at=NOON + timedelta(days=200)),
        WillBeReissued,
        "There is nothing to renew yet",
    ),
    "no longer for sale": (off_the_shelf, NotForSale, "This product is no longer for sale."),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_renewal_is_refused(rich: User, as_customer: Client, what: str) -> None:
    make, error, sentence = REFUSED[what]
    old = make(rich)
    before = Order.objects.count()
    with pytest.raises(error):
        renew(old)
    for answer in (as_customer.get(page_of(old)), as_customer.post(page_of(old), {"step": "next"})):
        assert answer.status_code == 409
        assert sentence in words(answer)
    assert Order.objects.count() == before


@pytest.mark.parametrize("what", [name for name in REFUSED if name != "renewed already"])
def test_terms_seen_before_do_not_help(rich: User, what: str) -> None:
    make, error, _sentence = REFUSED[what]
    old = make(rich)
    basket = purchasing.renewal_basket(Certificate.objects.get(pk=old.pk))
    agreed = purchasing.quote(Basket(dv(brand="Entrust").pk), by=rich, at=NOON)
    with pytest.raises(error):
        purchasing.buy(basket, agreed=agreed, form_key=uuid4(), by=rich, at=NOON)


def test_what_was_uploaded_is_not_renewed(rich: User, as_customer: Client) -> None:
    end = NOON + timedelta(days=10)
    dates = {"purchased_at": NOON, "issued_at": NOON, "not_after": end, "service_ends_at": end}
    old = Certificate.objects.create(account=rich, name="a.example.com", source="uploaded", state="issued", **dates)
    with pytest.raises(WrongState):
        renew(old)
    assert as_customer.get(page_of(old)).status_code == 409


def test_another_account_renews_nothing(rich: User, as_customer: Client, neighbour: User) -> None:
    old = near_its_end(rich, dv())
    put_on_balance(neighbour, 100_000)
    basket = purchasing.renewal_basket(old)
    agreed = purchasing.quote(basket, by=rich, at=NOON)
    with pytest.raises(NotYourCertificate):
        purchasing.buy(basket, agreed=agreed, form_key=uuid4(), by=neighbour, at=NOON)
    with pytest.raises(InvalidBasket):
        purchasing.quote(basket, by=neighbour, at=NOON)
    client = signed_in(neighbour)
    assert client.get(page_of(old)).status_code == client.post(page_of(old)).status_code == 404
    assert client.get("/certificates/cas-nobody/renew/").status_code == 404


@pytest.mark.parametrize("other", [{"names": 2}, {"quantity": 2}, {"product_id": 987_654}], ids=str)
def test_a_renewal_of_something_else_is_refused(rich: User, other: dict[str, Any]) -> None:
    multi()
    basket = purchasing.renewal_basket(near_its_end(rich, dv()))
    given = {"product_id": basket.product_id, "names": 1, "quantity": 1, "renews": basket.renews, **other}
    with pytest.raises((InvalidBasket, NotForSale)):
        purchasing.quote(Basket(**given), by=rich, at=NOON)


def test_a_day_gone_by_changes_the_terms(rich: User) -> None:
    basket = purchasing.renewal_basket(near_its_end(rich, dv()))
    agreed = purchasing.quote(basket, by=rich, at=NOON)
    with pytest.raises(TermsChanged):
        purchasing.buy(basket, agreed=agreed, form_key=uuid4(), by=rich, at=NOON + timedelta(days=1))


# --- The panel ---------------------------------------------------------------------------------


def test_the_panel_shows_what_is_bought_and_until_when(rich: User, as_customer: Client) -> None:
    old = near_its_end(rich, multi(), names_bought=4, days=12)
    text = words(as_customer.get(page_of(old)))
    assert "This one expires 2026-12-05 12:00 Product GlobalSign DV Multi-Domain Number of domains 4 Quantity 1" in text
    assert "One year, and the remaining 12 days Service period ends 2027-12-05 12:00" in text


def test_a_renewal_is_bought_in_two_steps(rich: User, as_customer: Client) -> None:
    old = near_its_end(rich, dv(), days=12)
    voucher(rich)
    page = as_customer.post(page_of(old), {"step": "next", "voucher": "spring-2026"})
    assert page.status_code == 200
    assert "Voucher SPRING-2026 − CNY 100.00 To pay CNY 198.00" in words(page)
    assert "Service period ends 2027-12-05 12:00" in words(page)
    back = press(as_customer, page, "back", page_of(old))
    assert 'value="spring-2026"' in back.content.decode()
    answer = press(as_customer, page, "buy", page_of(old))
    new = Certificate.objects.get(renewal_of=old)
    assert answer["Location"] == f"/orders/{new.order}/?done=bought"
    # A double click, or the back button.
    assert press(as_customer, page, "buy", page_of(old))["Location"] == answer["Location"]


def test_a_bad_voucher_is_said_beside_its_field(rich: User, as_customer: Client) -> None:
    old = near_its_end(rich, dv())
    for code in ("NOBODY-KNOWS", "x" * 100_000, "a\0"):
        page = as_customer.post(page_of(old), {"step": "next", "voucher": code})
        assert page.status_code == 422
        assert 'id="id_voucher_error"' in page.content.decode()


def test_the_form_of_a_purchase_does_not_renew(rich: User, as_customer: Client) -> None:
    product = dv()
    old = near_its_end(rich, product)
    page = as_customer.post("/purchase/", {"product": product.pk, "quantity": "1", "names": "", "step": "next"})
    answer = press(as_customer, page, "buy", page_of(old))
    assert answer.status_code == 409
    assert not Certificate.objects.filter(renewal_of=old).exists()


def test_missing_money_is_said(customer: User, as_customer: Client) -> None:
    page = as_customer.post(page_of(near_its_end(customer, dv())), {"step": "next", "voucher": ""})
    assert page.status_code == 422
    assert "CNY 298.00 are missing" in words(page)


def test_the_days_added_reach_the_certificate_itself(rich: User) -> None:
    """The console's own authority issues to the end of the service: no day paid for is without a certificate."""
    new = renew(near_its_end(rich, dv(), days=12))
    until = embedded.read(embedded.issue(embedded.ready(until=new.service_ends_at))).not_valid_after_utc
    assert until == new.service_ends_at == NOON + timedelta(days=377)
    beyond = embedded.read(embedded.issue(embedded.ready("b.example.com", until=NOON + timedelta(days=500))))
    assert beyond.not_valid_after_utc == NOON + timedelta(days=397)


def test_a_renewal_whose_money_is_back_makes_room_for_another(rich: User) -> None:
    old = near_its_end(rich, dv())
    first = renew(old)
    factories.submit(first)
    factories.pay_out()
    second = renew(old)
    first.refresh_from_db()
    assert (first.state, first.renewal_of, second.renewal_of) == ("refunded", None, old)


def test_a_certificate_that_nobody_issues_anew_is_renewed_at_its_own_end(rich: User) -> None:
    old = near_its_end(rich, dv(), service_ends_at=NOON + timedelta(days=200))
    assert renew(old).renewal_of == old


def test_a_renewal_that_cannot_be_refunded_is_not_sold(
    rich: User, as_customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = near_its_end(rich, dv(29_800))
    monkeypatch.setattr("payments.channels._STEPS", {"balance": {"CNY": 1000}})
    page = as_customer.get(page_of(old))
    assert page.status_code == 409
    assert "Refunds in CNY must be multiples of CNY 10.00, and this price can't be divided that way." in words(page)


def test_a_voucher_that_makes_a_renewal_impossible_to_refund_is_refused_beside_its_field(
    rich: User, as_customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = near_its_end(rich, dv(30_000))
    voucher(rich, 9_850)
    monkeypatch.setattr("payments.channels._STEPS", {"balance": {"CNY": 1000}})
    page = as_customer.post(page_of(old), {"voucher": "SPRING-2026", "step": "next"})
    assert page.status_code == 422
    assert "Use another voucher, or none." in page.context["form"].errors["voucher"][0]
