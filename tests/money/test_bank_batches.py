"""Files for the bank: a payout is in one of them for ever, and each has the same bytes whenever it is handed out."""

import base64
import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from core import audit
from core.encryption import encrypt
from core.models import AppendOnlyError, User
from core.money import parse_amount
from payments.channels import ChannelRefund, Outcome
from payments.channels.bank import read_statement
from payments.exceptions import NotYours
from payments.models import BankAccount, BankBatch, BatchLine, Payout
from payments.payers import Payer
from payments.services import (
    AccountUnreadable,
    BatchDamaged,
    BatchOvertaken,
    BatchUnreadable,
    LeftOut,
    NothingToSend,
    bank,
    hand_out,
    make_batch,
    may_hand_out,
    ordering,
    plan_batch,
    record_bank_account,
    record_failed,
    record_paid,
    record_returned,
    take_in,
    try_again,
)
from refunds.models import RefundRequest
from tests import factories
from tests.factories import NOON
from tests.money.bank_cast import (
    HOLDER,
    LATER,
    NUMBER,
    PAYER,
    again,
    approve,
    approved,
    banker,
    batch_of,
    both,
    file_of,
    ordered,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sender() -> User:
    return banker()


def state_of_request(payout: Payout) -> str:
    return RefundRequest.objects.get(reference=payout.reference).state


# --- Making one --------------------------------------------------------------------------------


def test_sender_makes_a_file_and_its_payouts_are_sent(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch = make_batch(by=sender, at=NOON)
    assert (str(batch), batch.day.isoformat(), batch.made_by, batch.made_at) == (
        "BATCH-000001",
        "2026-11-23",
        sender,
        NOON,
    )
    sent = again(payout)
    assert (sent.state, sent.first_sent_at, sent.batch_line.position) == ("sent", NOON, 1)
    assert state_of_request(payout) == "paying"
    [line] = file_of(batch, sender)
    assert line == {
        "batch": "BATCH-000001",
        "line": "1",
        "payout": str(payout),
        "holder": HOLDER,
        "account": NUMBER,
        "amount": "1200.00",
        "currency": "CNY",
        "day (Asia/Shanghai)": "2026-11-23",
        "purpose": payout.reference,
    }


def test_making_it_is_audited_without_a_secret(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch = make_batch(by=sender, at=NOON)
    [made] = audit.history(batch)
    assert (made.act, made.by, made.detail) == (
        "made",
        sender,
        {"payouts": 1, "totals": {"CNY": 120_000}, "day": "2026-11-23", "digest": batch.digest},
    )
    [put] = audit.history(payout)
    assert (put.act, put.by, put.note) == ("put_in_batch", sender, "BATCH-000001")


def test_the_day_is_one_of_the_banks_books(customer: User, sender: User) -> None:
    ordered(customer)
    late = NOON.replace(hour=16, minute=30)  # past midnight in Shanghai
    assert make_batch(by=sender, at=late).day.isoformat() == "2026-11-24"


def test_numbers_follow_each_other_without_a_gap(customer: User, sender: User) -> None:
    for number in (1, 2, 3):
        ordered(customer)
        assert make_batch(by=sender, at=NOON).number == number
        with pytest.raises(NothingToSend):
            make_batch(by=sender, at=NOON)


def test_a_payout_is_in_one_file_alone(customer: User, sender: User) -> None:
    first = ordered(customer)
    batch_of(first, by=sender)
    second = ordered(customer)
    batch_of(second, by=sender)
    assert BatchLine.objects.count() == 2


def test_payouts_that_are_not_to_send_stay_out(customer: User, sender: User) -> None:
    paid, failed, waits = ordered(customer), ordered(customer), ordered(customer)
    record_paid(paid.pk, "B-1", by=sender, at=NOON)
    record_failed(failed.pk, "closed", by=sender, at=NOON)
    factories.submit(factories.certificate(customer, payments={"alipay": 100}))
    batch_of(waits, by=sender)
    try_again(failed.pk, by=sender, at=NOON)
    batch_of(failed, by=sender)


def test_payout_that_was_in_a_file_and_failed_is_never_in_another(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch_of(payout, by=sender)
    record_failed(payout.pk, "closed", by=sender, at=NOON)
    assert plan_batch(sender).payouts == []
    with pytest.raises(NothingToSend):
        make_batch(by=sender, at=NOON)


def test_not_even_one_that_is_ordered_again_goes_into_a_second_file(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch_of(payout, by=sender)
    record_failed(payout.pk, "closed", by=sender, at=NOON)
    failed = again(payout)
    ordering.order_again(failed, at=NOON)
    assert plan_batch(sender).payouts == []
    with pytest.raises(NothingToSend):
        make_batch(by=sender, at=NOON)
    record_failed(payout.pk, "closed", by=sender, at=NOON)


def test_what_came_back_goes_into_the_next_file_as_another_payout(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch_of(payout, by=sender)
    record_paid(payout.pk, "B-1", by=sender, at=NOON)
    record_returned(payout.pk, "closed", by=sender, at=NOON)
    successor = try_again(payout.pk, by=sender, at=NOON)
    batch_of(successor, by=sender)
    assert BatchLine.objects.count() == 2


def test_what_is_too_much_for_one_file_is_left_for_the_next(
    customer: User, sender: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank, "MOST_LINES", 2)
    payouts = [ordered(customer) for _ in range(3)]
    assert plan_batch(sender).rest == 1
    batch_of(*payouts[:2], by=sender)
    assert plan_batch(sender).rest == 0
    batch_of(payouts[2], by=sender)


def test_a_page_overtaken_by_events_makes_nothing(customer: User, sender: User) -> None:
    ordered(customer)
    seen = plan_batch(sender).token
    ordered(customer)
    with pytest.raises(BatchOvertaken):
        make_batch(by=sender, at=NOON, seen=seen)
    assert not BankBatch.objects.exists()
    assert make_batch(by=sender, at=NOON, seen=plan_batch(sender).token).lines.count() == 2


# --- What is left out --------------------------------------------------------------------------


def left_out(by: User) -> dict[str, int]:
    return plan_batch(by).left_out


@pytest.mark.parametrize("is_superuser", [False, True])
def test_what_a_person_approved_is_left_for_somebody_else(customer: User, sender: User, is_superuser: bool) -> None:
    approver = both("approver", is_superuser=is_superuser)
    payout = approved(customer, approver)
    assert (plan_batch(approver).payouts, left_out(approver)) == ([], {LeftOut.YOURS: 1})
    with pytest.raises(NothingToSend):
        make_batch(by=approver, at=NOON)
    batch_of(payout, by=sender)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_what_a_person_receives_is_left_for_somebody_else(sender: User, is_superuser: bool) -> None:
    receiver = banker("receiver", is_superuser=is_superuser)
    payout = ordered(receiver)
    assert left_out(receiver) == {LeftOut.YOURS: 1}
    with pytest.raises(NothingToSend):
        make_batch(by=receiver, at=NOON)
    batch_of(payout, by=sender)


def test_what_lacks_an_account_waits_for_it(customer: User, sender: User) -> None:
    payout, other = ordered(customer, payer=None), ordered(customer)
    assert left_out(sender) == {LeftOut.NO_ACCOUNT: 1}
    batch_of(other, by=sender)
    record_bank_account(payout.payment_id, PAYER, by=sender, at=NOON)
    batch_of(payout, by=sender)


def test_nobody_sends_money_alone_by_naming_the_account_first_and_approving_then(customer: User, sender: User) -> None:
    alone = both()
    certificate = factories.certificate(customer, bought=timedelta(days=20), payments={"bank": 120_000})
    payment = certificate.shares.get().payment
    record_bank_account(payment.pk, Payer("Somebody Else", "123456789"), by=alone, at=NOON)
    approve(factories.submit(certificate), alone)
    assert left_out(sender) == {LeftOut.ONE_HAND: 1}
    with pytest.raises(NothingToSend):
        make_batch(by=sender, at=NOON)
    record_bank_account(payment.pk, PAYER, by=sender, at=NOON)
    batch_of(Payout.objects.get(), by=sender)


def test_payment_of_which_the_bank_gave_money_back_by_itself_waits_for_a_decision(customer: User, sender: User) -> None:
    payout = ordered(customer)
    found = ChannelRefund("B-9", Outcome.PAID, 120_000, "CNY", payment_reference=payout.payment.reference)
    take_in("bank", found, at=NOON)
    assert left_out(sender) == {LeftOut.FOUND: 1}
    with pytest.raises(NothingToSend):
        make_batch(by=sender, at=NOON)


@pytest.mark.parametrize("name", ["clerk", "reviewer", "customer"])
def test_others_make_no_file(customer: User, name: str, request: pytest.FixtureRequest) -> None:
    ordered(customer)
    with pytest.raises(NotYours):
        make_batch(by=request.getfixturevalue(name), at=NOON)
    assert not BankBatch.objects.exists()


def test_who_left_makes_no_file(customer: User, sender: User) -> None:
    ordered(customer)
    sender.is_active = False
    sender.save()
    with pytest.raises(NotYours):
        make_batch(by=User.objects.get(pk=sender.pk), at=NOON)


def test_an_account_that_no_key_opens_stops_the_file_whole(customer: User, sender: User) -> None:
    ordered(customer)
    payout = ordered(customer)
    BankAccount.objects.filter(payment=payout.payment).update(number="damaged")
    with pytest.raises(AccountUnreadable), transaction.atomic():
        make_batch(by=sender, at=NOON)
    assert not BankBatch.objects.exists()
    assert again(payout).state == "ordered"


# --- The same file for ever --------------------------------------------------------------------


def test_the_file_has_the_same_bytes_whatever_became_of_its_payouts(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch = batch_of(payout, by=sender)
    first = hand_out(batch.pk, by=sender, at=NOON)
    record_paid(payout.pk, "B-1", by=sender, at=NOON)
    BankAccount.objects.update(number=encrypt(b"123456789"))
    assert hand_out(batch.pk, by=sender, at=LATER) == first
    assert [entry.act for entry in audit.history(batch)] == ["made", "downloaded", "downloaded"]


def test_nobody_reads_the_file_in_the_database(customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer), by=sender)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM payments_bankbatch")
        stored = str(cursor.fetchall())
    assert NUMBER not in stored
    assert batch.digest in stored


@pytest.fixture
def keys(settings: Settings) -> Iterator[Any]:
    def use(*names: bytes) -> None:
        settings.KEY_ENCRYPTION_KEYS = [base64.urlsafe_b64encode(name.ljust(32, b".")).decode() for name in names]

    use(b"old")
    yield use


@pytest.mark.broken_books  # under keys that are gone with the test
def test_the_file_keeps_its_bytes_when_the_keys_are_rotated(customer: User, sender: User, keys: Any) -> None:
    batch = batch_of(ordered(customer), by=sender)
    first = hand_out(batch.pk, by=sender, at=NOON)
    before = BankBatch.objects.get().content
    keys(b"new", b"old")
    call_command("rotate_keys", stdout=io.StringIO())
    keys(b"new")
    assert BankBatch.objects.get().content != before
    assert hand_out(batch.pk, by=sender, at=LATER) == first


def damaged(batch: BankBatch, content: str) -> None:
    BankBatch.objects.filter(pk=batch.pk).update(content=content)


@pytest.mark.broken_books
def test_a_damaged_file_is_not_handed_out(customer: User, sender: User, keys: Any) -> None:
    batch = batch_of(ordered(customer), by=sender)
    damaged(batch, batch.content[:-2] + "AA")
    with pytest.raises(BatchUnreadable):
        hand_out(batch.pk, by=sender, at=LATER)
    damaged(batch, encrypt(b"another file"))
    with pytest.raises(BatchDamaged):
        hand_out(batch.pk, by=sender, at=LATER)
    damaged(batch, batch.content)
    assert hand_out(batch.pk, by=sender, at=LATER)
    keys(b"another")
    with pytest.raises(BatchUnreadable):
        hand_out(batch.pk, by=sender, at=LATER)


def test_lines_stay_as_they_were_written(customer: User, sender: User) -> None:
    batch_of(ordered(customer), by=sender)
    line = BatchLine.objects.get()
    with pytest.raises(AppendOnlyError):
        line.delete()
    for statement in ("UPDATE payments_batchline SET position = 2", "DELETE FROM payments_batchline"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert BatchLine.objects.get().position == 1


def test_database_itself_refuses_a_payout_in_a_second_file(customer: User, sender: User) -> None:
    payout = ordered(customer)
    batch = batch_of(payout, by=sender)
    with pytest.raises(DatabaseError), transaction.atomic():
        BatchLine.objects.create(batch=batch, position=2, payout=payout)


def test_files_sum_to_the_cent_to_what_is_under_way(customer: User, sender: User) -> None:
    payouts = [
        ordered(customer, amount, currency=currency) for amount, currency in ((1, "CNY"), (99_999, "CNY"), (7, "JPY"))
    ]
    batch = batch_of(*payouts, by=sender)
    lines = file_of(batch, sender)
    for currency, whole in (("CNY", 100_000), ("JPY", 7)):
        assert sum(parse_amount(line["amount"], currency) for line in lines if line["currency"] == currency) == whole
    assert [line["payout"] for line in lines] == [str(payout) for payout in payouts]


def test_a_cell_that_a_spreadsheet_would_run_carries_an_apostrophe(customer: User, sender: User) -> None:
    batch = batch_of(ordered(customer, payer=Payer("=HYPERLINK(A1)", NUMBER)), by=sender)
    [line] = file_of(batch, sender)
    assert line["holder"] == "'=HYPERLINK(A1)"


# --- Who has it --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_approved_one_of_its_payouts_does_not_get_the_file(
    customer: User, sender: User, is_superuser: bool
) -> None:
    approver = both("approver", is_superuser=is_superuser)
    batch = batch_of(approved(customer, approver), ordered(customer), by=sender)
    assert not may_hand_out(batch, approver)
    with pytest.raises(NotYours):
        hand_out(batch.pk, by=approver, at=LATER)
    assert "downloaded" not in [entry.act for entry in audit.history(batch)]


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_receives_one_of_its_payouts_does_not_get_the_file(
    customer: User, sender: User, is_superuser: bool
) -> None:
    receiver = banker("receiver", is_superuser=is_superuser)
    batch = batch_of(ordered(receiver), ordered(customer), by=sender)
    with pytest.raises(NotYours):
        hand_out(batch.pk, by=receiver, at=LATER)


@pytest.mark.parametrize("name", ["clerk", "reviewer", "customer"])
def test_others_do_not_get_the_file(customer: User, sender: User, name: str, request: pytest.FixtureRequest) -> None:
    batch = batch_of(ordered(customer), by=sender)
    with pytest.raises(NotYours):
        hand_out(batch.pk, by=request.getfixturevalue(name), at=LATER)


# --- The statement -----------------------------------------------------------------------------


def test_a_statement_finds_our_payouts_by_their_names(customer: User) -> None:
    payout = ordered(customer)
    other = factories.submit(factories.certificate(customer, payments={"alipay": 100}))
    alipay = Payout.objects.get(reference=other.reference)
    names = [str(payout), str(payout).lower(), str(alipay), f"RF-0/{payout.pk}", "x/y", f"x/{'9' * 18}", ""]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["reference", "payout", "amount", "currency", "day"])
    writer.writerows([f"B-{n}", name, "1.00", "CNY", "2026-11-23"] for n, name in enumerate(names))
    keys_read = [refund.key for refund in read_statement(text.getvalue().encode())]
    assert keys_read == [str(payout.key), str(payout.key), "", "", "", "", ""]
