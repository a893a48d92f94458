"""The account that a bank payment came from: imported, kept encrypted, compared, and told to nobody."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from certificates.importing import running, spool
from certificates.models import ImportedRow, Order
from core.models import AuditEntry
from payments.models import BankAccount, Payment
from payments.payers import Payer
from payments.services import payer_of, record_bank_account
from tests.factories import NOON
from tests.importing.files import refuse, row, run, write_csv, write_json_lines
from tests.money.bank_cast import banker

pytestmark = pytest.mark.django_db

HOLDER, NUMBER = "Wei Zhang", "6222 0202 0009 8765 432"
KEPT = NUMBER.replace(" ", "")
BANK = {"payments": "bank:1200.00:B-1", "bank_holder": HOLDER, "bank_account": NUMBER}


def bank_row(number: int = 1, **fields: Any) -> dict[str, Any]:
    return row(number, **{**BANK, "payments": f"bank:1200.00:B-{number}", **fields})


def importing(folder: Path, *rows: dict[str, Any]) -> Path:
    return write_csv(folder / "orders.csv", rows)


def said_again(folder: Path, *rows: dict[str, Any]) -> list[str]:
    """The problems of a second file, of which nothing is stored."""
    before = list(BankAccount.objects.values_list("pk", "holder", "number"))
    said = run(importing(folder, *rows))
    assert list(BankAccount.objects.values_list("pk", "holder", "number")) == before
    return said.problems


def test_account_is_stored_encrypted_with_its_payment(folder: Path) -> None:
    assert run(importing(folder, bank_row(), bank_row(2, bank_holder="李娜", bank_account="12345-67"))).code == 0
    accounts = BankAccount.objects.order_by("pk").select_related("payment")
    assert [(account.payment.reference, payer_of(account)) for account in accounts] == [
        ("B-1", Payer(HOLDER, KEPT)),
        ("B-2", Payer("李娜", "1234567")),
    ]
    assert {(account.recorded_by, account.recorded_at) for account in accounts} == {(None, NOON)}


def test_account_in_json_lines_may_be_written_as_a_number(folder: Path) -> None:
    file = write_json_lines(folder / "orders.jsonl", [bank_row(bank_account=622202000987654321)])
    assert run(file).problems == []
    assert payer_of(BankAccount.objects.get()).number == "622202000987654321"


def test_account_belongs_to_the_bank_payment_alone_of_several(folder: Path) -> None:
    mixed = bank_row(payments="alipay:200.00:ali-1;bank:1000.00:B-1")
    assert run(importing(folder, mixed)).problems == []
    assert BankAccount.objects.get().payment == Payment.objects.get(channel="bank")


def test_orders_without_the_columns_are_imported_as_ever(folder: Path) -> None:
    assert run(importing(folder, row(payments="bank:1200.00:B-1"))).problems == []
    assert not BankAccount.objects.exists()


def test_number_stands_nowhere_in_the_clear(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The spool, nameless otherwise, is kept for once, to be looked into."""
    connect = sqlite3.connect
    monkeypatch.setattr(spool.sqlite3, "connect", lambda _name, **options: connect(tmp_path / "spool", **options))
    monkeypatch.setattr(spool.Spool, "__exit__", lambda self, *_: (self.db.execute("COMMIT"), self.db.close()))
    said = run(importing(folder, bank_row()))
    spooled = (tmp_path / "spool").read_bytes()
    assert b"A-1" in spooled
    stored = str([ImportedRow.objects.get().row, list(AuditEntry.objects.values()), *BankAccount.objects.values()])
    for secret in (HOLDER, NUMBER, KEPT):
        assert secret.encode() not in spooled
        assert secret not in stored
        assert secret not in str(said)


REFUSED = {
    "no account": ({"bank_account": ""}, ["line 2: bank_account: is missing, and bank_holder is given"]),
    "no holder": ({"bank_holder": ""}, ["line 2: bank_holder: is missing, and bank_account is given"]),
    "no bank payment": (
        {"payments": "alipay:1200.00:ali-1"},
        ["line 2: bank_account: is given, and no payment of the order is the bank's"],
    ),
    "two bank payments": (
        {"payments": "bank:200.00:B-1;bank:1000.00:B-2"},
        ["line 2: bank_account: is given, and 2 payments of the order are the bank's: record theirs at the desk"],
    ),
    "no number": (
        {"bank_account": "1234"},
        ["line 2: bank_account: is not an account number: 5 to 34 letters and digits"],
    ),
    "bad IBAN": (
        {"bank_account": "DE89370400440532013001"},
        ["line 2: bank_account: does not fit the check digits of an IBAN: look for a typing error"],
    ),
    "no name": ({"bank_holder": "12"}, ["line 2: bank_holder: is no name"]),
    "long name": ({"bank_holder": "x" * 150}, ["line 2: bank_holder: is longer than 140 characters"]),
    "control character": ({"bank_holder": "a\x07b"}, ["line 2: bank_holder: holds a character that cannot be printed"]),
}


@pytest.mark.parametrize(("fields", "problems"), REFUSED.values(), ids=REFUSED)
def test_account_that_cannot_be_taken_is_told_without_what_it_says(
    folder: Path, fields: dict[str, str], problems: list[str]
) -> None:
    refuse(importing(folder, bank_row(**fields)), *problems)
    assert not BankAccount.objects.exists()


def test_rows_of_an_order_name_the_same_account(folder: Path) -> None:
    other = bank_row(bank_holder="Li Na", bank_account="7654321", list_amount="1250.00")
    refuse(
        importing(folder, bank_row(), other),
        "line 3: bank_holder: is not that of line 2 of the same order",
        "line 3: bank_account: is not that of line 2 of the same order",
    )


# --- The same file again -----------------------------------------------------------------------


def test_same_account_again_in_another_writing_changes_nothing(folder: Path) -> None:
    run(importing(folder, bank_row()))
    assert said_again(folder, bank_row(bank_account=KEPT, bank_holder=f"  {HOLDER} ")) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bank_account": "7654321"}, "is not the one that was imported, with its bank_holder"),
        ({"bank_holder": "Li Na"}, "is not the one that was imported, with its bank_holder"),
        ({"bank_account": "", "bank_holder": ""}, "is missing, and was given when the order was imported"),
    ],
)
def test_another_account_for_the_same_order_is_refused(folder: Path, fields: dict[str, str], reason: str) -> None:
    run(importing(folder, bank_row()))
    assert said_again(folder, bank_row(**fields)) == [f"line 2: bank_account: {reason}"]


def test_account_that_comes_later_is_recorded_at_the_desk(folder: Path) -> None:
    run(importing(folder, bank_row(bank_account="", bank_holder="")))
    [problem] = said_again(folder, bank_row())
    assert problem == ("line 2: bank_account: is given, and was not when the order was imported: record it at the desk")


def test_what_staff_have_recorded_since_stands(folder: Path) -> None:
    run(importing(folder, bank_row()))
    record_bank_account(Payment.objects.get().pk, Payer("Li Na", "7654321"), by=banker(), at=NOON)
    assert said_again(folder, bank_row()) == []
    assert payer_of(BankAccount.objects.get()).holder == "Li Na"


def test_account_that_no_key_opens_is_not_taken_for_the_same(folder: Path) -> None:
    run(importing(folder, bank_row()))
    BankAccount.objects.update(number="damaged")
    [problem] = said_again(folder, bank_row())
    assert problem.startswith("line 2: bank_account: cannot be compared")


def test_interrupted_import_is_completed_with_its_accounts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = importing(folder, *(bank_row(number) for number in (1, 2, 3)))
    monkeypatch.setattr(running, "BATCH", 1)
    keep = running.keep_payers

    def fail_at_the_second(payers: dict[str, Payer], **told: Any) -> None:
        if "B-2" in payers:
            raise KeyboardInterrupt
        keep(payers, **told)

    monkeypatch.setattr(running, "keep_payers", fail_at_the_second)
    assert run(file).code == 130
    assert (Order.objects.count(), BankAccount.objects.count()) == (1, 1)
    monkeypatch.setattr(running, "keep_payers", keep)
    assert run(file).code == 0
    assert (Order.objects.count(), BankAccount.objects.count()) == (3, 3)
