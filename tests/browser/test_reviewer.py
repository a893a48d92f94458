"""The reviewer's whole way in a real browser, with and without JavaScript; the cashier's beside it."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from payments.models import Payout
from payments.states import PayoutState
from refunds.models import RefundRequest
from refunds.states import RequestState
from tests import factories
from tests.browser.helpers import shots_in_every_look, sign_in

DAY = timedelta(days=1)
REQUESTS = "/admin/refunds/refundrequest/"


def wish(owner: User, domain: str) -> RefundRequest:
    """A request under review, paid by Alipay and from the balance."""
    payments = {"alipay": 100_000, "balance": 20_000}
    return factories.submit(factories.certificate(owner, bought=20 * DAY, payments=payments, domains=(domain,)))


@pytest.fixture
def wished(live_server: LiveServer, shopper: User) -> list[RefundRequest]:
    factories.reviewer()
    return [wish(shopper, f"wish{n}.example.com") for n in range(3)]


def state_of(request: RefundRequest) -> str:
    return RefundRequest.objects.get(pk=request.pk).state


def approve_and_reject(page: Page, address: str, wished: list[RefundRequest]) -> None:
    sign_in(page, f"{address}{REQUESTS}", "reviewer")
    page.get_by_role("link", name=wished[0].reference).click()
    expect(page.locator("main")).to_contain_text("Refund conditions")
    page.get_by_role("link", name="Approve").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("main")).to_contain_text("Approved")
    assert state_of(wished[0]) == RequestState.APPROVED

    page.goto(f"{address}{REQUESTS}")
    page.get_by_role("link", name=wished[1].reference).click()
    page.get_by_role("link", name="Reject").click()
    page.locator("main textarea").fill("The invoice was settled by another contract.")
    page.get_by_role("button", name="Reject").click()
    assert state_of(wished[1]) == RequestState.REJECTED


def test_a_reviewer_approves_and_rejects(page: Page, live_server: LiveServer, wished: list[RefundRequest]) -> None:
    approve_and_reject(page, live_server.url, wished)


def test_a_reviewer_approves_and_rejects_without_javascript(
    plain_page: Page, live_server: LiveServer, wished: list[RefundRequest]
) -> None:
    approve_and_reject(plain_page, live_server.url, wished)


def test_the_reviewers_pages_in_every_look(page: Page, live_server: LiveServer, wished: list[RefundRequest]) -> None:
    sign_in(page, f"{live_server.url}{REQUESTS}", "reviewer")
    shots_in_every_look(page, "staff-1-requests")
    page.get_by_role("link", name=wished[0].reference).click()
    shots_in_every_look(page, "staff-2-request")
    page.get_by_role("link", name="Approve").click()
    shots_in_every_look(page, "staff-3-approve")
    page.go_back()
    page.get_by_role("link", name="Reject").click()
    shots_in_every_look(page, "staff-4-reject")


def test_a_reviewer_approves_several_at_once(page: Page, live_server: LiveServer, wished: list[RefundRequest]) -> None:
    sign_in(page, f"{live_server.url}{REQUESTS}", "reviewer")
    for request in wished[:2]:
        page.get_by_role("row", name=re.compile(request.reference)).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option("approve_selected")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("main")).to_contain_text("Will be approved.")
    shots_in_every_look(page, "staff-5-approve-several")
    page.locator("main form button[type=submit], main form input[type=submit]").last.click()
    expect(page.locator("body")).to_contain_text(wished[0].reference)
    assert [state_of(request) for request in wished] == [
        RequestState.APPROVED,
        RequestState.APPROVED,
        RequestState.UNDER_REVIEW,
    ]


def test_a_cashier_records_what_was_paid_outside(
    page: Page, live_server: LiveServer, wished: list[RefundRequest], shopper: User
) -> None:
    factories.cashier()
    waiting = factories.submit(factories.certificate(shopper, payments={"alipay": 5_000}))
    sign_in(page, f"{live_server.url}/admin/payments/payout/", "cashier")
    page.locator("#result_list th a").first.click()
    shots_in_every_look(page, "staff-6-payout")
    page.get_by_role("link", name=re.compile("paid", re.IGNORECASE)).first.click()
    page.locator("main input[type=text]").fill("ALI-2026-0001")
    shots_in_every_look(page, "staff-7-record-paid")
    page.locator("main form").get_by_role("button").first.click()
    expect(page.locator("body")).to_contain_text("ALI-2026-0001")
    assert Payout.objects.get(reference=waiting.reference).state == PayoutState.PAID
    assert state_of(waiting) == RequestState.REFUNDED
