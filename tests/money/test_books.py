"""`check_ledger` proves the books: each kind of damage, made past every guard, is found and named."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import CheckConstraint, F, Model
from pytest_django import Settings

from certificates.models import Certificate, Order, Share
from certificates.quotes import Basket
from console.management.commands.check_ledger import offending
from core import jobs
from core.books import snapshot
from core.encryption import encrypt, new_key
from core.guards import guards_lifted
from core.models import Job, User
from payments.models import BankBatch, BatchLine, Difference, LedgerAccount, LedgerEntry, Payment, Payout
from payments.services import (
    confirm_difference,
    keep_difference,
    make_batch,
    not_possible,
    record_failed,
    record_paid,
    record_returned,
)
from refunds.models import Decision, RefundRequest
from refunds.services import approve_refund, fail_refund
from tests import factories
from tests.factories import NOON
from tests.jobs.test_outbox import in_parallel
from tests.lifecycle.buying import DV_PRICE, buy, dv, put_on_balance
from tests.money import bank_cast
from tests.refunds import cases
from tests.refunds.test_channel_refunds import found_at_channel

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def world(customer: User, reviewer: User, cashier: User) -> None:
    """Refunds in every state of their money: paid by the worker, by hand, in parts, failed, given up, under way.

    And what came back, what a channel gave back by itself, and a balance that staff credited and that was spent.
    """
    factories.submit(factories.certificate(customer, payments={"balance": 120_000}))
    jobs.run_due("worker", clock=lambda: NOON)
    late = factories.certificate(customer, bought=timedelta(days=30), payments={"alipay": 70_000, "bank": 50_000})
    request = factories.submit(late)
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON)
    alipay, bank = Payout.objects.filter(reference=request.reference).order_by("payment_id")
    record_failed(alipay.pk, "account closed", by=cashier, at=NOON)
    record_paid(bank.pk, "2026-0001", by=cashier, at=NOON)
    for amount in (600, 700):
        factories.submit(factories.certificate(customer, payments={"card": amount}))
    record_paid(Payout.objects.get(amount=600).pk, "2026-0002", by=cashier, at=NOON)
    given_up = factories.submit(factories.certificate(customer, payments={"alipay": 800}))
    record_failed(Payout.objects.get(amount=800).pk, "account closed", by=cashier, at=NOON)
    fail_refund(given_up.pk, reason="no way", by=cashier, at=NOON)
    factories.submit(factories.certificate(customer, payments={"balance": 900}))
    factories.certificate(customer, payments={}, voucher=500)
    put_on_balance(customer, DV_PRICE)
    buy(customer, Basket(dv().pk))
    came_back(customer, cashier)
    found_at_channels(customer, cashier)
    bank_cast.ordered(customer, 1_300)
    make_batch(by=cashier, at=NOON)


def came_back(customer: User, cashier: User) -> None:
    """Made good, still owed, and given up."""
    for amount, channel in ((1_100, "card"), (1_200, "alipay"), (1_600, "alipay")):
        factories.submit(factories.certificate(customer, payments={channel: amount}))
        payout = Payout.objects.get(amount=amount)
        record_paid(payout.pk, f"outside-{amount}", by=cashier, at=NOON)
        record_returned(payout.pk, "no such account", by=cashier, at=LATER)
    record_paid(Payout.objects.get(amount=1_100).pk, "once more", by=cashier, at=LATER)
    not_possible(Payout.objects.get(amount=1_600).pk, "no way", by=cashier, at=LATER)


def found_at_channels(customer: User, cashier: User) -> None:
    """Refunds that channels made by themselves: one confirmed as a request's, one of no request."""
    request = factories.submit(cases.in_review(customer, payments={"card": 1_400}))
    confirm_difference(found_at_channel(request.certificate).pk, request.reference, by=cashier, at=NOON)
    unmatched = factories.certificate(customer, payments={"alipay": 1_500})
    difference = found_at_channel(unmatched, channel="alipay", reference="re_kept")
    keep_difference(difference.pk, by=cashier, at=NOON)


GUARDED = (
    *(BankBatch, BatchLine, Difference, LedgerAccount, LedgerEntry, Payment, Payout),
    *(Certificate, Decision, Order, RefundRequest, Share),
)


@contextmanager
def unguarded() -> Iterator[None]:
    """No trigger, no check and no unique index stands in the way; what was done meanwhile stays."""
    # PostgreSQL alters no table for which foreign keys are still to be checked.
    connection.check_constraints()
    with guards_lifted(), connection.cursor() as cursor:
        for statement in _without_constraints():
            cursor.execute(statement)
        yield
        connection.check_constraints()
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def _without_constraints() -> Iterator[str]:
    for model in GUARDED:
        for constraint in model._meta.constraints:
            if not isinstance(constraint, CheckConstraint):
                if constraint.condition is not None:
                    yield f"DROP INDEX IF EXISTS {constraint.name}"
            elif connection.vendor == "postgresql":
                yield f"ALTER TABLE {model._meta.db_table} DROP CONSTRAINT {constraint.name}"
    if connection.vendor == "sqlite":
        yield "PRAGMA ignore_check_constraints = ON"


def rows(model: type[Model], **where: Any) -> models.QuerySet:
    """Rows of a table, past its own manager."""
    return models.QuerySet(model).filter(**where)


def change(model: type[Model], where: dict[str, Any], **fields: Any) -> None:
    assert rows(model, **where).update(**fields) == 1


def copy(model: type[Model], where: dict[str, Any], **fields: Any) -> None:
    """Store one row a second time."""
    row = rows(model, **where).get()
    for name, value in {"pk": None, **fields}.items():
        setattr(row, name, value)
    models.QuerySet(model).bulk_create([row])


def run_command() -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("check_ledger", stdout=output)
    except SystemExit as end:
        return end.code, output.getvalue()
    return 0, output.getvalue()


def test_with_a_wrong_key_the_command_says_so_and_not_that_files_were_changed(world, settings: Settings):
    own = settings.KEY_ENCRYPTION_KEYS
    settings.KEY_ENCRYPTION_KEYS = [new_key()]
    code, said = run_command()
    settings.KEY_ENCRYPTION_KEYS = own
    assert code == 1
    [line] = said.splitlines()
    assert line.startswith("payments_bankbatch ")
    assert "can't be checked: none of KEY_ENCRYPTION_KEYS opens it" in line


# --- In order ----------------------------------------------------------------------------------


def test_books_in_order_are_counted(world):
    code, said = run_command()
    assert code == 0
    assert said == "OK: 14 certificates, 11 refund requests, 13 payouts, 28 ledger entries\n"


def test_empty_books_are_in_order(db):
    assert run_command() == (0, "OK: 0 certificates, 0 refund requests, 0 payouts, 0 ledger entries\n")


@pytest.mark.broken_books
def test_each_offending_row_is_a_line_and_the_exit_is_1(world):
    with unguarded():
        change(Payment, {"amount": 700}, ordered_back=0)
        change(LedgerAccount, {"kind": "balance"}, balance=1)
    payment, account = Payment.objects.get(amount=700), LedgerAccount.objects.get(kind="balance")
    code, said = run_command()
    assert code == 1
    assert said.splitlines() == [
        f"payments_ledgeraccount {account.pk}: keeps 1, but its entries sum to 120000",
        f"payments_payment {payment.pk}: says 0 are ordered back, its payouts sum to 700",
    ]


# --- Damage ------------------------------------------------------------------------------------

PAID = {"payout__amount": 600, "cause": "payout_paid"}
FAILED = {"payout__amount": 800, "cause": "payout_failed"}
ORDERED = {"payout__amount": 700, "cause": "payout_ordered"}
REFUNDED = {"amount": 600}
CREDITED = {"cause": "balance_credited"}
BOUGHT = {"cause": "order_paid"}
BACK = {"amount": 1_100, "follows": None}
ANEW = {"follows__amount": 1_100}
CONFIRMED = {"state": "confirmed"}

DAMAGE: dict[str, tuple[Callable[[], object], str, str]] = {
    "balance below zero": (
        lambda: change(LedgerAccount, {"kind": "balance"}, balance=-5),
        "payments_ledgeraccount",
        "is below zero: -5",
    ),
    "pending money without a payout": (
        lambda: copy(LedgerEntry, ORDERED, payout=None),
        "payments_ledgeraccount",
        "are under way, the payouts",
    ),
    "entry without a payout": (
        lambda: change(LedgerEntry, ORDERED, payout=None),
        "payments_ledgerentry",
        "belongs to no payout",
    ),
    "entry of another amount": (
        lambda: change(LedgerEntry, PAID, amount=601),
        "payments_ledgerentry",
        "moves 601, but its payout is of 600",
    ),
    "entry of another currency": (
        lambda: change(LedgerEntry, PAID, currency="USD"),
        "payments_ledgerentry",
        "mixes currencies",
    ),
    "payout credited to another account": (
        lambda: change(LedgerEntry, PAID, credit=LedgerAccount.objects.get(kind="balance")),
        "payments_ledgerentry",
        "payout_paid stands on the wrong accounts",
    ),
    "payout credited to another customer": (
        lambda: change(
            LedgerEntry,
            {"payout__amount": 120_000, "cause": "payout_paid"},
            credit=LedgerAccount.objects.create(
                kind="balance", owner=factories.UserFactory(), currency="CNY", balance=120_000
            ),
        ),
        "payments_ledgerentry",
        "payout_paid stands on the wrong accounts",
    ),
    "entry of a payout and of a payment": (
        lambda: change(LedgerEntry, PAID, payment=Payment.objects.get(amount=600)),
        "payments_ledgerentry",
        "belongs to a payout and to a payment",
    ),
    "credit from another account": (
        lambda: change(LedgerEntry, CREDITED, debit=LedgerAccount.objects.get(kind="sales")),
        "payments_ledgerentry",
        "balance_credited stands on the wrong accounts",
    ),
    "credit to another account": (
        lambda: change(LedgerEntry, CREDITED, credit=LedgerAccount.objects.get(kind="sales")),
        "payments_ledgerentry",
        "balance_credited stands on the wrong accounts",
    ),
    "credit of another amount": (
        lambda: change(LedgerEntry, CREDITED, amount=1),
        "payments_ledgeraccount",
        "but its entries sum to",
    ),
    "credit in another currency": (
        lambda: change(LedgerEntry, CREDITED, currency="USD"),
        "payments_ledgerentry",
        "mixes currencies",
    ),
    "credit for a payment": (
        lambda: change(LedgerEntry, CREDITED, payment=Payment.objects.get(amount=600)),
        "payments_ledgerentry",
        "credits a balance, but belongs to a payment",
    ),
    "credit by nobody": (
        lambda: change(LedgerEntry, CREDITED, by=None),
        "payments_ledgerentry",
        "credits a balance in nobody's name",
    ),
    "credit by who receives it": (
        lambda: change(LedgerEntry, CREDITED, by=User.objects.get(username="customer")),
        "payments_ledgerentry",
        "was credited by who receives it",
    ),
    "credit that moves a payout": (
        lambda: change(LedgerEntry, CREDITED, payout=Payout.objects.get(amount=600)),
        "payments_ledgerentry",
        "balance_credited stands on the wrong accounts",
    ),
    "purchase without a payment": (
        lambda: change(LedgerEntry, BOUGHT, payment=None),
        "payments_ledgerentry",
        "pays an order, but belongs to no payment",
    ),
    "purchase of another amount": (
        lambda: change(LedgerEntry, BOUGHT, amount=1),
        "payments_ledgerentry",
        "moves 1, but its payment is of 29800",
    ),
    "purchase in another currency": (
        lambda: change(Payment, {"amount": DV_PRICE}, currency="USD"),
        "payments_ledgerentry",
        "mixes currencies",
    ),
    "purchase in the books of another currency": (
        lambda: change(LedgerEntry, BOUGHT, currency="USD"),
        "payments_ledgerentry",
        "mixes currencies",
    ),
    "purchase paid by another channel": (
        lambda: change(Payment, {"amount": DV_PRICE}, channel="card"),
        "payments_ledgerentry",
        "order_paid stands on the wrong accounts",
    ),
    "purchase from another's balance": (
        lambda: change(Payment, {"amount": DV_PRICE}, account=factories.UserFactory()),
        "payments_ledgerentry",
        "order_paid stands on the wrong accounts",
    ),
    "purchase that went nowhere": (
        lambda: change(LedgerEntry, BOUGHT, credit=LedgerAccount.objects.get(kind="deposits")),
        "payments_ledgerentry",
        "order_paid stands on the wrong accounts",
    ),
    "purchase paid twice": (
        lambda: copy(LedgerEntry, BOUGHT),
        "payments_ledgerentry",
        "pays the same payment once more",
    ),
    "order booked twice": (
        lambda: copy(LedgerEntry, ORDERED),
        "payments_payout",
        "is ordered, but has 2 entries of its order, 0 paid, 0 failed",
    ),
    "payout paid without an entry": (
        lambda: rows(LedgerEntry, **PAID).delete(),
        "payments_payout",
        "is paid, but has 1 entries of its order, 0 paid",
    ),
    "payout paid twice in the books": (
        lambda: copy(LedgerEntry, PAID),
        "payments_payout",
        "is paid, but has 1 entries of its order, 2 paid",
    ),
    "failure that was not reversed": (
        lambda: rows(LedgerEntry, **FAILED).delete(),
        "payments_payout",
        "is failed, but has 1 entries of its order, 0 paid, 0 failed",
    ),
    "payout under way that was reversed": (
        lambda: copy(LedgerEntry, FAILED, payout=Payout.objects.get(amount=700), amount=700),
        "payments_payout",
        "is ordered, but has 1 entries of its order, 0 paid, 1 failed",
    ),
    "payout returned without an entry": (
        lambda: change(Payout, {"amount": 600}, state="returned"),
        "payments_payout",
        "is returned, but has",
    ),
    "payment that forgot its payout": (
        lambda: change(Payment, {"amount": 700}, ordered_back=0),
        "payments_payment",
        "says 0 are ordered back, its payouts sum to 700",
    ),
    "payment that still counts a failed payout": (
        lambda: change(Payment, {"amount": 800}, ordered_back=800),
        "payments_payment",
        "says 800 are ordered back, its payouts sum to 0",
    ),
    "more back than paid in": (
        lambda: change(Payment, {"amount": 700}, amount=699),
        "payments_payment",
        "gives 700 back of 699 paid in",
    ),
    "payout by another channel": (
        lambda: change(Payout, {"amount": 700}, channel="bank"),
        "payments_payout",
        "differs from its payment",
    ),
    "payout in another currency": (
        lambda: change(Payout, {"amount": 700}, currency="USD"),
        "payments_payout",
        "differs from its payment",
    ),
    "two payouts of one part": (
        lambda: copy(Payout, {"amount": 700}, key="0" * 32),
        "payments_payout",
        "once more",
    ),
    "two payouts under one outside reference": (
        lambda: change(Payout, {"amount": 50_000}, channel="card", external_reference="2026-0002"),
        "payments_payout",
        "carries the outside reference 2026-0002 of another",
    ),
    "approver who recorded": (
        lambda: change(Payout, {"amount": 50_000}, recorded_by=F("approved_by")),
        "payments_payout",
        "was recorded by who approved it",
    ),
    "paid by nobody": (
        lambda: change(Payout, {"amount": 50_000}, recorded_by=None, first_sent_at=None),
        "payments_payout",
        "was paid, but nobody sent or recorded it",
    ),
    "receiver who recorded": (
        lambda: change(Payout, {"amount": 600}, recorded_by=User.objects.get(username="customer")),
        "payments_payout",
        "was recorded by who receives it",
    ),
    "receiver who approved": (
        lambda: change(Payout, {"amount": 600}, approved_by=User.objects.get(username="customer")),
        "payments_payout",
        "was approved by who receives it",
    ),
    "settled at no time": (
        lambda: change(Payout, {"amount": 600}, settled_at=None),
        "payments_payout",
        "is paid, but has no time of it",
    ),
    "settled before it is": (
        lambda: change(Payout, {"amount": 700}, settled_at=NOON),
        "payments_payout",
        "is ordered, but has a time of its end",
    ),
    "paid outside without a reference": (
        lambda: change(Payout, {"amount": 600}, external_reference=""),
        "payments_payout",
        "without a reference",
    ),
    "given up though paid": (
        lambda: change(Payout, {"amount": 600}, given_up_at=NOON),
        "payments_payout",
        "is paid, but was given up",
    ),
    "payout that no job will pay": (
        lambda: rows(Job, kind="pay_payout", state="queued").delete(),
        "payments_payout",
        "is ordered, but no job will pay it",
    ),
    "certificate whose shares are too small": (
        lambda: change(Share, {"amount": 700}, amount=699),
        "certificates_certificate",
        "was paid with 700, its shares sum to 699",
    ),
    "payment whose shares are too small": (
        lambda: change(Share, {"amount": 700}, amount=699),
        "payments_payment",
        "is of 700, its shares sum to 699",
    ),
    "order whose certificates were paid otherwise": (
        lambda: change(Order, {"paid_amount": 700}, paid_amount=701),
        "certificates_order",
        "was paid with 701, its certificates sum to 700",
    ),
    "order whose payments are of another amount": (
        lambda: change(Order, {"paid_amount": 700}, paid_amount=701),
        "certificates_order",
        "was paid with 701, its payments sum to 700",
    ),
    "order whose voucher went nowhere": (
        lambda: change(Order, {"voucher_amount": 500}, voucher_amount=600),
        "certificates_order",
        "had a voucher of 600, its certificates 500",
    ),
    "share of another order's payment": (
        lambda: change(Share, {"amount": 700}, payment=Payment.objects.get(amount=800)),
        "certificates_share",
        "is of a payment for another order",
    ),
    "certificate in another currency than its payment": (
        lambda: change(Certificate, {"paid_part": 700}, currency="USD"),
        "certificates_share",
        "mixes currencies",
    ),
    "certificate of another than who paid": (
        lambda: change(Certificate, {"paid_part": 700}, account=factories.UserFactory()),
        "certificates_share",
        "is of another's payment",
    ),
    "refunded with a part of its money": (
        lambda: change(RefundRequest, REFUNDED, amount=601),
        "refunds_refundrequest",
        "is refunded with 601, its payouts are 600 in all and 600 paid",
    ),
    "refunded though not paid": (
        lambda: change(RefundRequest, {"amount": 700}, state="refunded"),
        "refunds_refundrequest",
        "is refunded with 700, its payouts are 700 in all and 0 paid",
    ),
    "paid though not refunded": (
        lambda: change(RefundRequest, REFUNDED, state="paying"),
        "refunds_refundrequest",
        "is paying, though all its 600 are paid",
    ),
    "ordered a part of its money": (
        lambda: change(RefundRequest, {"amount": 700}, amount=701),
        "refunds_refundrequest",
        "is of 701, its payouts sum to 700",
    ),
    "money for a request that was cancelled": (
        lambda: change(RefundRequest, {"amount": 700}, state="cancelled"),
        "refunds_refundrequest",
        "is cancelled, but 700 are under way",
    ),
    "payment said to have failed": (
        lambda: change(RefundRequest, {"amount": 700}, state="payment_failed"),
        "refunds_refundrequest",
        "is payment_failed, but 700 are under way, 0 failed",
    ),
    "two live requests of one certificate": (
        lambda: copy(RefundRequest, {"amount": 700}, reference="RF-2", form_key="0" * 32),
        "refunds_refundrequest",
        "is a second live request of its certificate",
    ),
    "refunded request of a certificate that goes on": (
        lambda: change(Certificate, {"paid_part": 600}, state="pending_application"),
        "refunds_refundrequest",
        "is refunded, but its certificate is pending_application",
    ),
    "refunded certificate without a refund": (
        lambda: change(Certificate, {"paid_part": 700}, state="refunded"),
        "certificates_certificate",
        "is refunded, but no request of it is",
    ),
    "payout that nobody approved": (
        lambda: rows(Decision, request__amount=700).delete(),
        "payments_payout",
        "has no approving decision behind it",
    ),
    "payout of no request": (
        lambda: change(Payout, {"amount": 700}, reference="RF-?"),
        "payments_payout",
        "has no approving decision behind it",
    ),
    "payout ordered before its approval": (
        lambda: change(Decision, {"request__amount": 700}, effective_at=NOON + timedelta(seconds=1)),
        "payments_payout",
        "has no approving decision behind it",
    ),
    "payout approved by another": (
        lambda: change(Payout, {"amount": 50_000}, approved_by=User.objects.get(username="cashier")),
        "payments_payout",
        "names another than who decided",
    ),
    "payout of another amount than the share": (
        lambda: change(Payout, {"amount": 700}, amount=699),
        "payments_payout",
        "is of 699, which its certificate's shares do not say",
    ),
    "decision by the customer": (
        lambda: change(Decision, {"request__amount": 120_000, "by": None}, by=User.objects.get(username="customer")),
        "refunds_decision",
        "was made by who asked for it or receives it",
    ),
    "decision by the policy that needed a review": (
        lambda: change(Decision, {"by__username": "reviewer"}, by=None),
        "refunds_decision",
        "is of the policy, but needed a review",
    ),
    "channel that paid more than its payouts": (
        lambda: copy(LedgerEntry, PAID),
        "payments_ledgeraccount",
        "were paid through card, the payouts",
    ),
    "return that a channel's books do not know": (
        lambda: rows(LedgerEntry, payout__amount=1_200, cause="payout_returned").delete(),
        "payments_ledgeraccount",
        "were paid through alipay, the payouts",
    ),
    "refund granted twice in the books": (
        lambda: copy(LedgerEntry, ORDERED),
        "payments_ledgeraccount",
        "are granted, the payouts",
    ),
    "payment booked at another time": (
        lambda: change(LedgerEntry, PAID, at=NOON + timedelta(seconds=1)),
        "payments_ledgerentry",
        "was booked at another time than its payout was paid",
    ),
    "return booked at another time": (
        lambda: change(LedgerEntry, {"payout__amount": 1_200, "cause": "payout_returned"}, at=NOON),
        "payments_ledgerentry",
        "was booked at another time than its payout came back",
    ),
    "return that is not booked": (
        lambda: rows(LedgerEntry, payout__amount=1_200, cause="payout_returned").delete(),
        "payments_payout",
        "is returned, but has 1 entries of its order, 1 paid, 0 failed, 0 returned",
    ),
    "made good, but in place of no payout": (
        lambda: change(Payout, ANEW, follows=None),
        "payments_payout",
        "pays again what came back, but in place of no payout",
    ),
    "made good with another amount": (
        lambda: change(Payout, ANEW, amount=1_101),
        "payments_payout",
        "stands in place of a payout of something else",
    ),
    "made good, though it never came back": (
        lambda: change(Payout, BACK, state="paid", returned_at=None),
        "payments_payout",
        "stands in place of a payout that had not come back",
    ),
    "made good before it came back": (
        lambda: change(Payout, ANEW, ordered_at=NOON),
        "payments_payout",
        "stands in place of a payout that had not come back",
    ),
    "made good after it was given up": (
        lambda: change(Payout, BACK, given_up_at=NOON),
        "payments_payout",
        "stands in place of a payout that had not come back",
    ),
    "paid, but with staff": (
        lambda: change(Payout, {"amount": 600}, handed_over_at=NOON),
        "payments_payout",
        "is paid, but with staff",
    ),
    "paid on no day": (
        lambda: change(Payout, {"amount": 600}, booked_on=None),
        "payments_payout",
        "was paid on no day of card's books",
    ),
    "returned, and never paid on a day": (
        lambda: change(Payout, {"amount": 1_200}, booked_on=None),
        "payments_payout",
        "was paid on no day of alipay's books",
    ),
    "day of a payout that is not paid": (
        lambda: change(Payout, {"amount": 700}, booked_on=NOON.date()),
        "payments_payout",
        "is ordered, but stands in card's books",
    ),
    "day of our own books on which nothing was paid": (
        lambda: change(Payout, {"amount": 120_000}, booked_on=NOON.date() + timedelta(days=1)),
        "payments_payout",
        "stands in our own books on 2026-11-24, but was paid on 2026-11-23",
    ),
    "came back at no time": (
        lambda: change(Payout, {"amount": 1_200}, returned_at=None),
        "payments_payout",
        "came back at no time",
    ),
    "paid, and came back": (
        lambda: change(Payout, {"amount": 600}, returned_at=LATER),
        "payments_payout",
        "is paid, but came back",
    ),
    "came back before it was paid": (
        lambda: change(Payout, {"amount": 1_200}, returned_at=NOON - timedelta(seconds=1)),
        "payments_payout",
        "came back before it was paid",
    ),
    "payout whose job was given up and that no person has": (
        lambda: rows(Job, kind="pay_payout", state="queued").update(state="given_up"),
        "payments_payout",
        "is ordered, but no job will pay it, and no person has it",
    ),
    "sent to the bank in no file": (
        lambda: rows(BatchLine).delete(),
        "payments_payout",
        "is sent, but in no file for the bank",
    ),
    "file for the bank without lines": (
        lambda: rows(BatchLine).delete(),
        "payments_bankbatch",
        "has no lines",
    ),
    "file for the bank that lacks a line": (
        lambda: change(BatchLine, {}, position=2),
        "payments_bankbatch",
        "has 1 lines, the last is numbered 2",
    ),
    "card payout in a file for the bank": (
        lambda: change(BatchLine, {}, payout=Payout.objects.get(amount=600)),
        "payments_batchline",
        "puts a payout of card into the bank's file",
    ),
    "file for the bank with other content": (
        lambda: change(BankBatch, {}, content=encrypt(b"to somebody else")),
        "payments_bankbatch",
        "is not the file that was made",
    ),
    "file for the bank that nobody can read": (
        lambda: change(BankBatch, {}, content="nonsense"),
        "payments_bankbatch",
        "can't be checked: none of KEY_ENCRYPTION_KEYS opens it; add the key that it was encrypted with",
    ),
    "confirmed refund without a payout": (
        lambda: change(Difference, CONFIRMED, payout=None),
        "payments_difference",
        "is confirmed, but no payout is that refund",
    ),
    "confirmed refund of another amount": (
        lambda: change(Difference, CONFIRMED, amount=1_401),
        "payments_difference",
        "is confirmed, but no payout is that refund",
    ),
    "confirmed refund under another reference": (
        lambda: change(Difference, CONFIRMED, external_reference="re_other"),
        "payments_difference",
        "is confirmed, but no payout is that refund",
    ),
    "confirmed refund of another channel": (
        lambda: change(Difference, CONFIRMED, channel="alipay"),
        "payments_difference",
        "is confirmed, but no payout is that refund",
    ),
    "confirmed refund whose payout is not paid": (
        lambda: change(Payout, {"amount": 1_400}, booked_on=None),
        "payments_difference",
        "is confirmed, but no payout is that refund",
    ),
    "confirmed difference of another kind": (
        lambda: change(Difference, CONFIRMED, kind="different_amount"),
        "payments_difference",
        "is different_amount, which nobody can confirm",
    ),
    "unmatched refund that is a payout's": (
        lambda: change(Payout, {"amount": 1_200}, external_reference="re_kept"),
        "payments_difference",
        "is kept, but a payout is that refund",
    ),
    "certificate that is open though refunded by its channel": (
        lambda: change(Certificate, {"paid_part": 1_500}, refund_found_at=None),
        "certificates_certificate",
        "is open to refunds, but one was found at a channel",
    ),
    "certificate that is closed though nothing was found": (
        lambda: change(Certificate, {"paid_part": 700}, refund_found_at=NOON),
        "certificates_certificate",
        "is closed to refunds, but none of it was found at a channel",
    ),
    "certificate that is closed though another was named": (
        lambda: change(Difference, {"state": "kept"}, assigned_to="cas-another"),
        "certificates_certificate",
        "is closed to refunds, but none of it was found at a channel",
    ),
    "paying though all of it came back": (
        lambda: change(RefundRequest, {"amount": 1_200}, state="paying"),
        "refunds_refundrequest",
        "is paying, but 0 are under way, 0 failed, 0 paid, 1200 came back",
    ),
    "refunded though all of it came back": (
        lambda: change(RefundRequest, {"amount": 1_200}, state="refunded"),
        "refunds_refundrequest",
        "is refunded with 1200, its payouts are 1200 in all and 0 paid",
    ),
    "made good with less than the request": (
        lambda: change(RefundRequest, {"amount": 1_100}, amount=2_200),
        "refunds_refundrequest",
        "is refunded with 2200, its payouts are 1100 in all and 1100 paid",
    ),
    "given up with less than the request": (
        lambda: change(RefundRequest, {"amount": 1_600}, amount=1_601),
        "refunds_refundrequest",
        "is of 1601, its payouts sum to 1600",
    ),
    "open though ended": (
        lambda: change(RefundRequest, {"amount": 1_200}, ended_at=NOON),
        "refunds_refundrequest",
        "is payment_failed, but has ended",
    ),
    "refunded, but not ended": (
        lambda: change(RefundRequest, REFUNDED, ended_at=None),
        "refunds_refundrequest",
        "is refunded, but has not ended",
    ),
    "refunded certificate of which nobody knows what it was": (
        lambda: change(Certificate, {"paid_part": 600}, state_before_refund=""),
        "certificates_certificate",
        "is refunded, and “” before its refund",
    ),
    "certificate with a past that it does not have": (
        lambda: change(Certificate, {"paid_part": 700}, state_before_refund="revoked"),
        "certificates_certificate",
        "is pending_application, and “revoked” before its refund",
    ),
    "certificate that is free though its money came back": (
        lambda: change(Certificate, {"paid_part": 1_200}, hold=""),
        "refunds_refundrequest",
        "is payment_failed, but its certificate is held for “”",
    ),
    "confirmed by another than who recorded": (
        lambda: change(Payout, {"amount": 1_400}, recorded_by=User.objects.get(username="reviewer")),
        "payments_payout",
        "was recorded by another than who confirmed it, or approved",
    ),
    "confirmed and approved": (
        lambda: change(Payout, {"amount": 1_400}, approved_by=User.objects.get(username="reviewer")),
        "payments_payout",
        "was recorded by another than who confirmed it, or approved",
    ),
    "confirmed by nobody": (
        lambda: change(Decision, {"verdict": "confirm"}, by=None),
        "refunds_decision",
        "confirms a refund in nobody's name",
    ),
    "confirmed by the customer": (
        lambda: change(Decision, {"verdict": "confirm"}, by=User.objects.get(username="customer")),
        "refunds_decision",
        "was made by who asked for it or receives it",
    ),
    "approved, then confirmed": (
        lambda: copy(Decision, {"verdict": "confirm"}, verdict="approve"),
        "refunds_decision",
        "confirms what was approved here",
    ),
    "refunded, but decided by nobody": (
        lambda: rows(Decision, verdict="confirm").delete(),
        "refunds_refundrequest",
        "is refunded, but nobody approved or confirmed it",
    ),
    "given up, but its payout is not": (
        lambda: change(Payout, {"amount": 1_600}, given_up_at=None),
        "payments_payout",
        "belongs to a refund that was given up",
    ),
    "payout given up, but its refund is not": (
        lambda: change(RefundRequest, {"amount": 1_600}, state="payment_failed", ended_at=None),
        "payments_payout",
        "was given up, but its refund was not",
    ),
}


def test_every_damage_is_found_and_named(world):
    """One world for all of them, each undone before the next: a world for each would take a minute."""
    not_found = {}
    with unguarded():
        for name, (damage, table, words) in DAMAGE.items():
            with transaction.atomic():
                damage()
                found = list(offending())
                transaction.set_rollback(True)
            if not any(finding.table == table and words in finding.what for finding in found):
                not_found[name] = found
    assert not_found == {}


# --- While others work -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_proof_reads_one_moment_and_keeps_nobody_from_writing(world):
    """A payout that is paid between two of its queries must not look like damage."""
    with snapshot():
        before = [Payout.objects.filter(state="paid").count()]
        in_parallel(1, lambda: jobs.run_due("worker", clock=lambda: NOON))
        before.append(Payout.objects.filter(state="paid").count())
        assert list(offending()) == []
    assert before == [5, 5]
    assert Payout.objects.filter(state="paid").count() == 6
