"""A customer's whole way to a refund beside the list, with JavaScript; a picture of each step is kept."""

import re

from playwright.sync_api import Dialog, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from certificates.models import Certificate
from core.models import User
from refunds.models import RefundRequest
from refunds.services import approve_refund
from refunds.states import RequestState
from tests import factories
from tests.browser.helpers import shot, shots_in_every_look, sign_in
from tests.customer import requests
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY


def row_of(page: Page, certificate: Certificate) -> Locator:
    return page.locator("tbody tr", has_text=certificate.instance_id)


def press_refund(page: Page, certificate: Certificate, action: str = "Refund") -> Locator:
    """Open the panel from the certificate's row."""
    row_of(page, certificate).get_by_role("link", name=action, exact=True).click()
    panel = page.get_by_role("dialog")
    expect(panel.locator("#panel-title")).to_be_focused()
    return panel


def overview(page: Page, live_server: LiveServer, owner: User) -> None:
    sign_in(page, f"{live_server.url}/", owner.username)


def to_step_2(panel: Locator, reason: str = "I no longer need the certificate.") -> None:
    panel.get_by_label(reason).check()
    panel.get_by_role("button", name="Next").click()
    expect(panel.get_by_text("Step 2 of 2")).to_be_visible()


def test_a_customer_asks_for_a_review_cancels_and_the_row_follows(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(
        shopper, payments={"balance": 70_000, "alipay": 50_000}, voucher=12_345, domains=("pay.example.com",)
    )
    overview(page, live_server, shopper)
    panel = press_refund(page, wanted)
    shots_in_every_look(page, "customer-refund-1-step-1")

    panel.get_by_role("button", name="Next").click()
    expect(panel.locator(".error-summary")).to_be_focused()
    expect(panel.locator(".error-summary")).to_contain_text("Choose a reason.")
    shots_in_every_look(page, "customer-refund-2-nothing-chosen")

    expect(panel.get_by_label("Your reason")).to_be_hidden()
    panel.get_by_label("Other").check()
    panel.get_by_label("Your reason").fill("We merged two shops,\nso one is enough.")
    shots_in_every_look(page, "customer-refund-3-other")

    panel.get_by_role("button", name="Next").click()
    expect(panel.get_by_text("Step 2 of 2")).to_be_visible()
    expect(panel).to_contain_text("so one is enough.")
    shots_in_every_look(page, "customer-refund-4-step-2")

    panel.get_by_role("button", name="Back").click()
    expect(panel.get_by_label("Your reason")).to_have_value("We merged two shops,\nso one is enough.")
    panel.get_by_role("button", name="Next").click()
    panel.get_by_role("button", name="Submit").click()
    expect(panel).to_contain_text("Your refund is requested under the reference")
    shots_in_every_look(page, "customer-refund-5-receipt")
    expect(row_of(page, wanted)).to_contain_text("Refund: Under review")
    assert page.url == f"{live_server.url}/"

    panel.get_by_role("link", name="Cancel Refund").click()
    expect(panel).to_contain_text("Cancel the request for CNY 1,200.00?")
    shots_in_every_look(page, "customer-refund-6-cancel")
    panel.get_by_role("button", name="Cancel Refund").click()
    expect(panel).to_contain_text("The request is cancelled and the certificate is free again.")
    shots_in_every_look(page, "customer-refund-7-cancelled")
    expect(row_of(page, wanted)).not_to_contain_text("Under review")
    panel.locator(".panel-foot").get_by_role("link", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(row_of(page, wanted).get_by_role("link", name="Refund", exact=True)).to_be_focused()


def test_an_immediate_refund_turns_to_refunded_before_the_customers_eyes(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = factories.certificate(shopper, domains=("now.example.com",))
    overview(page, live_server, shopper)
    panel = press_refund(page, wanted)
    to_step_2(panel)
    panel.get_by_role("button", name="Submit").click()
    expect(panel).to_contain_text("Approved, money ordered")
    shot(page, "customer-immediate-1-ordered")
    factories.pay_out()
    expect(panel.locator(".standing")).to_contain_text("Refunded")
    expect(panel).to_contain_text("You got back")
    expect(page.locator("#record-news")).to_contain_text("CNY 1,200.00 was paid back")
    shots_in_every_look(page, "customer-immediate-2-refunded")
    expect(row_of(page, wanted)).to_contain_text("Refunded")

    page.goto(f"{live_server.url}/balance/")
    expect(page.locator("tbody tr")).to_contain_text("+ CNY 1,200.00")
    shots_in_every_look(page, "customer-balance")
    page.locator("tbody a").click()
    expect(page.get_by_role("dialog")).to_contain_text("Refunded")


def test_escape_asks_only_when_something_was_typed_and_the_focus_comes_back(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper)
    overview(page, live_server, shopper)
    link = row_of(page, wanted).get_by_role("link", name="Refund", exact=True)
    asked: list[str] = []

    def keep(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", keep)
    panel = press_refund(page, wanted)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(link).to_be_focused()
    assert asked == []

    panel = press_refund(page, wanted)
    panel.get_by_label("Other").check()
    panel.get_by_label("Your reason").fill("half a sentence")
    page.keyboard.press("Escape")
    expect(panel.get_by_label("Your reason")).to_have_value("half a sentence")
    assert asked == ["Close the panel? What you entered will be lost."]

    panel.get_by_role("button", name="Next").click()
    expect(panel.get_by_text("Step 2 of 2")).to_be_visible()
    page.once("dialog", keep)
    page.keyboard.press("Escape")
    expect(panel.get_by_text("Step 2 of 2")).to_be_visible()
    assert len(asked) == 2

    page.once("dialog", lambda dialog: dialog.accept())
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(link).to_be_focused()


def test_the_whole_way_goes_by_keyboard_alone(page: Page, live_server: LiveServer, shopper: User) -> None:
    wanted = cases.in_review(shopper)
    overview(page, live_server, shopper)
    row_of(page, wanted).get_by_role("link", name="Refund", exact=True).focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    expect(panel.locator("#panel-title")).to_be_focused()
    panel.get_by_role("radio").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(panel.get_by_role("button", name="Next")).to_be_focused()
    page.keyboard.press("Enter")
    expect(panel.get_by_text("Step 2 of 2")).to_be_visible()
    panel.get_by_role("button", name="Submit").focus()
    page.keyboard.press("Space")
    expect(panel).to_contain_text("Your refund is requested")
    assert RefundRequest.objects.get().reason == "no_need"


def test_a_double_click_on_submit_stores_one_request(page: Page, live_server: LiveServer, shopper: User) -> None:
    wanted = cases.in_review(shopper)
    overview(page, live_server, shopper)
    panel = press_refund(page, wanted)
    to_step_2(panel)
    panel.get_by_role("button", name="Submit").dblclick()
    expect(panel).to_contain_text("Your refund is requested")
    assert RefundRequest.objects.count() == 1


def test_a_second_tab_is_told_that_the_refund_is_requested_already(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper)
    overview(page, live_server, shopper)
    other = page.context.new_page()
    other.goto(f"{live_server.url}/")
    late = press_refund(other, wanted)
    late.get_by_label("Other").check()
    late.get_by_label("Your reason").fill("We merged two shops.")
    panel = press_refund(page, wanted)
    to_step_2(panel)
    panel.get_by_role("button", name="Submit").click()
    expect(panel).to_contain_text("Your refund is requested")

    late.get_by_role("button", name="Next").click()
    expect(late).to_contain_text("Nothing was submitted a second time.")
    expect(late).to_contain_text("We merged two shops.")
    shots_in_every_look(other, "customer-second-tab")
    assert RefundRequest.objects.count() == 1


def test_terms_that_changed_are_shown_before_anything_is_submitted(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper)
    overview(page, live_server, shopper)
    panel = press_refund(page, wanted)
    to_step_2(panel)
    Certificate.objects.filter(pk=wanted.pk).update(voucher_part=20_000)
    panel.get_by_role("button", name="Submit").click()
    expect(panel).to_contain_text("The terms have changed since you saw them. Nothing was submitted.")
    expect(panel).to_contain_text(re.compile(r"CNY 0\.00.*CNY 200\.00"))
    shots_in_every_look(page, "customer-terms-changed")
    assert not RefundRequest.objects.exists()
    panel.get_by_role("button", name="Submit").click()
    expect(panel).to_contain_text("Your refund is requested")


def test_a_cancellation_that_comes_too_late_says_what_happened(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    request = requests.under_review(shopper)
    overview(page, live_server, shopper)
    panel = press_refund(page, request.certificate, "Cancel Refund")
    approve_refund(request.pk, seen=factories.seen(request), by=requests.reviewer(), at=NOON)
    panel.get_by_role("button", name="Cancel Refund").click()
    expect(panel).to_contain_text("It is too late to cancel this request.")
    shots_in_every_look(page, "customer-cancel-too-late")
    panel.get_by_role("link", name="Show the request").click()
    expect(panel.locator(".standing")).to_contain_text("Approved")


def test_what_stands_in_the_way_of_a_refund_in_every_look(page: Page, live_server: LiveServer, shopper: User) -> None:
    cases_in_the_way = {
        "revoke-first": factories.issued(shopper),
        "revoke-first-late": factories.issued(shopper, ago=25 * DAY),
        "revocation-pending": cases.revoking(shopper),
        "not-refundable": factories.issued(shopper, ago=40 * DAY),
    }
    overview(page, live_server, shopper)
    for name, certificate in cases_in_the_way.items():
        page.goto(f"{live_server.url}/certificates/{certificate.instance_id}/refund/")
        shots_in_every_look(page, f"customer-{name}")


def test_records_in_every_state_and_look(page: Page, live_server: LiveServer, shopper: User) -> None:
    made = {state: build(shopper) for state, build in requests.IN_EVERY_STATE.items()}
    sign_in(page, f"{live_server.url}/refunds/", shopper.username)
    expect(page.locator("tbody tr")).to_have_count(len(made))
    shots_in_every_look(page, "customer-records")
    for state in (RequestState.PAYING, RequestState.REJECTED):
        page.goto(f"{live_server.url}/refunds/{made[state].reference}/")
        shots_in_every_look(page, f"customer-record-{state}")


def test_an_empty_balance_and_no_records_in_every_look(page: Page, live_server: LiveServer, shopper: User) -> None:
    sign_in(page, f"{live_server.url}/refunds/", shopper.username)
    shots_in_every_look(page, "customer-records-empty")
    page.goto(f"{live_server.url}/balance/")
    shots_in_every_look(page, "customer-balance-empty")


def test_the_list_of_records_follows_a_decision_by_itself(page: Page, live_server: LiveServer, shopper: User) -> None:
    request = requests.approved(shopper)
    sign_in(page, f"{live_server.url}/refunds/", shopper.username)
    line = page.locator("tbody tr", has_text=request.reference)
    expect(line).to_contain_text("Approved, money ordered")
    factories.pay_out()
    expect(line).to_contain_text("Refunded")
