"""The same way without JavaScript: each step is a page of its own at the same address."""

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from refunds.models import RefundRequest
from tests import factories
from tests.browser.helpers import shots_in_every_look, sign_in
from tests.refunds import cases


def test_a_customer_goes_the_whole_way_and_cancels(plain_page: Page, live_server: LiveServer, shopper: User) -> None:
    wanted = cases.in_review(shopper, domains=("pay.example.com",))
    page = plain_page
    sign_in(page, f"{live_server.url}/", shopper.username)
    page.get_by_role("link", name="Refund", exact=True).click()
    assert page.url == f"{live_server.url}/certificates/{wanted.instance_id}/refund/"
    shots_in_every_look(page, "plain-refund-1-step-1", check=False)

    page.get_by_role("button", name="Next").click()
    expect(page.locator(".error-summary")).to_contain_text("Choose a reason.")
    page.get_by_label("Other").check()
    page.get_by_label("Your reason").fill("We merged two shops.")
    shots_in_every_look(page, "plain-refund-2-other", check=False)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Step 2 of 2")).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("Your reason")).to_have_value("We merged two shops.")
    page.get_by_role("button", name="Next").click()
    shots_in_every_look(page, "plain-refund-3-step-2", check=False)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("main")).to_contain_text("Your refund is requested under the reference")
    shots_in_every_look(page, "plain-refund-4-receipt", check=False)
    assert RefundRequest.objects.get().reason_text == "We merged two shops."

    page.locator(".panel-foot").get_by_role("link", name="Close").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator("tbody tr")).to_contain_text("Refund: Under review")
    page.get_by_role("link", name="Cancel Refund").click()
    page.get_by_role("button", name="Cancel Refund").click()
    expect(page.locator("main")).to_contain_text("The request is cancelled and the certificate is free again.")


def test_the_back_button_leads_to_the_request_that_stands(
    plain_page: Page, live_server: LiveServer, shopper: User
) -> None:
    wanted = cases.in_review(shopper)
    page = plain_page
    sign_in(page, f"{live_server.url}/certificates/{wanted.instance_id}/refund/", shopper.username)
    page.get_by_label("I no longer need the certificate.").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("main")).to_contain_text("Your refund is requested")

    page.go_back()
    page.go_back()
    expect(page.locator("main")).to_contain_text("A refund of this certificate is under way.")
    page.get_by_role("link", name="Show the request").click()
    expect(page.locator(".standing")).to_contain_text("Under review")
    assert RefundRequest.objects.count() == 1


def test_a_record_is_loaded_again_by_a_link(plain_page: Page, live_server: LiveServer, shopper: User) -> None:
    request = factories.submit(factories.certificate(shopper))
    page = plain_page
    sign_in(page, f"{live_server.url}/refunds/{request.reference}/", shopper.username)
    expect(page.locator(".standing")).to_contain_text("Approved, money ordered")
    factories.pay_out()
    page.get_by_role("link", name="Load this page again").click()
    expect(page.locator(".standing")).to_contain_text("Refunded")
