"""From purchase to refund in the browser, against the console's own authority; a picture of each step is kept."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from certificates.models import Certificate
from core.models import User
from payments.balances import balance_of
from tests import factories
from tests.browser.helpers import shots_in_every_look, sign_in
from tests.browser.lifecycle import Customer, grant, link_in_mail, work
from tests.lifecycle import buying
from tests.lifecycle.outside import Outside

MEANS = 500_000
COMPANY = {
    "Company_name": "Shop Ltd",
    "Registration_number": "201500001A",
    "City": "Singapore",
    "Address": "1 Shop Street",
}


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as outside, outside.asked():
        yield outside


@pytest.fixture
def buyer(shopper: User) -> User:
    buying.put_on_balance(shopper, MEANS)
    buying.dv()
    buying.ov()
    return shopper


def customer(page: Page, live_server: LiveServer, account: User, name: str) -> Customer:
    sign_in(page, f"{live_server.url}/", account.username)
    return Customer(page, f"{live_server.url}/", name)


def is_refunded(certificate: Certificate, account: User) -> bool:
    certificate.refresh_from_db()
    return certificate.state == "refunded" and balance_of(account.pk, "CNY") == MEANS


def test_a_dv_certificate_that_is_not_issued_yet_is_refunded_at_once(
    page: Page, live_server: LiveServer, buyer: User, outside: Outside
) -> None:
    who = customer(page, live_server, buyer, "lifecycle-dv-unissued")
    certificate = who.buy("DV Single Domain")
    who.reads(certificate, "Pending Application")
    who.apply(certificate, "shop.example.com")
    who.reads(certificate, "Pending Verification")
    who.ask_refund(certificate)
    work()
    who.reads(certificate, "Refunded")
    assert is_refunded(certificate, buyer)


def test_a_dv_certificate_is_issued_revoked_and_refunded(
    page: Page, live_server: LiveServer, buyer: User, outside: Outside
) -> None:
    who = customer(page, live_server, buyer, "lifecycle-dv")
    certificate = who.buy("DV Single Domain")
    outside.publish(who.apply(certificate, "shop.example.com"))
    who.verify(certificate)
    work()
    who.reads(certificate, "Issued")
    who.press(certificate, "Download")
    who.shot("download")
    who.revoke(certificate, "shop.example.com")
    work()
    who.reads(certificate, "Revoked")
    grant(who.ask_refund(certificate))
    who.reads(certificate, "Refunded")
    assert is_refunded(certificate, buyer)


def test_an_ov_certificate_is_validated_revoked_by_mail_and_refunded(
    page: Page, plain_page: Page, live_server: LiveServer, buyer: User, outside: Outside, settings: Settings
) -> None:
    settings.BASE_URL = live_server.url
    who = customer(page, live_server, buyer, "lifecycle-ov")
    certificate = who.buy("OV Single Domain")
    outside.publish(who.apply(certificate, "shop.example.com", **COMPANY))
    who.verify(certificate)
    work()
    who.reads(certificate, "Being checked by our staff")
    approve(plain_page, live_server, certificate)
    work()
    who.reads(certificate, "Issued")
    who.revoke(certificate, "shop.example.com")
    work()
    who.reads(certificate, "Waiting for the contact to confirm by email")
    plain_page.goto(link_in_mail())
    shots_in_every_look(plain_page, "lifecycle-ov-confirm", check=False)
    plain_page.get_by_role("button", name="Confirm Revocation").click()
    expect(plain_page.locator("main")).to_contain_text("The revocation is confirmed")
    work()
    who.reads(certificate, "Revoked")
    grant(who.ask_refund(certificate))
    who.reads(certificate, "Refunded")
    assert is_refunded(certificate, buyer)


def approve(page: Page, live_server: LiveServer, certificate: Certificate) -> None:
    """As a member of staff in the admin."""
    factories.staff("validator", "certificates.validate_application", "certificates.view_certificate")
    sign_in(page, f"{live_server.url}/admin/certificates/certificate/{certificate.pk}/change/", "validator")
    page.get_by_role("link", name="Approve application").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("main")).to_contain_text("Approved")


def test_the_whole_way_works_without_javascript(
    plain_page: Page, live_server: LiveServer, buyer: User, outside: Outside
) -> None:
    page = plain_page
    sign_in(page, f"{live_server.url}/", buyer.username)
    page.get_by_role("link", name="Purchase Certificate").first.click()
    page.get_by_role("radio", name="DV Single Domain").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Buy").click()
    page.get_by_role("link", name="Apply for Certificate").click()
    page.get_by_label("Domains").fill("shop.example.com")
    page.get_by_label("Telephone").fill("+86 571 1234 5678")
    page.get_by_role("button", name="Submit").click()
    work()
    certificate = Certificate.objects.get()
    outside.publish(certificate.enrollments.get())
    page.goto(f"{live_server.url}/certificates/{certificate.instance_id}/verify/")
    page.get_by_role("button", name="Verify now").click()
    work()
    page.goto(f"{live_server.url}/certificates/{certificate.instance_id}/")
    expect(page.locator("main")).to_contain_text("Issued")
    page.get_by_role("link", name="Revoke", exact=True).click()
    page.get_by_label("Reason").select_option("superseded")
    page.get_by_label("Domain, to confirm").fill("shop.example.com")
    page.get_by_role("button", name="Revoke").click()
    work()
    page.goto(f"{live_server.url}/")
    expect(page.locator("tbody")).to_contain_text("Revoked")
