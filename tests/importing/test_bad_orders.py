"""Orders that contradict themselves, each other, or what the console has already."""

from pathlib import Path
from typing import Any

import pytest

from certificates.models import Certificate
from payments.models import Payment
from tests import factories
from tests.importing.files import ROW, refuse, row, run, write_csv

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("field", "value", "shown", "first"),
    [
        ("account", "bob", "bob", "alice"),
        ("email", "alice@example.com", "alice@example.com", "nothing"),
        ("paid_at", "2026-11-20T03:00:00Z", "2026-11-20T03:00:00+00:00", "2026-11-20T02:00:00+00:00"),
        ("list_amount", "1300", "1300.00", "1250.00"),
        ("voucher_amount", "40", "40.00", "50.00"),
        ("payments", "alipay:1200.00:ali-2", "alipay:1200.00:ali-2", "alipay:1200.00:ali-1"),
    ],
)
def test_rows_of_an_order_agree_on_its_fields(folder: Path, field: str, value: str, shown: str, first: str):
    file = write_csv(folder / "order.csv", [row(), row(2, account="carol"), row(**{field: value})])
    refuse(file, f"line 4: {field}: is {shown}, and {first} in line 2 of the same order")


def test_the_same_moment_in_another_zone_agrees(folder: Path):
    file = write_csv(folder / "order.csv", [row(), row(paid_at="2026-11-20T02:00:00Z")])
    assert run(file).code == 0


def test_an_order_holds_at_most_ten_certificates(folder: Path):
    ten = [row(instance_id=f"cas-{n}") for n in range(10)]
    eleven = [row(2, account="bob", instance_id=f"cas-b{n}") for n in range(11)]
    reason = "has 11 rows, and an order holds at most 10 certificates"
    refuse(write_csv(folder / "eleven.csv", ten + eleven), f"line 22: order_number: {reason}")


def test_prices_are_given_for_all_certificates_of_an_order_or_none(folder: Path):
    file = write_csv(folder / "order.csv", [row(price="1250.00"), row(price="")])
    refuse(file, "line 3: price: is missing, and line 2 of the same order has one")


def test_a_payments_reference_pays_for_one_order(folder: Path):
    file = write_csv(folder / "two.csv", [row(), row(2, payments=ROW["payments"])])
    refuse(file, "line 3: payments: name alipay:ali-1, as line 2 does for another order")


def test_payments_without_a_reference_are_each_their_own(folder: Path):
    rows = [row(number, payments="balance:1200.00:") for number in (1, 2)]
    assert run(write_csv(folder / "two.csv", rows)).code == 0
    assert Payment.objects.count() == 2


def test_an_instance_id_is_one_certificates(folder: Path):
    file = write_csv(folder / "two.csv", [row(instance_id="cas-1"), row(2, instance_id="cas-1")])
    refuse(file, "line 3: instance_id: is that of line 2 already")


def test_accounts_that_differ_by_capitals_only_are_refused(folder: Path):
    file = write_csv(folder / "two.csv", [row(), row(2, account="Alice")])
    refuse(file, "line 3: account: differs from alice in line 2 by capital letters only")


def test_an_email_belongs_to_one_account(folder: Path):
    file = write_csv(folder / "two.csv", [row(email="a@example.com"), row(2, account="bob", email="A@Example.com")])
    refuse(file, "line 3: email: is that of the account alice in line 2")


def test_an_account_has_one_email(folder: Path):
    file = write_csv(folder / "two.csv", [row(email="a@example.com"), row(2, email="b@example.com")])
    refuse(file, "line 3: email: is not the one that the same account has in line 2")


# --- What the console has already ---------------------------------------------------------------


def conflict(folder: Path, problem: str, **fields: Any) -> None:
    before = Certificate.objects.count()
    refused = run(write_csv(folder / "conflict.csv", [row(**fields)]))
    assert (refused.code, refused.problems) == (1, [f"line 2: {problem}"])
    assert Certificate.objects.count() == before


def test_a_reference_that_paid_already_pays_for_nothing_else(folder: Path):
    factories.certificate(factories.UserFactory())
    reference = Payment.objects.get().reference
    problem = f"payments: name balance:{reference}, which paid for another order already"
    conflict(folder, problem, payments=f"balance:1200.00:{reference}")


def test_the_same_reference_of_another_channel_is_another_payment(folder: Path):
    factories.certificate(factories.UserFactory())
    reference = Payment.objects.get().reference
    assert run(write_csv(folder / "one.csv", [row(payments=f"alipay:1200.00:{reference}")])).code == 0


def test_an_instance_id_in_use_is_refused(folder: Path):
    used = factories.certificate(factories.UserFactory())
    conflict(folder, "instance_id: is another certificate's already", instance_id=used.instance_id)


def test_an_order_that_was_not_imported_is_refused(folder: Path):
    made = factories.certificate(factories.UserFactory()).order
    conflict(folder, "order_number: is of an order that the console has from elsewhere", order_number=made.number)


def test_staff_get_no_orders(folder: Path):
    factories.clerk("alice")
    conflict(folder, "account: is a member of staff, who has no orders")


def test_an_account_is_not_doubled_by_its_capitals(folder: Path):
    factories.UserFactory(username="Alice")
    conflict(folder, "account: differs from the account Alice by capital letters only")


def test_an_email_of_another_account_is_refused(folder: Path):
    factories.UserFactory(username="bob", email="a@example.com")
    conflict(folder, "email: is that of the account bob", email="A@example.com")


def test_an_accounts_own_email_is_no_conflict(folder: Path):
    factories.UserFactory(username="alice", email="A@example.com")
    assert run(write_csv(folder / "one.csv", [row(email="a@Example.com"), row(2, email="a@example.com")])).code == 0


def test_another_email_than_the_accounts_own_is_refused(folder: Path):
    factories.UserFactory(username="alice", email="a@example.com")
    problem = "email: is not the one that this account has; left out, the account keeps its own"
    conflict(folder, problem, email="b@example.com")
