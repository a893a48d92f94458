"""Where a bank payment goes back to: what is taken for an account, who says it, and how little anybody sees of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import audit
from core.models import AuditEntry, User
from payments.exceptions import NotYours
from payments.models import BankAccount, Payment
from payments.payers import BadPayer, Payer, masked_holder, masked_number, read_holder, read_number
from payments.services import (
    AccountFixed,
    AccountUnreadable,
    can_have_account,
    may_record_account,
    payer_of,
    record_bank_account,
)
from tests import factories
from tests.money.bank_cast import HOLDER, LATER, NUMBER, PAYER, approved, banker, batch_of, both, ordered

# --- What is taken -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("6222020200098765432", "6222020200098765432"),
        ("6222 0202-0009 8765‑432", "6222020200098765432"),
        ("６２２２０２", "622202"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("gb82 west 1234 5698 7654 32", "GB82WEST12345698765432"),
        ("NO93 8601 1117 947", "NO9386011117947"),
        ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "MT84MALT011000012345MTLCAST001S"),
        ("12345", "12345"),
        ("DE8937", "DE8937"),
        ("a1b2c3", "a1b2c3"),
    ],
)
def test_a_number_is_kept_without_what_parts_it(typed: str, kept: str) -> None:
    assert read_number(typed) == kept


@pytest.mark.parametrize(
    "typed", ["1234", "", "1" * 35, "12_345", "12.345", "=1+123", "一二三四五六", "1234\x005", "5" * 5000]
)
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(BadPayer, match=r"is not an account number: 5 to 34 letters and digits"):
        read_number(typed)


def test_an_iban_with_a_typing_error_is_refused() -> None:
    with pytest.raises(BadPayer, match="check digits of an IBAN"):
        read_number("DE89 3704 0044 0532 0130 01")


@given(st.integers(4, 21), st.sampled_from("0123456789"))
def test_every_single_wrong_digit_of_an_iban_is_noticed(place: int, digit: str) -> None:
    right = "DE89370400440532013000"
    wrong = right[:place] + digit + right[place + 1 :]
    if wrong != right:
        with pytest.raises(BadPayer):
            read_number(wrong)


@pytest.mark.parametrize(
    ("typed", "kept"), [(" Wei \t Zhang\n", "Wei Zhang"), ("张伟", "张伟"), ("ACME (2) Ltd.", "ACME (2) Ltd.")]
)
def test_a_holder_is_one_line(typed: str, kept: str) -> None:
    assert read_holder(typed) == kept


@pytest.mark.parametrize("typed", ["", " ", "123", "x" * 141, "Wei\u202eZhang", "Wei\x00Zhang", "=+-"])
def test_what_is_no_name_is_refused(typed: str) -> None:
    with pytest.raises(BadPayer):
        read_holder(typed)


def test_no_refusal_repeats_what_was_typed() -> None:
    for reader, typed in (
        (read_number, "12_345_678"),
        (read_number, "DE89370400440532013001"),
        (read_holder, "x" * 150),
    ):
        with pytest.raises(BadPayer) as caught:
            reader(typed)
        assert typed not in str(caught.value)


# --- How it is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "shown"),
    [(NUMBER, "•••• 5432"), ("12345678", "•••• 5678"), ("12345", "•••• 45"), ("1234567", "•••• 567")],
)
def test_a_number_shows_its_last_four_and_never_more_than_half(number: str, shown: str) -> None:
    assert masked_number(number) == shown


@pytest.mark.parametrize(("holder", "shown"), [("Wei Zhang", "W•• Z••"), ("张伟", "张••")])
def test_a_holder_shows_the_first_letter_of_each_word(holder: str, shown: str) -> None:
    assert masked_holder(holder) == shown


def test_a_payer_is_told_by_no_repr() -> None:
    assert (NUMBER in repr(PAYER), HOLDER in repr(PAYER)) == (False, False)


# --- Who says it -------------------------------------------------------------------------------


@pytest.fixture
def sender(db: None) -> User:
    return banker()


@pytest.fixture
def payment(customer: User) -> Payment:
    return ordered(customer, payer=None).payment


def recorded(payment: Payment, by: User, payer: Payer = PAYER) -> BankAccount:
    return record_bank_account(payment.pk, payer, by=by, at=LATER)


def test_sender_records_the_account_and_nobody_reads_it_in_the_database(payment: Payment, sender: User) -> None:
    account = recorded(payment, sender)
    assert (account.recorded_by, account.recorded_at) == (sender, LATER)
    stored = BankAccount.objects.values_list("holder", "number").get()
    assert not [text for text in stored if NUMBER in text or HOLDER in text]
    assert payer_of(account) == PAYER


def test_recording_is_audited_without_the_secret(payment: Payment, sender: User) -> None:
    recorded(payment, sender)
    recorded(payment, sender, Payer("Li Na", "987654321"))
    acts = [(entry.act, entry.by, entry.detail) for entry in audit.history(payment)]
    assert acts == [
        ("bank_account_recorded", sender, {"holder": "W•• Z••", "number": "•••• 5432"}),
        ("bank_account_corrected", sender, {"holder": "L•• N••", "number": "•••• 4321"}),
    ]
    told = str(list(AuditEntry.objects.values_list("note", "detail")))
    assert not [secret for secret in (NUMBER, HOLDER, "987654321", "Li Na") if secret in told]


def test_account_may_be_corrected_until_a_payout_is_in_a_batch(customer: User, sender: User) -> None:
    payout = ordered(customer)
    recorded(payout.payment, sender, Payer("Li Na", "987654321"))
    assert payer_of(BankAccount.objects.get()).number == "987654321"
    batch_of(payout, by=sender)
    assert not can_have_account(payout.payment)
    with pytest.raises(AccountFixed):
        recorded(payout.payment, sender)
    assert payer_of(BankAccount.objects.get()).number == "987654321"


@pytest.mark.parametrize("channel", ["alipay", "card", "balance"])
def test_only_bank_payments_have_an_account(customer: User, sender: User, channel: str) -> None:
    factories.certificate(customer, payments={channel: 100})
    with pytest.raises(AccountFixed):
        recorded(Payment.objects.get(), sender)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_approved_a_payout_of_it_does_not_say_where_it_goes(customer: User, is_superuser: bool) -> None:
    approver = both("approver", is_superuser=is_superuser)
    payment = approved(customer, approver, payer=None).payment
    assert not may_record_account(payment, approver)
    with pytest.raises(NotYours):
        recorded(payment, approver)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_receives_it_does_not_say_where_it_goes(db: None, is_superuser: bool) -> None:
    receiver = banker("receiver", is_superuser=is_superuser)
    with pytest.raises(NotYours):
        recorded(ordered(receiver, payer=None).payment, receiver)


@pytest.mark.parametrize("name", ["clerk", "reviewer", "customer"])
def test_others_do_not_say_where_it_goes(payment: Payment, name: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotYours):
        recorded(payment, request.getfixturevalue(name))


def test_who_left_does_not_say_where_it_goes(payment: Payment, sender: User) -> None:
    sender.is_active = False
    sender.save()
    with pytest.raises(NotYours):
        recorded(payment, User.objects.get(pk=sender.pk))


def test_account_that_no_key_opens_is_told(payment: Payment, sender: User) -> None:
    account = recorded(payment, sender)
    account.number = "not a secret"
    with pytest.raises(AccountUnreadable):
        payer_of(account)
