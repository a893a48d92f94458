"""The payments desk in a real browser: sending again, a file for the bank and its answer, a refund made elsewhere."""

import csv
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.models import User
from payments.channels import ChannelRefund, Outcome
from payments.models import BankBatch, Difference, Payout
from payments.payers import Payer
from payments.services import record_bank_account, take_in
from refunds.models import RefundRequest
from tests import factories
from tests.browser.helpers import shots_in_every_look, sign_in
from tests.browser.lifecycle import work
from tests.factories import NOON
from tests.money import scripted

DAY = timedelta(days=1)
DESK = "/admin/payments/payout/"


@pytest.fixture
def cashier(db: None) -> User:
    looks = ("view_payment", "view_bankbatch", "view_difference")
    return factories.staff(
        "cashier",
        "payments.record_payout",
        "payments.send_payout",
        "payments.view_payout",
        "refunds.view_refundrequest",
        *(f"payments.{name}" for name in looks),
    )


def state_of(request: RefundRequest) -> str:
    return RefundRequest.objects.get(pk=request.pk).state


def test_a_cashier_sends_a_refused_payout_again_and_the_customer_reads_refunded(
    page: Page, live_server: LiveServer, shopper: User, cashier: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = scripted.connect(monkeypatch)
    request = factories.submit(factories.certificate(shopper, payments={"card": 120_000}))
    card.script.append(scripted.refused("The charge is disputed."))
    work()
    sign_in(page, f"{live_server.url}{DESK}", "cashier")
    expect(page.locator("#result_list")).to_contain_text("Failed")
    shots_in_every_look(page, "payments-1-desk")
    page.locator("#result_list th a").first.click()
    expect(page.locator("main")).to_contain_text("The charge is disputed.")
    shots_in_every_look(page, "payments-2-failed")
    page.get_by_role("link", name="Try again").click()
    page.locator("main form").get_by_role("button", name="Try again").click()
    expect(page.locator("main")).to_contain_text("Ordered")
    work()
    assert card.calls() == ["pay_back", "look_up", "pay_back"]
    assert state_of(request) == "refunded"


def test_a_cashier_sends_bank_transfers_in_a_file_and_reads_the_banks_answer_back_in(
    page: Page, live_server: LiveServer, shopper: User, cashier: User
) -> None:
    request = factories.submit(factories.certificate(shopper, payments={"bank": 120_000}))
    payout = Payout.objects.get(reference=request.reference)
    payer = Payer("Example Trading Ltd", "GB82WEST12345698765432")
    record_bank_account(payout.payment_id, payer, by=factories.cashier("other"), at=NOON)
    sign_in(page, f"{live_server.url}/admin/payments/bankbatch/", "cashier")
    page.get_by_role("link", name="Make a batch").click()
    shots_in_every_look(page, "payments-3-make-batch")
    page.get_by_role("button", name="Make the batch").click()
    expect(page.locator("main")).to_contain_text("BATCH-000001")
    shots_in_every_look(page, "payments-4-batch")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    [line] = csv.DictReader(waiting.value.path().read_text("utf-8-sig").splitlines())
    assert (line["account"], line["amount"]) == ("GB82WEST12345698765432", "1200.00")

    page.get_by_role("link", name="answer").click()
    answer = "payout,result,reference,amount,currency,day,reason\n{},paid,{},1200.00,CNY,2026-11-23,\n"
    give(page, answer.format(line["payout"], ""))
    expect(page.locator("main")).to_contain_text("What is wrong with the file")
    shots_in_every_look(page, "payments-5-bad-answer")
    assert state_of(request) == "paying"
    give(page, answer.format(line["payout"], "BANK-77"))
    expect(page.locator("main")).not_to_contain_text("What is wrong with the file")
    expect(page.locator("main")).to_contain_text("BANK-77")
    assert state_of(request) == "refunded"
    assert BankBatch.objects.get().lines.count() == 1


def give(page: Page, text: str) -> None:
    page.locator("main input[type=file]").set_input_files(
        {"name": "answer.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    page.get_by_role("button", name="Check and record").click()


def test_a_cashier_confirms_a_refund_that_was_made_at_the_channel_itself(
    page: Page, live_server: LiveServer, shopper: User, cashier: User
) -> None:
    certificate = factories.certificate(shopper, bought=20 * DAY, payments={"card": 120_000})
    request = factories.submit(certificate)
    paid_by = certificate.shares.get().payment.reference
    found = ChannelRefund("re_1", Outcome.PAID, 120_000, "CNY", NOON, payment_reference=paid_by)
    with transaction.atomic():
        take_in("card", found, at=timezone.now())
    sign_in(page, f"{live_server.url}/admin/payments/difference/", "cashier")
    shots_in_every_look(page, "payments-6-differences")
    page.locator("#result_list th a").first.click()
    shots_in_every_look(page, "payments-7-difference")
    page.get_by_role("link", name="Confirm").click()
    page.locator("main select").select_option(request.reference)
    page.locator("main form").get_by_role("button").first.click()
    expect(page.locator("main")).to_contain_text("Confirmed")
    assert state_of(request) == "refunded"
    assert Difference.objects.get().payout == Payout.objects.get(external_reference="re_1")


def test_the_totals_of_a_day_in_every_look(page: Page, live_server: LiveServer, shopper: User, cashier: User) -> None:
    factories.submit(factories.certificate(shopper, payments={"balance": 120_000}))
    work()
    sign_in(page, f"{live_server.url}{DESK}totals/", "cashier")
    expect(page.locator("main")).to_contain_text("1,200.00")
    shots_in_every_look(page, "payments-8-totals")
