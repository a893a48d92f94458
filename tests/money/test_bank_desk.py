"""The bank on the desk: the account of a payment, batches, their files, and the bank's answer. Masked on every page."""

from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.views.debug import SafeExceptionReporterFilter

from core import audit
from core.encryption import encrypt
from core.models import AuditEntry, User
from payments.admin import bank_answers, batches
from payments.models import BankAccount, BankBatch, Payment, Payout
from payments.payers import Payer
from payments.services import bank, hand_out, payer_of, record_paid
from refunds.models import RefundRequest
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.money.bank_cast import HOLDER, NUMBER, again, approved, banker, batch_of, both, ordered
from tests.money.test_bank_answers import answer, failed, line

pytestmark = pytest.mark.django_db

LIST = reverse("admin:payments_bankbatch_changelist")
MAKE = reverse("admin:payments_bankbatch_make")
TYPED = {"holder": HOLDER, "number": NUMBER}


@pytest.fixture(autouse=True)
def at_noon(frozen: time_machine.Traveller) -> None:
    """The desk reads the clock: it stands at NOON."""


@pytest.fixture
def sender() -> User:
    return banker()


@pytest.fixture
def desk(sender: User) -> Client:
    return signed_in(sender)


def page(thing: Any, name: str = "change") -> str:
    return reverse(f"admin:payments_{thing._meta.model_name}_{name}", args=[thing.pk])


def text(answered: Any) -> str:
    return answered.content.decode()


def told(answered: Any) -> list[str]:
    return [str(message) for message in answered.context["messages"]]


def seen_on(client: Client, address: str) -> str:
    return client.get(address).context["form"].initial["seen"]


# --- The account of a payment ------------------------------------------------------------------


@pytest.fixture
def payment(customer: User) -> Payment:
    return ordered(customer, payer=None).payment


def record(client: Client, payment: Payment, **typed: str) -> Any:
    address = page(payment, "bank-account")
    form = {"seen": seen_on(client, address), **TYPED, **typed}
    return client.post(address, form, follow=True)


def test_sender_records_the_account_and_reads_it_masked(desk: Client, payment: Payment) -> None:
    assert "not recorded" in text(desk.get(page(payment)))
    answered = record(desk, payment)
    assert answered.redirect_chain == [(page(payment), 302)]
    shown = text(answered)
    assert "W•• Z•• · •••• 5432" in shown
    assert (NUMBER in shown, HOLDER in shown) == (False, False)
    assert payer_of(BankAccount.objects.get()) == Payer(HOLDER, NUMBER)


def test_form_is_never_filled_with_what_is_recorded(desk: Client, payment: Payment) -> None:
    record(desk, payment)
    shown = text(desk.get(page(payment, "bank-account")))
    assert "•••• 5432" in shown
    assert (NUMBER in shown, HOLDER in shown) == (False, False)


def test_account_that_is_no_account_is_said_beside_its_field(desk: Client, payment: Payment) -> None:
    answered = record(desk, payment, number="DE89370400440532013001", holder="12")
    assert answered.status_code == 422
    assert dict(answered.context["form"].errors) == {
        "holder": ["This is no name."],
        "number": ["This does not fit the check digits of an IBAN: look for a typing error."],
    }
    assert not BankAccount.objects.exists()


def test_page_that_shows_another_account_corrects_nothing(desk: Client, payment: Payment) -> None:
    address = page(payment, "bank-account")
    seen = seen_on(desk, address)
    record(desk, payment)
    answered = desk.post(address, {"seen": seen, "holder": "Li Na", "number": "7654321"}, follow=True)
    assert told(answered) == ["Nothing was done: this has changed since the page was opened. Look again."]
    assert payer_of(BankAccount.objects.get()).holder == HOLDER


def test_account_that_the_bank_was_told_is_corrected_no_more(desk: Client, customer: User, sender: User) -> None:
    payout = ordered(customer)
    seen = seen_on(desk, page(payout.payment, "bank-account"))
    batch_of(payout, by=sender)
    assert page(payout.payment, "bank-account") not in text(desk.get(page(payout.payment)))
    for answered in (
        desk.get(page(payout.payment, "bank-account"), follow=True),
        desk.post(page(payout.payment, "bank-account"), {"seen": seen, **TYPED, "number": "7654321"}, follow=True),
    ):
        assert told(answered) == ["Nothing was recorded: a file has told the bank this account already."]
    assert payer_of(BankAccount.objects.get()).number == NUMBER


@pytest.mark.parametrize("is_superuser", [False, True])
def test_approver_and_receiver_do_not_name_the_account(customer: User, is_superuser: bool) -> None:
    approver = both("approver", is_superuser=is_superuser)
    receiver = banker("receiver", is_superuser=is_superuser)
    for who, payment in (
        (approver, approved(customer, approver, payer=None).payment),
        (receiver, ordered(receiver, payer=None).payment),
    ):
        client = signed_in(who)
        assert client.get(page(payment, "bank-account")).status_code == 403
        assert client.post(page(payment, "bank-account"), TYPED).status_code == 403
        assert page(payment, "bank-account") not in text(client.get(page(payment)))
    assert not BankAccount.objects.exists()


def test_staff_without_the_right_do_not_name_the_account(payment: Payment) -> None:
    client = signed_in(factories.staff("looker", "payments.view_payment", "payments.record_payout"))
    assert client.get(page(payment, "bank-account")).status_code == 403
    assert client.post(page(payment, "bank-account"), TYPED).status_code == 403


def test_payments_of_other_channels_say_nothing_of_an_account(desk: Client, customer: User) -> None:
    factories.certificate(customer, payments={"alipay": 100})
    shown = text(desk.get(page(Payment.objects.get())))
    assert "Account that paid" not in shown
    assert page(Payment.objects.get(), "bank-account") not in shown


@pytest.mark.broken_books
def test_account_that_no_key_opens_is_said_on_the_page(desk: Client, customer: User) -> None:
    payment = ordered(customer).payment
    BankAccount.objects.update(number="damaged")
    assert "cannot be read with any of the console" in text(desk.get(page(payment)))


def test_what_was_typed_stands_on_no_error_page(
    desk: Client, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_on(desk, page(payment, "bank-account"))

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr("payments.admin.bank_accounts.record_bank_account", fail)
    desk.raise_request_exception = False
    answered = desk.post(page(payment, "bank-account"), {"seen": seen, **TYPED})
    assert answered.status_code == 500
    monkeypatch.setattr(SafeExceptionReporterFilter, "is_active", lambda *_: True)
    cleansed = SafeExceptionReporterFilter().get_post_parameters(answered.wsgi_request)
    assert (NUMBER in str(cleansed), HOLDER in str(cleansed)) == (False, False)
    assert NUMBER not in text(answered)


# --- Making a batch ----------------------------------------------------------------------------


def make(client: Client) -> Any:
    return client.post(MAKE, {"seen": client.get(MAKE).context["plan"].token}, follow=True)


def test_sender_sees_what_would_be_in_it_and_makes_it(desk: Client, customer: User) -> None:
    payouts = [ordered(customer), ordered(customer, 7, currency="JPY")]
    shown = text(desk.get(MAKE))
    assert ("CNY 1,200.00" in shown, "JPY 7" in shown, "Make the batch" in shown) == (True, True, True)
    assert not BankBatch.objects.exists()
    answered = make(desk)
    batch = BankBatch.objects.get()
    assert answered.redirect_chain == [(page(batch), 302)]
    assert told(answered) == ["BATCH-000001 is made: download it and hand it to the bank."]
    assert [again(payout).state for payout in payouts] == ["sent", "sent"]


def test_page_says_what_is_left_out_and_why(customer: User, sender: User) -> None:
    approver = both("approver")
    approved(customer, approver)
    lacking = ordered(customer, payer=None)
    shown = text(signed_in(approver).get(MAKE))
    assert "1 without an account: record it on the payment&#x27;s page." in shown
    assert "1 approved by you or going to your own account: somebody else makes their batch." in shown
    assert f'<a href="{page(lacking.payment)}">' in shown
    assert "There is nothing to send." in shown
    assert "Make the batch" not in shown


def test_page_overtaken_by_events_makes_nothing_and_shows_what_is(desk: Client, customer: User) -> None:
    ordered(customer)
    seen = desk.get(MAKE).context["plan"].token
    ordered(customer)
    answered = desk.post(MAKE, {"seen": seen})
    assert answered.status_code == 409
    assert "Nothing was made: other payouts would be in it" in text(answered)
    assert len(answered.context["plan"].payouts) == 2
    assert not BankBatch.objects.exists()
    assert desk.post(MAKE, {}).status_code == 409
    assert not BankBatch.objects.exists()


def test_two_clicks_make_one_batch(desk: Client, customer: User) -> None:
    ordered(customer)
    seen = {"seen": desk.get(MAKE).context["plan"].token}
    assert desk.post(MAKE, seen).status_code == 302
    answered = desk.post(MAKE, seen)
    assert answered.status_code == 409
    assert "there is nothing to send" in text(answered)
    assert BankBatch.objects.count() == 1


def test_batch_that_cannot_be_made_says_which_account_is_at_fault(desk: Client, customer: User) -> None:
    payout = ordered(customer)
    BankAccount.objects.update(number="damaged")
    answered = make(desk)
    assert answered.status_code == 409
    assert f"opens the account of {payout.payment}" in text(answered)
    assert not BankBatch.objects.exists()


@pytest.mark.parametrize("permissions", [("view_bankbatch",), ("send_payout",), ("view_bankbatch", "record_payout")])
def test_staff_without_the_right_make_no_batch(customer: User, permissions: tuple[str, ...]) -> None:
    ordered(customer)
    client = signed_in(factories.staff("half", *[f"payments.{each}" for each in permissions]))
    assert client.get(MAKE).status_code == 403
    assert client.post(MAKE, {"seen": ""}).status_code == 403
    if "view_bankbatch" in permissions:
        assert MAKE not in text(client.get(LIST))


def test_strangers_and_customers_make_no_batch(customer: User) -> None:
    for client in (Client(), signed_in(customer)):
        assert client.post(MAKE).status_code in {302, 403}
        assert client.get(LIST).status_code in {302, 403}
    assert not BankBatch.objects.exists()


def test_form_of_another_site_makes_no_batch(customer: User, sender: User) -> None:
    ordered(customer)
    client = Client(enforce_csrf_checks=True)
    client.force_login(sender)
    assert client.post(MAKE, {"seen": client.get(MAKE).context["plan"].token}).status_code == 403
    assert client.put(MAKE).status_code in {403, 405}
    assert not BankBatch.objects.exists()


# --- The list and the page ---------------------------------------------------------------------


def test_list_says_what_each_batch_comes_to(desk: Client, customer: User, sender: User) -> None:
    first, second = ordered(customer), ordered(customer, 7, currency="JPY")
    batch_of(first, second, by=sender)
    batch_of(ordered(customer), by=sender)
    record_paid(first.pk, "B-1", by=sender, at=NOON)
    shown = text(desk.get(LIST))
    for words in ("BATCH-000001", "2026-11-23 (Asia/Shanghai)", "CNY 1,200.00", "JPY 7", "1 open · 1 paid", "banker"):
        assert words in shown
    assert [batch.number for batch in desk.get(LIST).context["cl"].result_list] == [2, 1]


@pytest.mark.parametrize(("needle", "found"), [("2", [2]), ("batch-000002", [2]), ("x", []), ("9" * 30, [])])
def test_batch_is_found_by_its_number(
    desk: Client, customer: User, sender: User, needle: str, found: list[int]
) -> None:
    for _ in range(2):
        batch_of(ordered(customer), by=sender)
    assert [batch.number for batch in desk.get(LIST, {"q": needle}).context["cl"].result_list] == found


def test_list_takes_as_many_queries_for_many_batches(desk: Client, customer: User, sender: User) -> None:
    batch_of(ordered(customer), by=sender)
    desk.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as one:
        desk.get(LIST)
    for _ in range(4):
        batch_of(ordered(customer), by=sender)
    with CaptureQueriesContext(connection) as five:
        desk.get(LIST)
    assert len(five) == len(one)
    # The files are large, and no list needs them.
    assert not [query for query in five.captured_queries if '"payments_bankbatch"."content"' in query["sql"]]


def test_page_shows_the_batch_and_its_payouts(desk: Client, customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch = batch_of(payout, by=sender)
    shown = text(desk.get(page(batch)))
    for words in (batch.digest, "2026-11-23 (Asia/Shanghai)", "1 open", f'href="{page(payout)}"', "CNY 1,200.00"):
        assert words in shown


def test_lines_of_a_large_batch_come_piece_by_piece(
    desk: Client, customer: User, sender: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LINES_PER_PAGE", 2)
    batch = batch_of(*[ordered(customer) for _ in range(3)], by=sender)

    def positions(query: str) -> list[int]:
        return [row["line"].position for row in desk.get(page(batch) + query).context["rows"]]

    assert positions("") == [1, 2]
    assert "?after=2" in text(desk.get(page(batch)))
    assert positions("?after=2") == [3]
    for crafted in ("?after=x", "?after=-1", f"?after={'9' * 30}", "?after=%D9%A1"):
        assert positions(crafted) == [1, 2]


def test_start_page_counts_what_waits_for_a_file(desk: Client, customer: User, sender: User) -> None:
    payout = ordered(customer)
    assert "Bank payouts for the next file" in text(desk.get(reverse("admin:index")))
    [waiting] = batches.BankBatchAdmin(BankBatch, None).waiting()  # type: ignore[arg-type]
    assert list(waiting.rows) == [payout]
    batch_of(payout, by=sender)
    assert not waiting.rows.all().exists()


def test_number_stands_on_no_page_of_the_desk(desk: Client, customer: User, sender: User) -> None:
    payouts = [ordered(customer), ordered(customer, payer=Payer("Li Na", "98765432109876"))]
    superuser = factories.UserFactory(username="admin", is_staff=True, is_superuser=True)
    client = signed_in(superuser)
    before = [client.get(MAKE), client.get(page(payouts[0].payment, "bank-account"))]
    batch = batch_of(*payouts, by=sender)
    hand_out(batch.pk, by=sender, at=NOON)
    request = RefundRequest.objects.get(reference=payouts[0].reference)
    addresses = [
        *(page(each) for payout in payouts for each in (payout, payout.payment)),
        *(LIST, MAKE, page(batch), page(batch, "import-answer"), page(payouts[0], "record-paid")),
        *(reverse(f"admin:{name}_changelist") for name in ("payments_payment", "core_auditentry")),
        reverse("admin:payments_payout_changelist") + "?state=all",
        reverse("admin:refunds_refundrequest_change", args=[request.pk]),
        *(reverse("admin:core_auditentry_change", args=[entry.pk]) for entry in AuditEntry.objects.all()),
        reverse("admin:payments_payment_history", args=[payouts[0].payment_id]),
    ]
    pages: list[Any] = [*before, *(client.get(address, follow=True) for address in addresses)]
    for shown in pages:
        assert shown.status_code == 200
        for secret in (NUMBER, HOLDER, "98765432109876", "Li Na"):
            assert secret not in text(shown)
    logged = str(list(LogEntry.objects.values()))
    assert (NUMBER in logged, HOLDER in logged) == (False, False)


# --- The file ----------------------------------------------------------------------------------


def test_sender_downloads_the_same_file_each_time(desk: Client, customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer), by=sender)
    first, second = desk.post(page(batch, "file")), desk.post(page(batch, "file"))
    assert first.content == second.content
    assert NUMBER in first.content.decode()
    assert first["Content-Disposition"] == 'attachment; filename="BATCH-000001.csv"'
    assert "no-store" in first["Cache-Control"]
    assert first["Content-Type"] == "text/csv; charset=utf-8"
    acts = [(entry.act, entry.by) for entry in audit.history(batch)]
    assert acts == [("made", sender), ("downloaded", sender), ("downloaded", sender)]


def test_sender_is_warned_beside_the_download_that_a_spreadsheet_rounds_account_numbers(
    desk: Client, customer: User, sender: User
) -> None:
    batch = batch_of(ordered(customer), by=sender)
    warning = "rounds account numbers of more than 15 digits"
    shown = text(desk.get(page(batch)))
    assert 'aria-describedby="as-downloaded"' in shown
    assert warning in shown
    assert warning not in text(signed_in(factories.staff("clerk", "payments.view_bankbatch")).get(page(batch)))


def test_looking_hands_nothing_out(desk: Client, customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer), by=sender)
    assert desk.get(page(batch, "file")).status_code == 405
    assert desk.get(page(batch)).status_code == 200
    assert [entry.act for entry in audit.history(batch)] == ["made"]


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_has_a_part_in_it_does_not_get_the_file_and_reads_why(
    customer: User, sender: User, is_superuser: bool
) -> None:
    approver = both("approver", is_superuser=is_superuser)
    receiver = banker("receiver", is_superuser=is_superuser)
    batch = batch_of(approved(customer, approver), ordered(receiver), ordered(customer), by=sender)
    for who in (approver, receiver):
        client = signed_in(who)
        assert client.post(page(batch, "file")).status_code == 403
        shown = text(client.get(page(batch)))
        assert page(batch, "file") not in shown
        assert "somebody else hands it to the bank" in shown


@pytest.mark.parametrize("permissions", [("view_bankbatch", "record_payout"), ("send_payout",)])
def test_staff_without_the_right_do_not_get_the_file(
    customer: User, sender: User, permissions: tuple[str, ...]
) -> None:
    batch = batch_of(ordered(customer), by=sender)
    client = signed_in(factories.staff("half", *[f"payments.{each}" for each in permissions]))
    assert client.post(page(batch, "file")).status_code == 403


def test_form_of_another_site_gets_no_file(customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer), by=sender)
    client = Client(enforce_csrf_checks=True)
    client.force_login(sender)
    assert client.post(page(batch, "file")).status_code == 403


def test_unknown_batches_are_not_found(desk: Client) -> None:
    for number in (987654, int("9" * 18)):
        for name in ("change", "file", "import-answer"):
            assert desk.post(reverse(f"admin:payments_bankbatch_{name}", args=[number])).status_code == 404


@pytest.mark.broken_books
def test_damaged_file_is_not_handed_out_and_said(desk: Client, customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer), by=sender)
    for content, why in (
        (encrypt(b"another file"), "what is stored differs from its digest"),
        ("damaged", "none of KEY_ENCRYPTION_KEYS opens it"),
    ):
        BankBatch.objects.update(content=content)
        answered: Any = desk.post(page(batch, "file"), follow=True)
        assert answered.redirect_chain == [(page(batch), 302)]
        [sentence] = told(answered)
        assert sentence.startswith(f"BATCH-000001 can't be downloaded: {why}")
    assert [entry.act for entry in audit.history(batch)] == ["made"]


# --- The bank's answer -------------------------------------------------------------------------


def upload(client: Client, batch: BankBatch, content: bytes) -> Any:
    file = SimpleUploadedFile("answer.csv", content, "text/csv")
    return client.post(page(batch, "import-answer"), {"file": file}, follow=True)


@pytest.fixture
def payouts(customer: User) -> list[Payout]:
    return [ordered(customer), ordered(customer, 7)]


@pytest.fixture
def batch(payouts: list[Payout], sender: User) -> BankBatch:
    return batch_of(*payouts, by=sender)


def test_cashier_imports_the_answer_and_the_customer_is_refunded(
    desk: Client, batch: BankBatch, payouts: list[Payout]
) -> None:
    answered = upload(desk, batch, answer(line(payouts[0]), failed(payouts[1])))
    assert answered.redirect_chain == [(page(batch), 302)]
    assert told(answered) == ["Recorded: 1 paid (CNY 1,200.00), 1 failed; 0 were recorded before."]
    assert RefundRequest.objects.get(reference=payouts[0].reference).state == "refunded"
    assert "1 paid · 1 failed" in text(answered)


def test_answer_that_a_spreadsheet_has_saved_is_read_or_refused_at_its_cell(
    desk: Client, batch: BankBatch, payouts: list[Payout]
) -> None:
    written = answer(line(payouts[0], reference="6.22202E+18")).decode().replace(",", "\t")
    refused = upload(desk, batch, written.encode("utf-16"))
    assert refused.status_code == 422
    assert "is a number with an exponent, so a spreadsheet has cut its digits off" in text(refused)
    assert again(payouts[0]).state == "sent"
    upload(desk, batch, written.replace("6.22202E+18", '="6222020200012345678"').encode("utf-16"))
    assert again(payouts[0]).external_reference == "6222020200012345678"


def test_file_with_wrong_lines_is_shown_line_by_line_and_nothing_is_recorded(
    desk: Client, batch: BankBatch, payouts: list[Payout]
) -> None:
    answered = upload(desk, batch, answer(line(payouts[0], amount="1.00", reference="<b>1</b>"), line(payouts[1])))
    assert answered.status_code == 422
    assert "Nothing was recorded: one thing is wrong with this file." in text(answered)
    shown = text(answered)
    assert "is not CNY 1,200.00" in shown
    assert f"{payouts[0]},paid,&lt;b&gt;1&lt;/b&gt;,1.00,CNY" in shown
    assert {again(payout).state for payout in payouts} == {"sent"}


def test_many_wrong_lines_are_told_to_a_limit(
    desk: Client, batch: BankBatch, payouts: list[Payout], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_answers, "MOST_PROBLEMS", 2)
    answered = upload(desk, batch, answer(*[line(payouts[0], result="x") for _ in range(5)]))
    assert len(answered.context["problems"]) == 2
    assert "… and 3 more" in text(answered)


def test_the_same_file_again_says_so(desk: Client, batch: BankBatch, payouts: list[Payout]) -> None:
    content = answer(line(payouts[0]))
    upload(desk, batch, content)
    assert told(upload(desk, batch, content))[0].startswith("This very file was imported on 2026-11-23")
    assert told(upload(desk, batch, content + b"\n"))[0].startswith("All that this file says was recorded before")


def test_answered_batch_takes_no_more_answers(desk: Client, batch: BankBatch, payouts: list[Payout]) -> None:
    address = page(batch, "import-answer")
    assert address in text(desk.get(page(batch)))
    upload(desk, batch, answer(*map(line, payouts)))
    answered: Any = desk.get(address, follow=True)
    assert told(answered) == ["Nothing was recorded: every payout of BATCH-000001 is recorded already."]
    assert address not in text(answered)


@pytest.mark.parametrize(("content", "words"), [(b"", "This file is empty."), (None, "Choose the file")])
def test_no_file_is_said_beside_the_field(desk: Client, batch: BankBatch, content: bytes | None, words: str) -> None:
    address = page(batch, "import-answer")
    answered = desk.post(address, {} if content is None else {"file": SimpleUploadedFile("a.csv", content)})
    assert answered.status_code == 422
    assert words in text(answered)


@pytest.mark.parametrize("size", [1_500_000, 4_000_000])
def test_file_that_is_too_large_is_refused_beside_its_field(desk: Client, batch: BankBatch, size: int) -> None:
    answered = upload(desk, batch, b"x" * size)
    assert answered.status_code == 422
    assert "The file is larger than 1 MB." in text(answered)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_approver_imports_no_line_of_theirs(customer: User, sender: User, is_superuser: bool) -> None:
    approver = both("approver", is_superuser=is_superuser)
    payout = approved(customer, approver)
    answered = upload(signed_in(approver), batch_of(payout, by=sender), answer(line(payout)))
    assert answered.status_code == 422
    assert "was approved by you: somebody else imports this line" in text(answered)
    assert again(payout).state == "sent"


@pytest.mark.parametrize("permissions", [("view_bankbatch", "send_payout"), ("record_payout",)])
def test_staff_without_the_right_import_nothing(
    batch: BankBatch, payouts: list[Payout], permissions: tuple[str, ...]
) -> None:
    client = signed_in(factories.staff("half", *[f"payments.{each}" for each in permissions]))
    file = SimpleUploadedFile("answer.csv", answer(line(payouts[0])))
    assert client.post(page(batch, "import-answer"), {"file": file}).status_code == 403
    assert again(payouts[0]).state == "sent"


def test_batches_are_made_in_a_moment(customer: User, sender: User) -> None:
    """No more than some thirty queries a payout, whatever else there is: on SQLite nobody else writes meanwhile."""
    few = [ordered(customer) for _ in range(2)]
    with CaptureQueriesContext(connection) as two:
        batch_of(*few, by=sender)
    many = [ordered(customer) for _ in range(6)]
    with CaptureQueriesContext(connection) as six:
        batch_of(*many, by=sender)
    assert (len(six) - len(two)) / 4 <= 30
    assert bank.MOST_LINES <= 500
