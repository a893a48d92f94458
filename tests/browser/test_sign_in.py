"""The door of the console in a real browser, with and without JavaScript."""

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from tests.browser.helpers import serious_findings, shots_in_every_look, sign_in


def test_a_customer_signs_in_and_out(page: Page, live_server: LiveServer, shopper: User) -> None:
    sign_in(page, f"{live_server.url}/", shopper.username)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("input[name=password]")).to_be_visible()


def test_a_customer_signs_in_without_javascript(plain_page: Page, live_server: LiveServer, shopper: User) -> None:
    sign_in(plain_page, f"{live_server.url}/", shopper.email)
    expect(plain_page.get_by_role("heading", level=1)).to_be_visible()


def test_a_wrong_password_is_said_and_the_name_kept(page: Page, live_server: LiveServer, shopper: User) -> None:
    page.goto(f"{live_server.url}/accounts/login/")
    page.locator("input[name=login]").fill(shopper.username)
    page.locator("input[name=password]").fill("not this one")
    page.locator("main button[type=submit]").click()
    expect(page.locator("main")).to_contain_text("not correct")
    expect(page.locator("input[name=login]")).to_have_value(shopper.username)


def test_the_sign_in_page_can_be_used_at_every_width_and_in_both_schemes(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/accounts/login/")
    shots_in_every_look(page, "sign-in")


def test_the_accessibility_check_finds_what_is_wrong(page: Page, live_server: LiveServer) -> None:
    """The control of the one above: the check works under the console's content security policy."""
    page.goto(f"{live_server.url}/accounts/login/")
    page.locator("main").evaluate("main => main.append(document.createElement('img'))")
    assert [finding for finding in serious_findings(page) if finding.startswith("image-alt")]
