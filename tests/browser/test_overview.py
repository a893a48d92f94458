"""The Overview in a real browser: found, filtered, opened, and true by itself."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from payments.models import Payout
from payments.services import record_paid
from tests import factories
from tests.browser.helpers import NARROW, shots_in_every_look, sign_in
from tests.factories import NOON

DAY = timedelta(days=1)


def a_full_list(owner: User) -> None:
    for n in range(8):
        factories.certificate(owner, bought=n * DAY, domains=(f"shop{n}.example.com",))
    factories.certificate(owner, bought=9 * DAY, domains=tuple(f"host{n}.example.org" for n in range(6)))
    factories.submit(factories.certificate(owner, bought=20 * DAY, domains=("review.example.com",)))
    factories.issued(owner, ago=3 * DAY, domains=("issued.example.com",))
    factories.issued(owner, ago=40 * DAY, domains=("long-issued.example.com",))
    factories.issued(owner, ago=350 * DAY, not_after=NOON + 5 * DAY, domains=("renew.example.com",))
    factories.revoked(owner, domains=("revoked.example.com",))


def test_the_overview_in_every_look(page: Page, live_server: LiveServer, shopper: User) -> None:
    a_full_list(shopper)
    sign_in(page, f"{live_server.url}/", shopper.username)
    shots_in_every_look(page, "overview")


# Words that take more than one line, which breaks them.
BROKEN_WORDS = """[...document.querySelectorAll('.list .chip, .list .actions a, .list .until')].flatMap(each => {
  const text = document.createTreeWalker(each, NodeFilter.SHOW_TEXT), broken = [];
  for (let node; node = text.nextNode();) for (const word of node.data.matchAll(/[A-Za-z]+/g)) {
    const range = document.createRange();
    range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map(rect => rect.top)).size > 1) broken.push(word[0]);
  }
  return broken;
})"""


@pytest.mark.parametrize("width", [360, 768, 1000, 1440])
def test_the_longest_hint_breaks_no_word_of_the_list(
    page: Page, live_server: LiveServer, shopper: User, width: int
) -> None:
    a_full_list(shopper)
    factories.issued(shopper, ago=26 * DAY, domains=("late.example.com",))
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page, f"{live_server.url}/", shopper.username)
    expect(page.locator("tbody")).to_contain_text("Revoke today: it may be too late")
    assert page.evaluate(BROKEN_WORDS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_empty_overview_in_every_look(page: Page, live_server: LiveServer, shopper: User) -> None:
    sign_in(page, f"{live_server.url}/", shopper.username)
    shots_in_every_look(page, "overview-empty")
    page.goto(f"{live_server.url}/?q=nothing")
    shots_in_every_look(page, "overview-no-match")


def test_a_customer_chooses_a_status_by_list_and_by_card(page: Page, live_server: LiveServer, shopper: User) -> None:
    a_full_list(shopper)
    sign_in(page, f"{live_server.url}/", shopper.username)
    page.get_by_label("Status", exact=True).select_option("revoked")
    expect(page).to_have_url(re.compile(r"status=revoked"))
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Pending expiration").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("renew.example.com")
    expect(page.get_by_label("Status", exact=True)).to_have_value("pending_expiration")


def test_details_open_beside_the_list_and_give_the_focus_back(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = factories.certificate(shopper)
    sign_in(page, f"{live_server.url}/", shopper.username)
    link = page.get_by_role("link", name=wanted.name)
    link.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name=wanted.name)).to_be_focused()
    expect(page).to_have_url(f"{live_server.url}/")
    shots_in_every_look(page, "details")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(link).to_be_focused()


def test_the_drawer_closes_by_its_buttons_and_by_a_click_outside(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    factories.certificate(shopper)
    sign_in(page, f"{live_server.url}/", shopper.username)
    drawer = page.get_by_role("dialog")
    for close in (
        lambda: drawer.get_by_role("button", name="Close", exact=True).click(),
        lambda: drawer.get_by_role("link", name="Close", exact=True).click(),
        lambda: page.mouse.click(40, 400),
    ):
        page.get_by_role("link", name="Details").click()
        expect(drawer).to_be_visible()
        close()
        expect(drawer).to_be_hidden()


def test_a_failed_load_is_said_and_can_be_tried_again(page: Page, live_server: LiveServer, shopper: User) -> None:
    wanted = factories.certificate(shopper)
    sign_in(page, f"{live_server.url}/", shopper.username)
    page.route(f"**/certificates/{wanted.instance_id}/", lambda route: route.abort())
    page.get_by_role("link", name="Details").click()
    expect(page.get_by_role("alert")).to_contain_text("This could not be loaded.")
    page.unroute(f"**/certificates/{wanted.instance_id}/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name=wanted.name)).to_be_visible()


def test_the_list_notices_by_itself_what_changed(page: Page, live_server: LiveServer, shopper: User) -> None:
    moving = factories.submit(factories.certificate(shopper, payments={"alipay": 5_000}))
    sign_in(page, f"{live_server.url}/", shopper.username)
    expect(page.locator("tbody")).to_contain_text("Approved, money ordered")
    payout = Payout.objects.get(reference=moving.reference)
    record_paid(payout.pk, "alipay-back-1", by=factories.cashier(), at=NOON)
    expect(page.locator("tbody")).to_contain_text("Refunded")
    expect(page.locator("#certificates")).to_have_attribute("hx-trigger", re.compile("every 60s"))


def test_why_not_can_be_opened_without_javascript(plain_page: Page, live_server: LiveServer, shopper: User) -> None:
    factories.issued(shopper, ago=40 * DAY)
    sign_in(plain_page, f"{live_server.url}/", shopper.username)
    plain_page.get_by_text("Not refundable", exact=True).click()
    expect(plain_page.get_by_text("Not refundable: issued more than 28 days ago")).to_be_visible()


def test_the_menu_opens_on_a_phone(page: Page, live_server: LiveServer, shopper: User) -> None:
    page.set_viewport_size(NARROW)
    sign_in(page, f"{live_server.url}/", shopper.username)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Refund Records").click()
    expect(page).to_have_url(f"{live_server.url}/refunds/")
