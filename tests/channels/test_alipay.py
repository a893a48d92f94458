"""Alipay: every payout exactly once by its own books, whatever goes wrong on the way; and what it tells by itself."""

import json
import logging
import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl

import pytest
from django.core.management import call_command

from core import bounded
from core.models import Job
from payments.channels import Forged, Notification, Outcome, Refused, Unanswered, alipay_gateway
from payments.channels.alipay_answers import ALREADY_REFUNDED, REFUSALS
from payments.channels.alipay_notifications import LARGEST_NOTIFICATION
from payments.exceptions import AmountsDiffer, RefundFound
from payments.models import Difference, Payment, Payout
from payments.services import not_possible, receive_notification, record_failed, record_paid, try_again
from refunds.models import RefundRequest
from tests import factories
from tests.channels.conftest import alipay_payout, work
from tests.channels.fake_alipay import APP_ID, BusinessError, key_pairs, sdk_of_application
from tests.channels.server import Fault
from tests.factories import NOON

pytestmark = pytest.mark.usefixtures("alipay_channel", "frozen")

LATER = NOON + timedelta(hours=1)
DAY = date(2026, 11, 23)
ONCE = [(120_000, "REFUND_SUCCESS")]
REFUND, QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"


@pytest.fixture
def sender(db):
    return factories.staff("sender", "payments.send_payout", "payments.record_payout")


@pytest.fixture
def paid(customer, alipay_fake) -> Payout:
    payout = alipay_payout(customer, alipay_fake)
    work(NOON)
    assert again(payout).state == "paid"
    return again(payout)


def again(thing):
    return type(thing).objects.get(pk=thing.pk)


def request_of(payout: Payout) -> RefundRequest:
    return RefundRequest.objects.get(reference=payout.reference)


def work_until(payout: Payout, state: str, at: datetime = NOON) -> None:
    for _ in range(8):
        work(at)
        if again(payout).state == state:
            return
    pytest.fail(f"{again(payout).state}: {again(payout).trouble}")


def forms(fake, method: str = "") -> list[dict[str, str]]:
    """What was sent to the gateway, or to one of its methods."""
    sent = [dict(parse_qsl(request.body.decode())) for request in fake.requests if request.method == "POST"]
    return [form for form in sent if method in {"", form["method"]}]


def wanted(fake, method: str = REFUND) -> list[dict]:
    return [json.loads(form["biz_content"]) for form in forms(fake, method)]


# --- Paying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_order", [False, True])
def test_worker_pays_back_once_by_either_number_of_the_trade(customer, alipay_fake, by_order):
    payout = alipay_payout(customer, alipay_fake, by_order=by_order)
    assert work(NOON) == 1
    settled = again(payout)
    [trade] = alipay_fake.trades
    assert (settled.state, settled.external_reference) == ("paid", f"{trade.number}/{payout.key}")
    assert (settled.booked_on, request_of(payout).state) == (DAY, "refunded")
    assert alipay_fake.books() == ONCE
    name = "out_trade_no" if by_order else "trade_no"
    assert wanted(alipay_fake) == [
        {
            name: payout.payment.reference,
            "out_request_no": str(payout.key),
            "refund_amount": "1200.00",
            "refund_reason": payout.reference,
        }
    ]
    assert work(LATER) == 0


def test_worker_says_the_time_in_alipays_zone(customer, alipay_fake):
    alipay_payout(customer, alipay_fake)
    work(NOON)
    assert forms(alipay_fake)[0]["timestamp"] == "2026-11-23 12:00:00"


@pytest.mark.parametrize(
    ("currency", "amount", "written"), [("USD", 1234, "12.34"), ("JPY", 1234, "1234"), ("KWD", 1230, "1.230")]
)
def test_worker_names_another_currency_and_counts_in_its_digits(
    customer, alipay_fake, alipay_channel, currency, amount, written
):
    payout = alipay_payout(customer, alipay_fake, amount=amount, currency=currency)
    work(NOON)
    assert again(payout).state == "paid"
    told = Notification("e", payout.payment.reference, str(payout.key))
    for refund in [alipay_channel.look_up(payout), *alipay_channel.ask(told)]:
        assert (refund.amount, refund.currency) == (amount, currency)
    [sent] = wanted(alipay_fake)
    assert (sent["refund_amount"], sent["refund_currency"]) == (written, currency)
    assert alipay_fake.books() == [(amount, "REFUND_SUCCESS")]


def test_each_part_of_one_payment_is_found_as_itself(customer, alipay_fake, alipay_channel):
    """Alipay answers to a refund with the sum of all refunds of the trade."""
    parts = factories.bought_together(customer, [70_000, 50_000], {"alipay": 120_000})
    Payment.objects.update(reference=alipay_fake.sell(120_000))
    for part in parts:
        factories.submit(part)
    work(NOON)
    assert alipay_fake.books() == [(70_000, "REFUND_SUCCESS"), (50_000, "REFUND_SUCCESS")]
    for payout in Payout.objects.all():
        assert payout.state == "paid"
        assert alipay_channel.look_up(payout).amount == payout.amount
        assert alipay_channel.look_up(payout).reference == payout.external_reference


@pytest.mark.parametrize("reference", ["", "x" * 65, "a\nb", "a b", "订单"])
def test_worker_is_refused_a_payment_that_cannot_be_alipays(customer, alipay_fake, alipay_channel, sender, reference):
    payout = alipay_payout(customer, alipay_fake)
    Payment.objects.update(reference=reference)
    work(NOON)
    assert again(payout).failure.startswith("The payment's reference is no number of a trade at Alipay")
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "failed"
    assert alipay_channel.look_up(again(payout)) is None
    assert alipay_fake.requests == []


# --- What goes wrong on the way ----------------------------------------------------------------

SLOW = {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}


@pytest.mark.parametrize("fault", Fault)
def test_worker_pays_once_whatever_befalls_the_call(customer, alipay_fake, alipay_connect, fault):
    alipay_connect(timeout=0.2 if fault in SLOW else 10)
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(fault)
    work(NOON)
    assert (again(payout).state, request_of(payout).state) == ("unknown", "paying")
    assert again(payout).trouble
    alipay_connect()
    alipay_fake.finish_late()
    work_until(payout, "paid")
    assert alipay_fake.books() == ONCE
    assert request_of(payout).state == "refunded"
    assert {sent["out_request_no"] for sent in wanted(alipay_fake)} == {str(payout.key)}


@pytest.mark.parametrize("second", sorted(set(Fault) - {Fault.LATE}))
@pytest.mark.parametrize("first", [Fault.ERROR_BEFORE, Fault.DROPPED_AFTER])
def test_worker_pays_once_when_the_look_up_fails_too(customer, alipay_fake, alipay_connect, first, second):
    alipay_connect(timeout=0.2 if second in SLOW else 10)
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.extend([first, second, second])
    for _ in range(3):
        work(NOON)
        assert again(payout).state == "unknown"
    # After a look-up that was not answered nothing is sent.
    assert len(forms(alipay_fake, REFUND)) == 1
    alipay_connect()
    work_until(payout, "paid")
    assert alipay_fake.books() == ONCE


def test_worker_sends_again_only_what_alipay_has_nothing_of(customer, alipay_fake):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.ERROR_AFTER)
    work(NOON)
    work_until(payout, "paid")
    assert len(forms(alipay_fake, REFUND)) == 1


def test_refund_that_is_still_being_done_is_paid_only_when_alipay_has_it(customer, alipay_fake):
    """Until then a look brings nothing, and the same number again moves no money."""
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.LATE)
    for _ in range(3):
        work(NOON)
        assert again(payout).state == "unknown"
    assert "moved no money" in again(payout).trouble
    assert alipay_fake.books() == [(120_000, "")]
    alipay_fake.now = LATER
    alipay_fake.finish_late()
    work_until(payout, "paid", LATER)
    assert alipay_fake.books() == ONCE


def test_late_payout_is_booked_on_the_day_that_alipay_says(customer, alipay_fake):
    alipay_fake.now = datetime(2026, 11, 23, 15, 59, tzinfo=UTC)
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    work(NOON + timedelta(days=1))
    assert (again(payout).state, again(payout).booked_on) == ("paid", DAY)


def test_payout_that_moved_no_money_because_it_was_done_before_is_paid(customer, alipay_fake, alipay_channel):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, payout.amount, str(payout.key))
    assert alipay_channel.pay_back(payout).outcome == Outcome.PAID
    assert alipay_fake.books() == ONCE


def test_refund_without_word_of_moved_money_counts_for_nothing(customer, alipay_fake, alipay_channel, monkeypatch):
    payout = alipay_payout(customer, alipay_fake)
    for answer in [{}, {"fund_change": "N"}, {"fund_change": "y"}]:
        said = {**alipay_fake.trades[0].names, "refund_fee": "1200.00", **answer}
        monkeypatch.setattr(alipay_fake, "_refunded", lambda *_, said=said: said)
        with pytest.raises(Unanswered, match="moved no money"):
            alipay_channel.pay_back(payout)


class Clock:
    """Stands in for `time`: it moves only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_worker_asks_twice_within_the_time_of_one_call(customer, alipay_fake, alipay_connect, monkeypatch):
    """A job's lease has room for two calls: the look-up, and this one with both its questions."""
    clock, answer = Clock(), alipay_fake.answer

    def slowly(*asked):
        clock.seconds += 6
        return answer(*asked)

    for module in (alipay_gateway, bounded):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(alipay_fake, "answer", slowly)
    channel = alipay_connect(timeout=10)
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, payout.amount, str(payout.key))
    with pytest.raises(Unanswered, match="too long"):
        channel.pay_back(payout)
    assert len(alipay_fake.requests) == 2
    assert channel.look_up(payout).outcome == Outcome.PAID


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(REFUSALS - ALREADY_REFUNDED))
def test_worker_takes_a_definite_no_for_a_no(customer, alipay_fake, code):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError(code, "不行\x00\n!"))
    work(NOON)
    assert (again(payout).state, again(payout).failure) == ("failed", f"不行 ! ({code})")
    assert request_of(payout).state == "payment_failed"
    assert alipay_fake.books() == []


NOTHING_CERTAIN = [
    ("40004", "ACQ.SYSTEM_ERROR"),
    ("40004", "AQC.SYSTEM_ERROR"),
    ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST"),
    ("40004", "ACQ.REFUND_CHARGE_ERROR"),
    ("40004", "ACQ.SOMETHING_NEW"),
    ("20000", "isp.unknow-error"),
    ("20000", "ACQ.TRADE_NOT_EXIST"),
    ("20001", "aop.invalid-app-auth-token"),
    ("40001", "isv.missing-signature-key"),
    ("40002", "isv.invalid-app-id"),
    ("40003", "isv.something"),
    ("40005", "app-call-limited"),
    ("40006", "isv.insufficient-isv-permissions"),
]


@pytest.mark.parametrize(("code", "sub_code"), NOTHING_CERTAIN)
def test_worker_takes_no_other_answer_for_a_no(customer, alipay_fake, code, sub_code):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError(sub_code, "words", code=code))
    work(NOON)
    assert (again(payout).state, again(payout).trouble) == ("unknown", f"words ({sub_code})")
    work_until(payout, "paid")
    assert alipay_fake.books() == ONCE


def test_refused_payout_is_paid_once_under_the_same_number_when_it_is_tried_again(customer, alipay_fake, sender):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError("ACQ.SELLER_BALANCE_NOT_ENOUGH"))
    work(NOON)
    assert again(payout).state == "failed"
    try_again(payout.pk, by=sender, at=LATER)
    alipay_fake.faults.extend([None, Fault.DROPPED_AFTER])
    work(LATER)
    work_until(payout, "paid", LATER)
    assert alipay_fake.books() == ONCE
    assert {sent["out_request_no"] for sent in wanted(alipay_fake)} == {str(payout.key)}


@pytest.mark.parametrize("code", sorted(ALREADY_REFUNDED))
def test_refusal_of_what_went_back_already_is_for_a_person_to_explain(customer, alipay_fake, sender, code):
    """Alipay lists the refunds of a trade by day alone, so that it may name none."""
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, 200_000, "by-hand")
    alipay_fake.said_next.append(BusinessError(code, "不行"))
    work(NOON)
    waiting = again(payout)
    assert (waiting.state, waiting.handed_over_at, waiting.trouble) == ("sent", NOON, f"不行 ({code})")
    difference = Difference.objects.get()
    assert (difference.kind, difference.state, difference.amount) == ("different_state", "open", None)
    record_failed(payout.pk, "refunded already", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "refunded already", by=sender, at=LATER)
    record_paid(payout.pk, "2026/by-hand", by=sender, at=LATER)
    assert (again(payout).state, Difference.objects.get().state) == ("paid", "healed")


@pytest.mark.parametrize("by_order", [False, True])
def test_refund_without_a_number_of_its_own_is_found_and_filed(customer, alipay_fake, sender, by_order):
    payout = alipay_payout(customer, alipay_fake, by_order=by_order)
    trade = alipay_fake.trades[0]
    alipay_fake.refund(payout.payment.reference, 240_000, trade.order)
    work(NOON)
    assert again(payout).handed_over_at == NOON
    found = Difference.objects.get()
    assert (found.kind, found.amount, found.external_reference) == (
        "missing_here",
        240_000,
        f"{trade.number}/{trade.order}",
    )
    assert found.payment_id == payout.payment_id
    with pytest.raises(AmountsDiffer):
        record_paid(payout.pk, found.external_reference, by=sender, at=LATER)


def test_what_went_back_already_is_asked_again_where_alipay_gave_no_answer(customer, alipay_fake):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, 200_000, "by-hand")
    alipay_fake.faults.extend([None, None, Fault.ERROR_BEFORE])
    work(NOON)
    assert (again(payout).state, again(payout).handed_over_at) == ("unknown", None)
    assert Difference.objects.get().amount is None
    work(LATER)
    assert again(payout).handed_over_at == LATER


def test_refusal_of_what_was_paid_before_is_no_refusal(customer, alipay_fake, alipay_channel):
    """A trade of which everything has gone back is closed, by the very refund that was not answered."""
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, payout.amount, str(payout.key))
    alipay_fake.said_next.append(BusinessError("ACQ.TRADE_HAS_CLOSE"))
    assert alipay_channel.pay_back(payout).outcome == Outcome.PAID


def test_refusal_counts_only_when_the_look_after_it_is_answered(customer, alipay_fake):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError("ACQ.TRADE_HAS_CLOSE"))
    alipay_fake.faults.extend([None, Fault.ERROR_BEFORE])
    work(NOON)
    assert again(payout).state == "unknown"


def test_trade_that_this_application_does_not_know_is_refused_and_tells_nothing_about_an_earlier_try(
    customer, alipay_fake, alipay_channel
):
    """Another application's keys were set meanwhile: what the right one has done is not known."""
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    trades, alipay_fake.trades = alipay_fake.trades, []
    with pytest.raises(Refused, match=r"交易不存在 \(ACQ.TRADE_NOT_EXIST\)"):
        alipay_channel.pay_back(payout)
    work(NOON)
    assert again(payout).state == "unknown"
    alipay_fake.trades = trades
    work_until(payout, "paid")
    assert alipay_fake.books() == ONCE


# --- What came back ----------------------------------------------------------------------------


def test_refund_that_failed_after_all_comes_back_and_is_made_good_under_a_new_number(paid, alipay_fake, sender):
    alipay_fake.return_refund(str(paid.key))
    receive_notification("alipay", alipay_fake.notification(str(paid.key)), {}, at=NOON)
    work(LATER)
    assert (again(paid).state, again(paid).failure) == ("returned", "REFUND_FAIL")
    assert request_of(paid).state == "payment_failed"
    successor = try_again(paid.pk, by=sender, at=LATER)
    work(LATER)
    assert (again(successor).state, request_of(paid).state) == ("paid", "refunded")
    assert alipay_fake.books() == [(120_000, "REFUND_FAIL"), *ONCE]


def test_refund_of_a_second_attempt_comes_back_too(customer, alipay_fake, sender):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError("ACQ.SELLER_BALANCE_NOT_ENOUGH"))
    work(NOON)
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "paid"
    alipay_fake.return_refund(str(payout.key))
    receive_notification("alipay", alipay_fake.notification(str(payout.key)), {}, at=NOON)
    work(LATER)
    assert again(payout).state == "returned"


def test_refund_that_the_bank_would_not_take_is_with_the_customer_all_the_same(paid, alipay_fake, alipay_channel):
    """It goes to the balance of the customer's Alipay account instead: to make it good would be to pay twice."""
    alipay_fake.decline_at_bank(str(paid.key))
    receive_notification("alipay", alipay_fake.notification(str(paid.key)), {}, at=NOON)
    work(LATER)
    assert again(paid).state == "paid"
    assert alipay_channel.look_up(paid).outcome == Outcome.PAID


@pytest.mark.parametrize("status", ["REFUND_FAIL", "REFUND_SUCCESS"])
def test_refund_being_processed_ends_the_payout_when_it_has_ended(customer, alipay_fake, status):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.refund(payout.payment.reference, payout.amount, str(payout.key))
    alipay_fake.refunds[next(iter(alipay_fake.refunds))].status = "REFUND_PROCESSING"
    work(NOON)
    assert again(payout).state == "sent"
    alipay_fake.refunds[next(iter(alipay_fake.refunds))].status = status
    work(LATER)
    assert again(payout).state == ("failed" if status == "REFUND_FAIL" else "paid")


def test_attempt_that_failed_before_does_not_fail_the_next_one(customer, alipay_fake, sender):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.LATE)
    work(NOON)
    alipay_fake.finish_late("REFUND_FAIL")
    work(NOON)
    assert again(payout).state == "failed"
    try_again(payout.pk, by=sender, at=LATER)
    receive_notification("alipay", alipay_fake.notification(str(payout.key)), {}, at=NOON)
    work(LATER)
    assert again(payout).state == "paid"
    assert alipay_fake.books() == ONCE


# --- Notifications -----------------------------------------------------------------------------


def read(channel, body: bytes, at: datetime = NOON) -> Notification | None:
    return channel.read_notification(body, {}, at=at)


@pytest.mark.parametrize("by_order", [False, True])
def test_notification_names_key_and_payment_as_we_store_it(customer, alipay_fake, alipay_channel, by_order):
    payout = alipay_payout(customer, alipay_fake, by_order=by_order)
    work(NOON)
    told = read(alipay_channel, alipay_fake.notification(str(payout.key)))
    assert told == Notification(f"n{payout.key.hex}", payout.payment.reference, str(payout.key))
    [refund] = alipay_channel.ask(told)
    assert (refund.key, refund.payment_reference) == (str(payout.key), payout.payment.reference)
    assert refund.reference == again(payout).external_reference


@pytest.mark.django_db
def test_notification_of_a_trade_that_is_not_ours_goes_by_alipays_number(alipay_fake, alipay_channel):
    reference = alipay_fake.sell(5_000, by_order=True)
    alipay_fake.refund(reference, 300, "by-hand")
    told = read(alipay_channel, alipay_fake.notification("by-hand"))
    trade = alipay_fake.trades[0].number
    assert told.payment_reference == trade
    [refund] = alipay_channel.ask(told)
    assert (refund.reference, refund.key) == (f"{trade}/by-hand", "")
    assert (refund.amount, refund.currency, refund.at) == (300, "CNY", NOON)


@pytest.mark.django_db
def test_refund_without_a_number_goes_by_that_of_the_order(alipay_fake, alipay_channel):
    reference = alipay_fake.sell(5_000)
    alipay_fake.refund(reference, 5_000, alipay_fake.trades[0].order)
    told = read(alipay_channel, alipay_fake.notification(alipay_fake.trades[0].order, out_biz_no=""))
    assert alipay_channel.ask(told)[0].amount == 5_000
    assert list(alipay_channel.ask(Notification("e", reference, "never-seen"))) == []


@pytest.mark.parametrize("is_keyed", [False, True])
def test_refund_made_by_hand_of_a_payment_of_ours_is_none_of_our_payouts(
    paid, customer, alipay_fake, alipay_channel, is_keyed
):
    other = alipay_payout(customer, alipay_fake).payment.reference
    number = str(paid.key) if is_keyed else "by-hand"
    alipay_fake.refund(other, 300, number)
    [refund] = alipay_channel.ask(Notification("e", other, number))
    assert (refund.key, refund.amount, refund.payment_reference) == ("", 300, other)


def test_notification_told_twice_is_looked_after_once(paid, alipay_fake):
    for _ in range(2):
        receive_notification("alipay", alipay_fake.notification(str(paid.key)), {}, at=NOON)
    assert Job.objects.filter(kind="take_notification").count() == 1
    work(NOON)
    assert again(paid).state == "paid"


def test_notification_pays_nothing_by_itself(customer, alipay_fake):
    """What it says is not believed: Alipay is asked, and has nothing."""
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.append(Fault.LATE)
    work(NOON)
    receive_notification("alipay", alipay_fake.notification(str(payout.key)), {}, at=NOON)
    work(NOON)
    assert again(payout).state == "unknown"
    alipay_fake.finish_late()
    work_until(payout, "paid")
    assert alipay_fake.books() == ONCE


OTHER_KINDS = [
    {"notify_type": "open_app_auth_notify"},
    {"notify_type": "servicemarket_order_notify", "notify_time": "", "notify_id": ""},
    # Alipay's message service: other names, and a moment in milliseconds.
    {"notify_type": "", "msg_method": "alipay.fund.trans.order.changed", "notify_time": "", "utc_timestamp": "1"},
]


@pytest.mark.parametrize("changes", OTHER_KINDS)
def test_alipay_is_thanked_for_a_notification_of_an_unknown_type(paid, alipay_fake, client, caplog, changes):
    caplog.set_level(logging.INFO, "payments")
    body = alipay_fake.notification(str(paid.key), **changes)
    answer = client.post("/webhooks/alipay/", body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content) == (200, b"success")
    assert not Job.objects.filter(kind="take_notification").exists()
    assert (changes["notify_type"] or changes["msg_method"]) in caplog.text


@pytest.mark.parametrize("changes", OTHER_KINDS)
def test_stranger_is_refused_whatever_type_of_notification_they_make_up(paid, alipay_fake, client, changes):
    body = alipay_fake.notification(str(paid.key), **changes) + b"&subject2=x"
    answer = client.post("/webhooks/alipay/", body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content) == (400, b"")


def test_notification_without_a_refund_concerns_nobody(paid, alipay_fake, alipay_channel):
    body = alipay_fake.notification(str(paid.key), out_biz_no="", refund_fee="", gmt_refund="")
    assert read(alipay_channel, body) is None


@pytest.mark.parametrize(
    ("age", "is_heard"),
    [
        (timedelta(hours=25), True),
        (timedelta(hours=25, seconds=1), False),
        (timedelta(minutes=-10), True),
        (timedelta(minutes=-10, seconds=-1), False),
    ],
)
def test_notification_is_heard_around_its_time(paid, alipay_fake, alipay_channel, age, is_heard):
    body = alipay_fake.notification(str(paid.key))
    if is_heard:
        assert read(alipay_channel, body, NOON + age)
    else:
        with pytest.raises(Forged, match="another time"):
            read(alipay_channel, body, NOON + age)


@pytest.mark.parametrize(
    "changes",
    [
        {"app_id": "2021000000000002"},
        {"notify_time": ""},
        {"notify_time": "2026-11-23T12:00:00+08:00"},
        {"notify_id": ""},
        {"notify_id": "x" * 101},
        {"notify_id": "a b"},
        {"out_biz_no": "x" * 65},
        {"out_biz_no": "a\nb"},
        {"out_biz_no": "号"},
        {"trade_no": "a b"},
        {"trade_no": "", "out_trade_no": ""},
        {"out_trade_no": "", "out_biz_no": ""},
    ],
)
def test_notification_with_other_contents_is_forged(paid, alipay_fake, alipay_channel, changes):
    with pytest.raises(Forged):
        read(alipay_channel, alipay_fake.notification(str(paid.key), **changes))


def _forged(body: bytes) -> list[bytes]:
    text = body.decode()
    sign = parse_qs(text)["sign"][0]
    return [
        b"",
        b"x",
        b"{}",
        body.replace(b"&sign_type=RSA2", b""),
        body.replace(b"&sign_type=RSA2", b"&sign_type=RSA"),
        re.sub(rb"&sign=[^&]*", b"", body),
        re.sub(rb"&sign=[^&]*", b"&sign=", body),
        re.sub(rb"&sign=[^&]*", b"&sign=AAAA", body),
        re.sub(rb"&sign=[^&]*", b"&sign=%E5%8F%B7", body),
        body.replace(b"refund_fee=1200.00", b"refund_fee=1200.01"),
        body + b"&extra=1",
        body + b"&app_id=" + APP_ID.encode(),
        body + b"&sign=" + sign.encode(),
        body + b"&",
        body + b"&a=%ff",
        body + b"&a=\xff",
        body.decode().encode("utf-16"),
        body + b"&a=" + b"x" * LARGEST_NOTIFICATION,
        body + b"".join(b"&a%d=1" % number for number in range(300)),
    ]


@pytest.mark.parametrize("number", range(19))
def test_forged_notification_is_refused(paid, alipay_fake, alipay_channel, number):
    with pytest.raises(Forged):
        read(alipay_channel, _forged(alipay_fake.notification(str(paid.key)))[number])


def test_notification_that_is_no_plain_form_is_refused_even_when_signed(paid, alipay_fake, alipay_channel):
    key = str(paid.key)
    with pytest.raises(Forged, match="too large"):
        read(alipay_channel, alipay_fake.notification(key, body="x" * LARGEST_NOTIFICATION))
    with pytest.raises(Forged, match="no form"):
        read(alipay_channel, alipay_fake.notification(key, **{f"a{number}": "1" for number in range(200)}))
    with pytest.raises(Forged, match="no form"):
        read(alipay_channel, alipay_fake.notification(key, body="\ufffd").replace(b"%EF%BF%BD", b"%FF"))


def test_notification_signed_with_our_own_key_is_refused(paid, alipay_fake, alipay_channel, monkeypatch):
    monkeypatch.setattr(alipay_fake, "sdk", sdk_of_application())
    with pytest.raises(Forged, match="not signed by Alipay"):
        read(alipay_channel, alipay_fake.notification(str(paid.key)))


# --- Keys --------------------------------------------------------------------------------------


def test_keys_are_nowhere(customer, alipay_fake, alipay_connect, caplog, capsys, tmp_path):
    caplog.set_level(logging.DEBUG)
    channel = alipay_connect(timeout=0.5)
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.faults.extend([Fault.DROPPED_AFTER, Fault.WRONG_SIGNATURE, Fault.GARBAGE_AFTER, Fault.TIMEOUT_AFTER])
    alipay_fake.said_next.append(BusinessError("ACQ.SYSTEM_ERROR"))
    work_until(payout, "paid")
    dump = tmp_path / "dump.json"
    call_command("dumpdata", output=str(dump), verbosity=0)
    sent = b"".join(request.body + str(request).encode() for request in alipay_fake.requests).decode()
    said = caplog.text + "".join(capsys.readouterr()) + dump.read_text() + sent + repr(vars(channel)) + repr(channel)
    for pair in key_pairs():
        for key in (pair.private, pair.public):
            assert not any(line in said for line in key.splitlines()[1:-1])
