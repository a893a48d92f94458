"""Fields and rows in a real browser: what is wrong is red, what was opened is in view, a row keeps its height."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from tests import factories
from tests.browser.helpers import NARROW, WIDE, shot, shots_in_every_look, sign_in
from tests.refunds import cases

MIDDLE = {"width": 768, "height": 700}
LOW = {"width": 1440, "height": 700}

# Every kind of field, right and wrong, as the templates write them.
FIELDS = [
    *(f"<input type='{kind}'" for kind in ("text", "email", "password", "search")),
    "<select",
    "<textarea",
]
ADMIN_FIELDS = [*FIELDS, *(f"<input type='{kind}'" for kind in ("number", "date", "file"))]
# Puts them into the page; answers for each whether it is called wrong, and whether its border is red.
PUT = """([fields, where]) => {
  const box = document.createElement("div");
  box.className = "field";
  for (const field of fields) for (const wrong of ["false", "true"])
    box.insertAdjacentHTML("beforeend", `${field} aria-invalid="${wrong}" aria-label="x"></select>`);
  document.querySelector(where).append(box);
  const bad = document.createElement("i");
  bad.style.color = "var(--bad)";
  box.append(bad);
  const red = getComputedStyle(bad).color;
  const isRed = (field) => getComputedStyle(field).borderTopColor === red;
  return [...box.querySelectorAll("[aria-invalid]")].map((field) => [field.ariaInvalid, isRed(field)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_field_that_is_wrong_is_red_in_the_console_and_at_the_desk(
    scheme: Any, page: Page, live_server: LiveServer, shopper: User
) -> None:
    page.emulate_media(color_scheme=scheme)
    sign_in(page, f"{live_server.url}/settings/email/", shopper.username)
    assert page.evaluate(PUT, [FIELDS, "main"]) == [["false", False], ["true", True]] * len(FIELDS)
    page.locator("[name=new_email]").fill("nobody")
    page.locator("[name=password]").fill("refund-demo")
    page.locator("main button[type=submit]").first.click()
    expect(page.locator("[name=new_email][aria-invalid=true]")).to_be_visible()
    shots_in_every_look(page, "email-wrong")
    factories.UserFactory(username="desk", is_staff=True, is_superuser=True)
    page.context.clear_cookies()
    sign_in(page, f"{live_server.url}/admin/", "desk")
    assert page.evaluate(PUT, [ADMIN_FIELDS, "#content"]) == [["false", False], ["true", True]] * len(ADMIN_FIELDS)


def test_the_only_row_of_a_list_is_as_high_as_among_others(page: Page, live_server: LiveServer, shopper: User) -> None:
    for number in range(5):
        factories.certificate(shopper, domains=(f"shop{number}.example.com",))
    factories.revoked(shopper, domains=("revoked.example.com",))
    sign_in(page, f"{live_server.url}/", shopper.username)
    row = page.locator("tbody tr", has_text="revoked.example.com")
    among_others = row.bounding_box()["height"]
    page.goto(f"{live_server.url}/?status=revoked")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert row.bounding_box()["height"] == among_others
    shots_in_every_look(page, "overview-one-row")


def test_the_menu_and_the_hint_of_an_only_row_are_in_view(page: Page, live_server: LiveServer, shopper: User) -> None:
    factories.issued(shopper, ago=40 * cases.DAY, domains=("long-issued.example.com",))
    sign_in(page, f"{live_server.url}/", shopper.username)
    for window in (LOW, MIDDLE, NARROW):
        page.set_viewport_size(window)
        page.get_by_text("Not refundable", exact=True).click()
        assert_in_view(page, page.locator(".why p"))
        page.get_by_text("Not refundable", exact=True).click()
        page.get_by_role("button", name="More", exact=True).click()
        assert_in_view(page, page.locator(".menu"))
        shot(page, f"overview-menu-{window['width']}")
        page.keyboard.press("Escape")


@pytest.mark.parametrize("window", [WIDE, LOW, MIDDLE, NARROW], ids=["1440", "1440 low", "768", "360"])
@pytest.mark.parametrize("way", ["drawer", "page"])
def test_the_field_that_other_opens_is_in_view(
    way: str, window: Any, page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper, payments={"balance": 70_000, "alipay": 50_000}, voucher=12_345)
    page.set_viewport_size(window)
    if way == "drawer":
        sign_in(page, f"{live_server.url}/", shopper.username)
        page.get_by_role("link", name="Refund", exact=True).click()
        expect(page.locator("#panel-title")).to_be_focused()
    else:
        sign_in(page, f"{live_server.url}/certificates/{wanted.instance_id}/refund/", shopper.username)
    page.get_by_label("Other").check()
    assert_in_view(page, page.get_by_label("Your reason"))
    shot(page, f"refund-other-{way}-{window['width']}-{window['height']}")


def test_without_javascript_the_field_for_other_reasons_is_open_from_the_start(
    plain_page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper)
    plain_page.set_viewport_size(NARROW)
    sign_in(plain_page, f"{live_server.url}/certificates/{wanted.instance_id}/refund/", shopper.username)
    expect(plain_page.get_by_label("Your reason")).to_be_visible()


def assert_in_view(page: Page, opened: Locator) -> None:
    """All of it is inside the window, above a footer that stays."""
    expect(opened).to_be_visible()
    box = opened.bounding_box()
    foot = page.locator("dialog[open] .panel-foot")
    bottom = foot.bounding_box()["y"] if foot.count() else page.viewport_size["height"]
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= bottom
