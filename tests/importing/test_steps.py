"""Orders paid through a channel that refunds in steps: what is stored, and what is refused beside its cell."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from certificates.models import Certificate, Share
from tests.importing.files import refuse, row, run, write_csv

pytestmark = pytest.mark.django_db


def in_dinars(*payments: str, **fields: Any) -> dict[str, Any]:
    """A row of an order over KWD 10.000, all of it paid by one card unless said otherwise."""
    money = {"list_amount": "10.000", "voucher_amount": "0", "paid_amount": "10.000"}
    return row(currency="KWD", payments=";".join(payments or ("card:10.000:pi_1",)), **{**money, **fields})


def table() -> list[list[int]]:
    """The stored shares, a list for each certificate; payments are stored in alphabetical order."""
    shares = Share.objects.order_by("certificate__position", "payment_id").values_list("certificate", "amount")
    rows: dict[int, list[int]] = {}
    for certificate, amount in shares:
        rows.setdefault(certificate, []).append(amount)
    return list(rows.values())


def test_three_certificates_paid_by_card_are_imported_with_shares_that_can_be_refunded(folder: Path):
    assert run(folder / "import-kwd-card-three.csv").code == 0
    assert table() == [[3340], [3330], [3330]]
    assert list(Certificate.objects.order_by("position").values_list("paid_part", flat=True)) == [3340, 3330, 3330]
    call_command("check_ledger")


def test_balance_carries_what_the_cards_steps_leave_over(folder: Path):
    rows = [in_dinars("card:5.000:pi_1", "balance:5.000:")] * 3
    assert run(write_csv(folder / "mixed.csv", rows)).code == 0
    assert table() == [[1664, 1670], [1663, 1670], [1673, 1660]]
    call_command("check_ledger")


def test_prices_share_in_steps_where_a_discount_makes_room(folder: Path):
    rows = [in_dinars("card:9.000:pi_1", paid_amount="9.000", price=price) for price in ("3.334", "3.333", "3.333")]
    assert run(write_csv(folder / "discount.csv", rows)).code == 0
    assert table() == [[3000], [3000], [3000]]


def test_a_card_payment_that_is_no_multiple_of_its_step_is_refused(folder: Path):
    odd = in_dinars("card:10.005:pi_1", list_amount="10.005", paid_amount="10.005")
    refuse(
        write_csv(folder / "odd.csv", [odd]),
        "line 2: payments: card:10.005 is not a multiple of 0.010, the step of card refunds in KWD",
    )


def test_prices_that_a_share_would_exceed_are_refused(folder: Path):
    rows = [in_dinars(price=price) for price in ("3.330", "3.335", "3.335")]
    refuse(
        write_csv(folder / "prices.csv", rows),
        "line 3: price: is not a multiple of 0.010, the step of card refunds in KWD, and what was paid cannot be "
        "divided in that step without exceeding it",
    )


def test_a_balance_too_small_to_carry_the_remainders_is_refused(folder: Path):
    money = {"list_amount": "100.090", "paid_amount": "100.090"}
    refuse(
        write_csv(folder / "small.csv", [in_dinars("card:100.080:pi_1", "balance:0.010:", **money)] * 10),
        "line 2: payments: cannot be divided in multiples of 0.010, the step of card refunds in KWD: the other "
        "payments are too small to make up the difference",
    )


def test_other_problems_of_an_order_are_told_before_its_shares(folder: Path):
    rows = [in_dinars("card:10.005:pi_1", list_amount="10.005", paid_amount="10.005", price="10.004")]
    refuse(write_csv(folder / "two.csv", rows), "line 2: price: does not sum to the list_amount over the order")


def test_a_bad_order_is_passed_over_and_the_others_imported(folder: Path):
    odd = in_dinars("card:10.005:pi_2", order_number="A-2", list_amount="10.005", paid_amount="10.005")
    assert run(write_csv(folder / "both.csv", [in_dinars(), odd]), "--skip-bad").code == 1
    assert table() == [[10_000]]


def test_an_order_stored_with_odd_shares_is_still_known(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Shares stored before steps were heeded stay, and the file they came from is no bad file."""
    monkeypatch.setattr("payments.channels._STEPS", {})
    rows = [in_dinars("card:10.005:pi_1", list_amount="10.005", paid_amount="10.005")] * 2
    file = write_csv(folder / "old.csv", rows)
    assert run(file).code == 0
    monkeypatch.undo()
    assert run(file).code == 0
    assert table() == [[5003], [5002]]
    call_command("check_ledger")
