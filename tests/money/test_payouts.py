"""Payouts: what the worker pays, what waits for a person, and what neither may do."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from core import audit, jobs
from core.models import Job, User
from payments import channels
from payments.channels import ChannelRefund, Outcome, Unanswered
from payments.exceptions import MoreThanPaid, NotYours, PayoutMoved, ReferenceMissing, ReferenceTaken
from payments.models import LedgerAccount, LedgerEntry, Payment, Payout
from payments.services import Part, may_record, order_payouts, pay_payout, record_failed, record_paid
from payments.states import Cause, Channel
from refunds.models import RefundRequest
from refunds.services import approve_refund, fail_refund
from tests import factories
from tests.factories import NOON

LATER = NOON + timedelta(hours=1)
OUTSIDE = sorted(set(Channel) - {Channel.BALANCE})


def noon():
    return NOON


def ordered(account: User, **payments: int) -> list[Payout]:
    """The payouts of an immediate refund of a certificate paid so, in the order of the payments."""
    request = factories.submit(factories.certificate(account, payments=payments or {"alipay": 120_000}))
    return list(Payout.objects.filter(reference=request.reference).order_by("payment_id"))


def again(thing):
    return type(thing).objects.get(pk=thing.pk)


def request_of(payout: Payout) -> RefundRequest:
    return RefundRequest.objects.get(reference=payout.reference)


def ledger(payout: Payout) -> list[tuple[str, str, str]]:
    entries = payout.entries.order_by("id").values_list("cause", "debit__kind", "credit__kind")
    return list(entries)


ORDERED = ("payout_ordered", "refunds", "pending")
FAILED = ("payout_failed", "pending", "refunds")


# --- The worker --------------------------------------------------------------------------------


def test_worker_pays_the_account_balance_into_the_ledger(customer):
    [payout] = ordered(customer, balance=120_000)
    jobs.run_due("worker", clock=noon)
    assert (again(payout).state, again(payout).settled_at) == ("paid", NOON)
    assert ledger(payout) == [ORDERED, ("payout_paid", "pending", "balance")]
    balance = LedgerAccount.objects.get(kind="balance")
    assert (balance.owner, balance.currency, balance.balance) == (customer, "CNY", 120_000)
    assert request_of(payout).state == "refunded"


def test_worker_adds_to_a_balance_that_the_customer_has(customer):
    for _ in range(2):
        ordered(customer, balance=70_000)
    jobs.run_due("worker", clock=noon)
    assert LedgerAccount.objects.get(kind="balance").balance == 140_000


def test_balances_are_kept_apart_by_currency(customer):
    for currency in ("CNY", "USD"):
        factories.submit(factories.certificate(customer, payments={"balance": 500}, currency=currency))
    jobs.run_due("worker", clock=noon)
    balances = LedgerAccount.objects.filter(kind="balance").values_list("currency", "balance")
    assert sorted(balances) == [("CNY", 500), ("USD", 500)]


def test_payout_taken_up_twice_is_paid_once(customer):
    ordered(customer, balance=120_000)
    jobs.run_due("worker", clock=noon)
    Job.objects.filter(kind="pay_payout").update(state=Job.State.QUEUED)
    jobs.run_due("worker", clock=noon)
    assert LedgerEntry.objects.filter(cause=Cause.PAYOUT_PAID).count() == 1
    assert LedgerAccount.objects.get(kind="balance").balance == 120_000


def test_payout_settled_by_two_workers_is_booked_once(customer):
    """Both asked the channel, the first one's lease having run out: the second finds it paid."""
    [payout] = ordered(customer, balance=120_000)
    settlements = [pay_payout({"payout": payout.pk}, at=at) for at in (NOON, LATER)]
    for settle in settlements:
        settle()
    assert again(payout).settled_at == NOON
    assert LedgerAccount.objects.get(kind="balance").balance == 120_000


class CountingChannel:
    """Says what it was asked to pay, as a connection to the outside would."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pay_back(self, payout: Payout) -> ChannelRefund:
        self.asked.append(str(payout.key))
        return ChannelRefund(f"outside-{payout.key}", Outcome.PAID, payout.amount, payout.currency)

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        return None


@pytest.fixture
def alipay(monkeypatch) -> CountingChannel:
    channel = CountingChannel()
    monkeypatch.setitem(channels._CONNECTED, Channel.ALIPAY, channel)
    return channel


def test_worker_pays_by_a_connected_channel_and_keeps_its_reference(customer, alipay):
    [payout] = ordered(customer)
    jobs.run_due("worker", clock=noon)
    paid = again(payout)
    assert (paid.state, paid.external_reference) == ("paid", f"outside-{payout.key}")
    assert alipay.asked == [str(payout.key)]
    assert ledger(payout)[1] == ("payout_paid", "pending", "channel")


def test_channel_is_not_asked_about_a_payout_that_is_settled(customer, cashier, monkeypatch):
    [payout] = ordered(customer)
    jobs.enqueue("pay_payout", key=str(payout.key), payload={"payout": payout.pk})
    record_failed(payout.pk, "account closed", by=cashier, at=NOON)
    channel = CountingChannel()
    monkeypatch.setitem(channels._CONNECTED, Channel.ALIPAY, channel)
    jobs.run_due("worker", clock=noon)
    assert channel.asked == []
    assert again(payout).state == "failed"
    assert Job.objects.get(kind="pay_payout").state == Job.State.DONE


def test_channel_that_does_not_answer_leaves_the_payout_unknown_and_is_asked_again_with_the_same_key(customer, alipay):
    [payout] = ordered(customer)

    def refuse(_: Payout) -> ChannelRefund:
        alipay.asked.append(str(payout.key))
        raise Unanswered("away")

    pay, alipay.pay_back = alipay.pay_back, refuse
    jobs.run_due("worker", clock=noon)
    assert (again(payout).state, request_of(payout).state) == ("unknown", "paying")
    alipay.pay_back = pay
    Job.objects.update(run_at=Job.objects.get(kind="pay_payout").created_at)
    jobs.run_due("worker", clock=noon)
    assert alipay.asked == [str(payout.key)] * 2
    assert request_of(payout).state == "refunded"


@pytest.mark.parametrize("channel", OUTSIDE)
def test_payout_of_a_channel_without_connection_waits_for_a_person(customer, channel):
    [payout] = ordered(customer, **{channel: 120_000})
    assert jobs.run_due("worker", clock=noon) == 0
    assert again(payout).state == "ordered"
    assert request_of(payout).state == "approved"


# --- A person ----------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", OUTSIDE)
def test_cashier_records_a_payout_made_outside(customer, cashier, channel):
    [payout] = ordered(customer, **{channel: 120_000})
    record_paid(payout.pk, " 2026-0001 ", by=cashier, at=LATER)
    paid = again(payout)
    assert (paid.state, paid.external_reference, paid.recorded_by, paid.settled_at) == (
        "paid",
        "2026-0001",
        cashier,
        LATER,
    )
    assert ledger(payout) == [ORDERED, ("payout_paid", "pending", "channel")]
    assert payout.entries.get(cause="payout_paid").credit.channel == channel
    assert request_of(payout).state == "refunded"
    entry = audit.history(payout).get()
    assert (entry.act, entry.by, entry.note) == ("record_paid", cashier, "2026-0001")


def test_cashier_may_not_record_without_a_reference(customer, cashier):
    [payout] = ordered(customer)
    with pytest.raises(ReferenceMissing):
        record_paid(payout.pk, "  ", by=cashier, at=LATER)
    assert again(payout).state == "ordered"


def test_outside_reference_is_taken_once(customer, cashier):
    [first] = ordered(customer, alipay=120_000)
    [second] = ordered(customer, alipay=120_000)
    [other_channel] = ordered(customer, bank=120_000)
    record_paid(first.pk, "2026-0001", by=cashier, at=LATER)
    with pytest.raises(ReferenceTaken):
        record_paid(second.pk, "2026-0001", by=cashier, at=LATER)
    assert (again(second).state, ledger(second)) == ("ordered", [ORDERED])
    with pytest.raises(ReferenceTaken):
        # What was transferred once has made one payout good, whatever channel it was to go by.
        record_paid(other_channel.pk, "2026-0001", by=cashier, at=LATER)


def test_failed_payout_recorded_under_a_taken_reference_stays_failed(customer, cashier):
    [first] = ordered(customer)
    [second] = ordered(customer)
    record_paid(first.pk, "2026-0001", by=cashier, at=LATER)
    record_failed(second.pk, "account closed", by=cashier, at=LATER)
    with pytest.raises(ReferenceTaken):
        record_paid(second.pk, "2026-0001", by=cashier, at=LATER)
    assert (again(second).state, ledger(second)) == ("failed", [ORDERED, FAILED])
    assert again(second.payment).ordered_back == 0


def test_payout_is_recorded_once(customer, cashier):
    [payout] = ordered(customer)
    record_paid(payout.pk, "2026-0001", by=cashier, at=LATER)
    for act in (record_paid, record_failed):
        with pytest.raises(PayoutMoved):
            act(payout.pk, "2026-0002", by=cashier, at=LATER)
    assert again(payout).external_reference == "2026-0001"


def test_cashier_records_a_failure_and_the_money_counts_as_here(customer, cashier):
    [payout] = ordered(customer)
    record_failed(payout.pk, "account closed", by=cashier, at=LATER)
    failed = again(payout)
    assert (failed.state, failed.failure, failed.recorded_by) == ("failed", "account closed", cashier)
    assert again(payout.payment).ordered_back == 0
    assert ledger(payout) == [ORDERED, FAILED]
    assert request_of(payout).state == "payment_failed"


def test_failed_payout_is_recorded_as_paid_later_under_the_same_key(customer, cashier):
    [payout] = ordered(customer)
    record_failed(payout.pk, "account closed", by=cashier, at=NOON)
    record_paid(payout.pk, "2026-0001", by=cashier, at=LATER)
    paid = again(payout)
    assert (paid.state, paid.key, paid.failure) == ("paid", payout.key, "")
    assert again(payout.payment).ordered_back == 120_000
    assert ledger(payout) == [ORDERED, FAILED, ORDERED, ("payout_paid", "pending", "channel")]
    assert request_of(payout).state == "refunded"


def test_payout_of_the_account_balance_is_not_recorded_by_hand(customer, cashier):
    [payout] = ordered(customer, balance=120_000)
    for act in (record_paid, record_failed):
        with pytest.raises(PayoutMoved):
            act(payout.pk, "2026-0001", by=cashier, at=LATER)
    assert again(payout).state == "ordered"


# --- Several payments --------------------------------------------------------------------------


def test_each_payment_gets_its_own_part_back_by_its_own_channel(customer):
    payouts = ordered(customer, balance=70_000, alipay=30_000, bank=20_000)
    assert [(payout.channel, payout.amount) for payout in payouts] == [
        ("balance", 70_000),
        ("alipay", 30_000),
        ("bank", 20_000),
    ]
    assert len({payout.key for payout in payouts}) == 3


def test_request_is_refunded_when_the_last_part_is_paid(customer, cashier):
    balance, alipay = ordered(customer, balance=70_000, alipay=50_000)
    jobs.run_due("worker", clock=noon)
    assert (again(balance).state, request_of(balance).state) == ("paid", "paying")
    record_paid(alipay.pk, "2026-0001", by=cashier, at=LATER)
    request = request_of(alipay)
    assert (request.state, request.ended_at) == ("refunded", LATER)


def test_request_whose_one_part_failed_while_another_was_paid_waits_for_that_part(customer, cashier):
    alipay, bank = ordered(customer, alipay=70_000, bank=50_000)
    record_failed(alipay.pk, "account closed", by=cashier, at=NOON)
    record_paid(bank.pk, "2026-0001", by=cashier, at=LATER)
    assert request_of(bank).state == "payment_failed"
    with pytest.raises(PayoutMoved):
        fail_refund(request_of(bank).pk, reason="no way", by=cashier, at=LATER)
    record_paid(alipay.pk, "2026-0002", by=cashier, at=LATER)
    assert request_of(bank).state == "refunded"


def test_refund_of_which_every_part_failed_may_be_given_up_for_good(customer, cashier):
    alipay, bank = ordered(customer, alipay=70_000, bank=50_000)
    for payout in (alipay, bank):
        record_failed(payout.pk, "account closed", by=cashier, at=NOON)
    fail_refund(request_of(bank).pk, reason="no way", by=cashier, at=LATER)
    assert request_of(bank).state == "failed"
    with pytest.raises(PayoutMoved):
        record_paid(bank.pk, "2026-0001", by=cashier, at=LATER)


def test_part_under_way_keeps_a_refund_from_being_given_up(customer, cashier):
    alipay, _bank = ordered(customer, alipay=70_000, bank=50_000)
    record_failed(alipay.pk, "account closed", by=cashier, at=NOON)
    with pytest.raises(PayoutMoved):
        fail_refund(request_of(alipay).pk, reason="no way", by=cashier, at=LATER)
    assert again(alipay).given_up_at is None


# --- Who may -----------------------------------------------------------------------------------


def reviewed(account: User, by: User) -> Payout:
    """The payout of a request that this person approved."""
    certificate = factories.certificate(account, bought=timedelta(days=30), payments={"alipay": 120_000})
    request = factories.submit(certificate)
    approve_refund(request.pk, seen=factories.seen(request), by=by, at=NOON)
    return Payout.objects.get(reference=request.reference)


def test_who_approved_a_request_never_records_its_payout(customer, reviewer, cashier):
    payout = reviewed(customer, by=reviewer)
    reviewer.is_superuser = True
    reviewer.save()
    assert not may_record(payout, reviewer)
    for act in (record_paid, record_failed):
        with pytest.raises(NotYours):
            act(payout.pk, "2026-0001", by=reviewer, at=LATER)
    record_paid(payout.pk, "2026-0001", by=cashier, at=LATER)
    assert again(payout).state == "paid"


def test_database_itself_refuses_the_approver_as_recorder(customer, reviewer):
    payout = reviewed(customer, by=reviewer)
    with pytest.raises(IntegrityError), transaction.atomic():
        Payout.objects.filter(pk=payout.pk).update(recorded_by=reviewer)


def test_nobody_records_a_payout_to_themselves(cashier):
    [payout] = ordered(cashier)
    with pytest.raises(NotYours):
        record_paid(payout.pk, "2026-0001", by=cashier, at=LATER)


@pytest.mark.parametrize("name", ["clerk", "reviewer", "neighbour"])
def test_others_may_not_record(customer, request, name):
    [payout] = ordered(customer)
    with pytest.raises(NotYours):
        record_paid(payout.pk, "2026-0001", by=request.getfixturevalue(name), at=LATER)


def test_cashier_who_left_may_not_record(customer, cashier):
    [payout] = ordered(customer)
    cashier.is_active = False
    cashier.save()
    with pytest.raises(NotYours):
        record_paid(payout.pk, "2026-0001", by=User.objects.get(pk=cashier.pk), at=LATER)


# --- Never more back than paid in --------------------------------------------------------------


def payment_of(account: User, amount: int) -> Payment:
    return Payment.objects.create(account=account, channel="alipay", amount=amount, currency="CNY", paid_at=NOON)


@pytest.mark.broken_books  # payouts without a request
def test_more_than_was_paid_in_is_not_ordered_back(customer):
    payment = payment_of(customer, 100)
    order_payouts("first", [Part(payment.pk, 60)], approved_by=None, at=NOON)
    with pytest.raises(MoreThanPaid), transaction.atomic():
        order_payouts("second", [Part(payment.pk, 41)], approved_by=None, at=NOON)
    assert again(payment).ordered_back == 60
    order_payouts("third", [Part(payment.pk, 40)], approved_by=None, at=NOON)
    assert again(payment).ordered_back == 100


@pytest.mark.parametrize("back", [-1, 101])
def test_database_itself_refuses_more_back_than_was_paid_in(customer, back):
    payment = payment_of(customer, 100)
    with pytest.raises(IntegrityError), transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(ordered_back=back)


def test_database_itself_refuses_a_second_payout_of_the_same_part(customer):
    [payout] = ordered(customer)
    second = Payout(
        payment=payout.payment,
        reference=payout.reference,
        channel=payout.channel,
        amount=1,
        currency=payout.currency,
        ordered_at=NOON,
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        second.save()


def test_part_of_nothing_orders_no_payout(customer):
    assert order_payouts("nothing", [Part(payment_of(customer, 100).pk, 0)], approved_by=None, at=NOON) == []
