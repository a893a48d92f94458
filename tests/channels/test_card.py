"""Cards: every payout exactly once by Stripe's own books, whatever goes wrong on the way."""

import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import transaction

from certificates.models import Certificate
from core.models import Job
from payments import channels
from payments.channels import AlreadyRefunded, Outcome, Refused, Unanswered
from payments.channels.base import Notification
from payments.channels.card import CardChannel
from payments.exceptions import RefundFound
from payments.models import Difference, Payment, Payout
from payments.services import (
    dismiss_difference,
    not_possible,
    record_failed,
    record_paid,
    take_in,
    try_again,
)
from payments.states import Channel
from refunds.models import RefundRequest
from tests import factories
from tests.channels.conftest import stripe_payout, work
from tests.channels.fake_stripe import API_KEY, WEBHOOK_SECRET, StripeError
from tests.channels.server import Answer, Fault
from tests.factories import NOON
from tests.importing.files import EXAMPLES, run

pytestmark = pytest.mark.usefixtures("stripe_channel")

LATER = NOON + timedelta(hours=1)
ONCE = [(120_000, "succeeded")]


@pytest.fixture
def sender(db):
    return factories.staff("sender", "payments.send_payout", "payments.record_payout")


def again(thing):
    return type(thing).objects.get(pk=thing.pk)


def request_of(payout: Payout) -> RefundRequest:
    return RefundRequest.objects.get(reference=payout.reference)


def posts(fake) -> list:
    return [request for request in fake.requests if request.method == "POST"]


def work_until(payout: Payout, state: str, at: datetime = NOON) -> None:
    for _ in range(8):
        work(at)
        if again(payout).state == state:
            return
    pytest.fail(f"{again(payout).state}: {again(payout).trouble}")


# --- Paying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pi", "ch", "py"])
def test_worker_pays_intents_and_charges_back_once(customer, stripe_fake, kind):
    payout = stripe_payout(customer, stripe_fake, kind=kind)
    assert payout.payment.reference.startswith(f"{kind}_")
    assert work(NOON) == 1
    paid = again(payout)
    assert (paid.state, paid.external_reference) == ("paid", next(iter(stripe_fake.refunds)))
    assert request_of(payout).state == "refunded"
    assert stripe_fake.books() == ONCE
    assert work(LATER) == 0


def test_worker_books_the_day_of_stripe_and_not_that_of_the_service(customer, stripe_fake):
    stripe_fake.now = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    payout = stripe_payout(customer, stripe_fake)
    work(stripe_fake.now + timedelta(hours=1))
    assert again(payout).booked_on == date(2026, 11, 23)


def test_worker_writes_key_and_attempt_on_the_refund(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    work(NOON)
    [refund] = stripe_fake.refunds.values()
    assert refund["metadata"] == {"payout": str(payout.key), "attempt": "1"}
    assert posts(stripe_fake)[0].headers["Idempotency-Key"] == str(payout.key)


@pytest.mark.parametrize(
    ("currency", "ours", "theirs"),
    [
        ("CNY", 1234, 1234),
        ("JPY", 1234, 1234),
        ("KWD", 1230, 1230),
        ("ISK", 12, 1200),
        ("UGX", 12, 1200),
        ("MGA", 1200, 12),
    ],
)
def test_worker_counts_in_the_units_of_stripe(customer, stripe_fake, currency, ours, theirs):
    payout = stripe_payout(customer, stripe_fake, amount=ours, currency=currency)
    stripe_fake.sales[0] = stripe_fake.sales[0].__class__(payout.payment.reference, "ch_1", 9999, currency.lower())
    work(NOON)
    assert again(payout).state == "paid"
    assert stripe_fake.books() == [(theirs, "succeeded")]


def test_three_certificates_of_one_payment_in_dinars_are_each_paid_back(db, stripe_fake, tmp_path, frozen):
    reference = stripe_fake.sell(10_000, "KWD")
    file = tmp_path / "orders.csv"
    file.write_text((EXAMPLES / "import-kwd-card-three.csv").read_text().replace("pi_KWDorder22", reference))
    assert run(file).code == 0
    for certificate in Certificate.objects.order_by("position"):
        factories.submit(certificate, at=certificate.purchased_at)
        work(certificate.purchased_at)
    assert stripe_fake.books() == [(3340, "succeeded"), (3330, "succeeded"), (3330, "succeeded")]
    assert set(RefundRequest.objects.values_list("state", flat=True)) == {"refunded"}


@pytest.mark.parametrize(
    ("currency", "amount", "step"), [("KWD", 3334, "KWD 0.010"), ("MGA", 1250, "MGA 1.00"), ("BHD", 1, "BHD 0.010")]
)
def test_an_amount_that_stripe_cannot_refund_goes_to_staff_and_never_to_stripe(
    customer, stripe_fake, currency, amount, step
):
    payout = stripe_payout(customer, stripe_fake, amount=amount, currency=currency)
    work(NOON)
    assert stripe_fake.requests == []
    handed_over = again(payout)
    assert (handed_over.state, handed_over.first_sent_at) == ("ordered", None)
    assert handed_over.handed_over_at
    assert handed_over.trouble == (
        f"This channel only refunds multiples of {step}, so the console can't send {payout.money}. Pay the customer "
        "another way, such as by bank transfer, then record the payout as paid with the transfer's reference."
    )


@pytest.mark.parametrize("reference", ["card-17", "", "pi_", "pi_1/../x", "re_1", "PI_1", "pi_1\n", "pi_€"])
def test_worker_is_refused_a_payment_that_is_not_stripes(customer, stripe_fake, sender, reference):
    payout = stripe_payout(customer, stripe_fake)
    Payment.objects.update(reference=reference)
    work(NOON)
    assert again(payout).state == "failed"
    assert again(payout).failure.startswith("The payment's reference is not one of Stripe's")
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "failed"
    assert stripe_fake.requests == []


def test_nothing_is_looked_for_under_a_reference_that_is_not_stripes(customer, stripe_fake, stripe_channel):
    payout = stripe_payout(customer, stripe_fake)
    payout.payment.reference = "card-17"
    assert stripe_channel.look_up(payout) is None
    assert stripe_fake.requests == []


def test_refund_made_by_hand_is_not_taken_for_the_payout(customer, stripe_fake, stripe_channel):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.ERROR_BEFORE)
    work(NOON)
    stripe_fake.refund(payout.payment.reference, 120_000)
    assert stripe_channel.look_up(again(payout)) is None
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE * 2


def test_each_part_of_one_payment_is_found_as_itself(customer, stripe_fake, stripe_channel):
    parts = factories.bought_together(customer, [70_000, 50_000], {"card": 120_000})
    Payment.objects.update(reference=stripe_fake.sell(120_000))
    for part in parts:
        factories.submit(part)
    work(NOON)
    assert stripe_fake.books() == [(70_000, "succeeded"), (50_000, "succeeded")]
    for payout in Payout.objects.all():
        assert stripe_channel.look_up(payout).amount == payout.amount
        assert stripe_channel.look_up(payout).reference == payout.external_reference


# --- What goes wrong on the way ----------------------------------------------------------------

SLOW = {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}
FAULTS = sorted(set(Fault) - {Fault.LATE, Fault.WRONG_SIGNATURE})


@pytest.mark.parametrize("fault", FAULTS)
def test_worker_pays_once_whatever_befalls_the_call(customer, stripe_fake, stripe_connect, fault):
    stripe_connect(timeout=0.2 if fault in SLOW else 10)
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(fault)
    work(NOON)
    assert (again(payout).state, request_of(payout).state) == ("unknown", "paying")
    assert again(payout).trouble
    stripe_connect()
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE
    assert request_of(payout).state == "refunded"
    assert again(payout).trouble == ""


@pytest.mark.parametrize("second", FAULTS)
@pytest.mark.parametrize("first", [Fault.ERROR_BEFORE, Fault.DROPPED_AFTER])
def test_worker_pays_once_when_the_look_up_fails_too(customer, stripe_fake, stripe_connect, first, second):
    stripe_connect(timeout=0.2 if second in SLOW else 10)
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.extend([first, second, second])
    for _ in range(3):
        work(NOON)
        assert again(payout).state == "unknown"
    # After a look-up that was not answered nothing is sent.
    assert len(posts(stripe_fake)) == 1
    stripe_connect()
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE


def test_worker_sends_again_only_what_stripe_has_never_seen(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.ERROR_AFTER)
    work(NOON)
    work_until(payout, "paid")
    assert len(posts(stripe_fake)) == 1


def test_payout_taken_on_is_paid_when_a_later_look_says_so(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    for _ in range(3):
        work(NOON)
        assert again(payout).state == "sent"
    assert again(payout).external_reference in stripe_fake.refunds
    stripe_fake.finish_late()
    work_until(payout, "paid", LATER)
    assert stripe_fake.books() == ONCE


@pytest.mark.parametrize("hours", [13, 25])
def test_key_that_stripe_has_forgotten_is_looked_up_and_not_sent_again(customer, stripe_fake, hours):
    payout = _lost_and_old(customer, stripe_fake, hours)
    work_until(payout, "paid", stripe_fake.now)
    assert stripe_fake.books() == ONCE
    assert again(payout).booked_on == date(2026, 11, 23)


def test_without_the_look_up_a_forgotten_key_would_pay_twice(customer, stripe_fake, monkeypatch):
    """The one above would be nothing worth if the fake did not do what Stripe does."""
    monkeypatch.setattr(CardChannel, "look_up", lambda *_: None)
    payout = _lost_and_old(customer, stripe_fake, 25)
    work_until(payout, "paid", stripe_fake.now)
    assert stripe_fake.books() == ONCE * 2


def _lost_and_old(customer, fake, hours) -> Payout:
    payout = stripe_payout(customer, fake)
    fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    fake.now = NOON + timedelta(hours=hours)
    return payout


def test_error_that_stripe_repeats_for_a_key_waits_until_it_is_forgotten(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.said_next.append((StripeError(500, "api_error", "An unknown error occurred"), True))
    for _ in range(3):
        work(NOON)
        assert again(payout).state == "unknown"
    stripe_fake.now = NOON + timedelta(hours=24)
    work_until(payout, "paid", stripe_fake.now)
    assert stripe_fake.books() == ONCE


def test_payment_that_this_account_of_stripe_does_not_know_tells_nothing_about_an_earlier_try(customer, stripe_fake):
    """Another account's key was set meanwhile: what the right one has done is not known."""
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    sales, stripe_fake.sales = stripe_fake.sales, []
    work(NOON)
    assert again(payout).state == "unknown"
    stripe_fake.sales = sales
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE


# --- Refusals ----------------------------------------------------------------------------------


def test_refused_payout_is_paid_once_when_it_is_tried_again(customer, stripe_fake, sender):
    """Stripe would repeat its refusal under the old key."""
    payout = _refused(customer, stripe_fake)
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "paid"
    assert stripe_fake.books() == ONCE
    keys = [request.headers["Idempotency-Key"] for request in posts(stripe_fake)]
    assert keys == [str(payout.key), f"{payout.key}-2"]


REFUNDED_ELSEWHERE = [
    (240_000, "has already been refunded"),
    (200_000, "greater than unrefunded amount"),
]


@pytest.mark.parametrize(("amount", "words"), REFUNDED_ELSEWHERE)
def test_refusal_of_what_went_back_already_files_it_and_hands_the_payout_to_staff(
    customer, stripe_fake, sender, amount, words
):
    """Somebody gave the money back in Stripe's dashboard, and no webhook came."""
    payout = stripe_payout(customer, stripe_fake)
    by_hand = stripe_fake.refund(payout.payment.reference, amount)
    work(NOON)
    waiting = again(payout)
    assert (waiting.state, waiting.handed_over_at, request_of(payout).state) == ("sent", NOON, "paying")
    assert words in waiting.trouble
    found = Difference.objects.get()
    assert (found.kind, found.state, found.external_reference, found.amount) == (
        "missing_here",
        "open",
        by_hand,
        amount,
    )
    assert found.payment_id == payout.payment_id
    assert work(LATER) == 0
    with pytest.raises(RefundFound):
        try_again(payout.pk, by=sender, at=LATER)


def test_refund_of_the_payouts_amount_found_at_stripe_is_recorded_as_the_payout(customer, stripe_fake, sender):
    payout = stripe_payout(customer, stripe_fake)
    by_hand = _refunded_by_hand(payout, stripe_fake)
    record_failed(payout.pk, "refunded already", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "refunded already", by=sender, at=LATER)
    record_paid(payout.pk, by_hand, by=sender, at=LATER)
    assert (again(payout).state, request_of(payout).state, Difference.objects.get().state) == (
        "paid",
        "refunded",
        "healed",
    )
    assert stripe_fake.books() == ONCE


def _refunded_by_hand(payout, fake) -> str:
    """All of a charge of the payout's amount went back in the dashboard, and the worker was refused."""
    fake.sales[0] = replace(fake.sales[0], amount=payout.amount)
    by_hand = fake.refund(payout.payment.reference, payout.amount)
    work(NOON)
    assert again(payout).handed_over_at
    return by_hand


def test_refund_found_at_stripe_that_comes_back_lets_the_payout_go_under_a_new_key(customer, stripe_fake, sender):
    """Stripe would repeat its refusal under the old key."""
    payout = stripe_payout(customer, stripe_fake)
    by_hand = _refunded_by_hand(payout, stripe_fake)
    stripe_fake.return_refund(by_hand)
    told = Notification("evt_1", payout.payment.reference, by_hand)
    with transaction.atomic():
        for refund in channels.connected(Channel.CARD).ask(told):
            take_in(Channel.CARD, refund, at=LATER)
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "paid"
    assert stripe_fake.books()[1:] == ONCE
    keys = [request.headers["Idempotency-Key"] for request in posts(stripe_fake)]
    assert keys == [str(payout.key), f"{payout.key}-2"]


def test_refusal_of_what_went_back_already_counts_only_once_stripe_says_what_that_was(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.refund(payout.payment.reference, 240_000)
    stripe_fake.faults.extend([None, Fault.ERROR_BEFORE])
    work(NOON)
    assert (again(payout).state, again(payout).handed_over_at) == ("unknown", None)
    assert Difference.objects.get().amount is None
    work(LATER)
    assert again(payout).handed_over_at == LATER
    assert [each.kind for each in Difference.objects.order_by("id")] == ["different_state", "missing_here"]


def test_refusal_that_no_refund_at_stripe_explains_is_for_a_person_to_explain(customer, stripe_fake, sender):
    """The charge was for less than our books say."""
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.sales[0] = replace(stripe_fake.sales[0], amount=100_000)
    work(NOON)
    assert again(payout).handed_over_at == NOON
    difference = Difference.objects.get()
    assert (difference.kind, difference.amount, difference.payout) == ("different_state", None, payout)
    record_failed(payout.pk, "charged less", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "charged less", by=sender, at=LATER)
    dismiss_difference(difference.pk, "The charge was for 1,000.00.", by=sender, at=LATER)
    not_possible(payout.pk, "charged less", by=sender, at=LATER)
    assert request_of(payout).state == "failed"


def test_refund_under_our_own_key_that_a_look_up_missed_pays_the_payout(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.sales[0] = replace(stripe_fake.sales[0], amount=payout.amount)
    stripe_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    stripe_fake.hidden.update(stripe_fake.refunds)
    stripe_fake.forget_keys()
    refuse = stripe_fake._make

    def show_and_refuse(*wanted):
        stripe_fake.hidden.clear()
        return refuse(*wanted)

    stripe_fake._make = show_and_refuse
    work(NOON)
    assert (again(payout).state, Difference.objects.count()) == ("paid", 0)
    assert stripe_fake.books() == ONCE


@pytest.mark.parametrize("code", ["charge_already_refunded", None])
def test_channel_tells_a_refund_of_what_went_back_already_from_another_refusal(
    customer, stripe_fake, stripe_channel, code
):
    payout = stripe_payout(customer, stripe_fake)
    words = "No, because." if code else "Refund amount ($9) is greater than unrefunded amount on charge ($8)"
    stripe_fake.said_next.append((StripeError(400, NO, words, code), False))
    with pytest.raises(AlreadyRefunded):
        stripe_channel.pay_back(payout)


def test_attempt_after_a_refusal_keeps_its_own_key_at_every_try(customer, stripe_fake, sender):
    payout = _refused(customer, stripe_fake)
    try_again(payout.pk, by=sender, at=LATER)
    stripe_fake.faults.extend([Fault.ERROR_BEFORE, Fault.ERROR_BEFORE, None, Fault.DROPPED_AFTER])
    work_until(payout, "paid", LATER)
    assert stripe_fake.books() == ONCE
    assert {request.headers["Idempotency-Key"] for request in posts(stripe_fake)[1:]} == {f"{payout.key}-2"}


def _refused(customer, fake) -> Payout:
    payout = stripe_payout(customer, fake)
    fake.said_next.append((StripeError(402, "card_error", "The card cannot be refunded.", "card_declined"), True))
    work(NOON)
    assert (again(payout).state, again(payout).failure) == ("failed", "The card cannot be refunded.")
    return payout


def test_payout_recorded_as_failed_that_was_paid_is_found_when_it_is_tried_again(customer, stripe_fake, sender):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    Payout.objects.update(handed_over_at=NOON)
    record_failed(payout.pk, "nothing to be seen", by=sender, at=NOON)
    try_again(payout.pk, by=sender, at=LATER)
    work(LATER)
    assert again(payout).state == "paid"
    assert stripe_fake.books() == ONCE


def test_refund_that_failed_while_pending_fails_the_payout_and_not_the_next_attempt(customer, stripe_fake, sender):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    work(NOON)
    stripe_fake.finish_late("failed")
    work(NOON)
    assert (again(payout).state, again(payout).failure) == ("failed", "declined")
    try_again(payout.pk, by=sender, at=LATER)
    stripe_fake.faults.extend([None, Fault.ERROR_BEFORE])
    work(LATER)
    assert again(payout).state == "unknown"
    work_until(payout, "paid", LATER)
    assert stripe_fake.books() == [(120_000, "failed"), (120_000, "succeeded")]


NO = "invalid_request_error"
DEFINITE = [
    (400, NO, "resource_missing"),
    (404, NO, "resource_missing"),
    (400, NO, "amount_too_large"),
    (400, NO, None),
    (402, "card_error", "card_declined"),
    (402, NO, None),
]
NOTHING_CERTAIN = [
    (400, "idempotency_error", None),
    (400, NO, "rate_limit"),
    (400, NO, "lock_timeout"),
    (400, "something_new", None),
    (401, NO, "api_key_expired"),
    (403, NO, None),
    (409, NO, "idempotency_key_in_use"),
    (409, NO, "lock_timeout"),
    (418, NO, None),
    (424, "api_error", None),
    (429, NO, "rate_limit"),
    (429, NO, "lock_timeout"),
    (500, "api_error", None),
    (503, NO, None),
    (504, "api_error", None),
]


@pytest.mark.parametrize(("status", "kind", "code"), DEFINITE)
def test_channel_takes_a_clear_no_for_a_refusal(customer, stripe_fake, stripe_channel, status, kind, code):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.said_next.append((StripeError(status, kind, "No, because.", code), False))
    with pytest.raises(Refused, match=r"^No, because\.$"):
        stripe_channel.pay_back(payout)


@pytest.mark.parametrize(("status", "kind", "code"), NOTHING_CERTAIN)
def test_worker_takes_nothing_else_for_a_refusal(customer, stripe_fake, status, kind, code):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.said_next.append((StripeError(status, kind, "Not now.", code), False))
    work(NOON)
    assert (again(payout).state, again(payout).trouble) == ("unknown", "Not now.")
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE


NONSENSE = [
    b"",
    b"[]",
    b"{}",
    b"null",
    b'"paid"',
    b"\xff\xfe",
    b"\x00" * 9,
    b'{"error": "no"}',
    b'{"object": "refund"}',
    b'{"object": "list", "data": [{"object": "refund"}], "has_more": false}',
    b'{"object": "list", "data": [], "has_more": true}',
    b'{"object": "list", "data": null, "has_more": false}',
    b"[" * 100_000,
    b'{"object": "refund", "amount": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("status", [200, 400, 402])
@pytest.mark.parametrize("body", NONSENSE)
def test_channel_takes_nonsense_for_no_answer(customer, stripe_fake, stripe_channel, body, status):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.answer = lambda *_: Answer(body, status)
    told = Notification("evt_1", payout.payment.reference, "re_1")
    for ask in (stripe_channel.pay_back, stripe_channel.look_up):
        with pytest.raises(Unanswered) as words:
            ask(payout)
        assert str(words.value).isprintable()
    with pytest.raises(Unanswered):
        stripe_channel.ask(told)
    with pytest.raises(Unanswered):
        list(stripe_channel.refunds_on(NOON.date()))


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "won"},
        {"status": None},
        {"id": "re/1"},
        {"id": 7},
        {"currency": None},
        {"amount": "1"},
        {"created": 10**30},
        {"object": "charge"},
        {"metadata": None},
        {"metadata": {"payout": "another"}},
    ],
)
def test_channel_takes_half_an_answer_for_none(customer, stripe_fake, stripe_channel, changed):
    payout = stripe_payout(customer, stripe_fake)
    work(NOON)
    [refund] = stripe_fake.refunds.values()
    refund.update(changed)
    stripe_fake.forget_keys()
    stripe_fake._make = lambda *_: refund
    with pytest.raises(Unanswered):
        stripe_channel.pay_back(payout)


def test_part_of_a_minor_unit_is_not_understood(customer, stripe_fake, stripe_channel):
    """Stripe has such refunds of krónur from before 2023."""
    stripe_fake.refund(stripe_fake.sell(4010, "ISK"), 4010)
    with pytest.raises(Unanswered, match="4010"):
        list(stripe_channel.refunds_on(NOON.date()))


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_refund_under_way_leaves_the_payout_sent(customer, stripe_fake, stripe_channel, status):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    work(NOON)
    stripe_fake.finish_late(status)
    assert stripe_channel.look_up(again(payout)).outcome == Outcome.PENDING


# --- What comes back ---------------------------------------------------------------------------


def test_refund_recorded_by_hand_is_looked_up_by_its_own_number(customer, stripe_fake, stripe_channel, sender):
    payout = stripe_payout(customer, stripe_fake)
    Payout.objects.update(handed_over_at=NOON)
    by_hand = stripe_fake.refund(payout.payment.reference, 120_000)
    record_paid(payout.pk, by_hand, by=sender, at=NOON)
    assert stripe_channel.look_up(again(payout)).outcome == Outcome.PAID
    stripe_fake.return_refund(by_hand)
    found = stripe_channel.look_up(again(payout))
    assert (found.outcome, found.reason) == (Outcome.FAILED, "lost_or_stolen_card")


def test_failed_attempt_says_nothing_about_a_payout_that_was_made_elsewhere(
    customer, stripe_fake, stripe_channel, sender
):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    work(NOON)
    Payout.objects.update(handed_over_at=NOON)
    record_paid(payout.pk, "cheque 17", by=sender, at=NOON)
    stripe_fake.finish_late("failed")
    assert stripe_channel.look_up(again(payout)) is None
    assert stripe_channel.ask(Notification("evt_1", payout.payment.reference)) == []


# --- Lists -------------------------------------------------------------------------------------


def test_look_up_turns_every_page(customer, stripe_fake, stripe_channel):
    payout = stripe_payout(customer, stripe_fake)
    work(NOON)
    for _ in range(201):
        stripe_fake.refund(payout.payment.reference, 1)
    assert stripe_channel.look_up(again(payout)).reference == again(payout).external_reference


def test_look_up_prefers_what_was_paid(customer, stripe_fake, stripe_channel):
    """Twice paid is for reconciliation; here it must not look like failed."""
    payout = stripe_payout(customer, stripe_fake)
    work(NOON)
    metadata = next(iter(stripe_fake.refunds.values()))["metadata"]
    stripe_fake.return_refund(stripe_fake.refund(payout.payment.reference, 120_000, **metadata))
    payout.external_reference = ""
    assert stripe_channel.look_up(payout).outcome == Outcome.PAID


def test_list_of_a_day_is_one_of_stripes_days(customer, stripe_fake, stripe_channel):
    payment = stripe_payout(customer, stripe_fake).payment
    for hour in (-1, 0, 23, 24):
        stripe_fake.now = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=hour)
        stripe_fake.refund(payment.reference, 100 + hour)
    refunds = list(stripe_channel.refunds_on(date(2026, 11, 24)))
    assert sorted(refund.amount for refund in refunds) == [100, 123]
    assert {refund.at.date() for refund in refunds} == {date(2026, 11, 24)}


def test_list_of_a_day_has_every_page(customer, stripe_fake, stripe_channel):
    payment = stripe_payout(customer, stripe_fake).payment
    for _ in range(205):
        stripe_fake.refund(payment.reference, 1)
    refunds = list(stripe_channel.refunds_on(NOON.date()))
    assert len({refund.reference for refund in refunds}) == len(refunds) == 205


@pytest.mark.parametrize("kind", ["pi", "ch"])
def test_list_names_payments_as_we_do(customer, stripe_fake, stripe_channel, kind):
    reference = stripe_fake.sell(1000)
    ours = reference if kind == "pi" else stripe_fake.charge_of(reference)
    factories.order(customer, {"card": 1000}, at=NOON)
    Payment.objects.update(reference=ours)
    stripe_fake.refund(reference, 1000)
    [refund] = stripe_channel.refunds_on(NOON.date())
    assert (refund.payment_reference, refund.key, refund.outcome) == (ours, "", Outcome.PAID)


def test_list_names_a_payment_that_is_not_ours_as_stripe_does(stripe_fake, stripe_channel, db):
    reference = stripe_fake.sell(1000)
    stripe_fake.refund(reference, 1000)
    assert [refund.payment_reference for refund in stripe_channel.refunds_on(NOON.date())] == [reference]


@pytest.mark.parametrize("key", ["", "x", "urn:uuid:", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "\x00"])
def test_key_that_no_payout_has_is_none_of_ours(stripe_fake, stripe_channel, db, key):
    stripe_fake.refund(stripe_fake.sell(1000), 1000, payout=key, attempt="1")
    [refund] = stripe_channel.refunds_on(NOON.date())
    assert refund.key == ""


def test_list_leaves_out_attempts_that_another_has_replaced(customer, stripe_fake, stripe_channel, sender):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    work(NOON)
    stripe_fake.finish_late("failed")
    work(NOON)
    assert list(stripe_channel.refunds_on(NOON.date())) == []
    try_again(payout.pk, by=sender, at=NOON)
    work(NOON)
    [refund] = stripe_channel.refunds_on(NOON.date())
    assert (refund.outcome, refund.key, refund.reference) == (
        Outcome.PAID,
        str(payout.key),
        again(payout).external_reference,
    )


# --- Secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["sk_live_wrongButSecret", "rk_live_wrongButSecret", "sk_live_x\nhidden", "käseschlüssel"]
)
def test_secrets_are_neither_stored_nor_logged(customer, stripe_fake, stripe_connect, caplog, tmp_path, key):
    """The fake repeats the whole key, and a key that is no header is repeated by whoever finds out."""
    caplog.set_level(logging.DEBUG)
    payout = stripe_payout(customer, stripe_fake)
    stripe_connect(key)
    for _ in range(2):
        work(NOON)
    assert (again(payout).state, again(payout).failure) == ("unknown", "")
    assert again(payout).trouble
    assert Job.objects.get(kind="pay_payout").last_error
    dump = tmp_path / "dump.json"
    call_command("dumpdata", output=str(dump))
    for text in (dump.read_text(), caplog.text):
        for secret in ("wrongButSecret", "hidden", "käse", API_KEY, WEBHOOK_SECRET):
            assert secret not in text


def test_wrong_key_keeps_payouts_waiting_until_it_is_put_right(customer, stripe_fake, stripe_connect):
    payout = stripe_payout(customer, stripe_fake)
    stripe_connect("sk_test_wrong")
    work(NOON)
    assert (again(payout).state, request_of(payout).state) == ("unknown", "paying")
    stripe_connect()
    work_until(payout, "paid")
    assert stripe_fake.books() == ONCE


def test_sdk_tells_stripe_nothing_of_the_machine(customer, stripe_fake):
    stripe_payout(customer, stripe_fake)
    work(NOON)
    [request] = stripe_fake.requests
    assert "telemetry" not in str(request.headers).lower()
    assert "platform" not in request.headers["X-Stripe-Client-User-Agent"]


# --- Connecting --------------------------------------------------------------------------------


@pytest.fixture
def not_connected(monkeypatch, settings):
    monkeypatch.setattr(channels, "_CONNECTED", {})
    settings.STRIPE_API_KEY = ""
    return settings


def test_channel_without_a_key_is_not_connected_and_says_what_is_missing(not_connected):
    channels.connect()
    assert channels.connected(Channel.CARD) is None
    assert channels.missing_settings(Channel.CARD) == ["STRIPE_API_KEY"]
    assert channels.missing_settings(Channel.BALANCE) == channels.missing_settings(Channel.BANK) == []


def test_channel_is_connected_by_its_settings_and_let_go_without_them(not_connected):
    not_connected.STRIPE_API_KEY = API_KEY
    channels.connect()
    assert isinstance(channels.connected(Channel.CARD), CardChannel)
    assert channels.missing_settings(Channel.CARD) == []
    not_connected.STRIPE_API_KEY = ""
    channels.connect()
    assert channels.connected(Channel.CARD) is None


def test_payouts_wait_while_stripe_is_not_connected(customer, stripe_fake, not_connected):
    payout = stripe_payout(customer, stripe_fake)
    assert work(NOON) == 0
    assert (again(payout).state, request_of(payout).state) == ("ordered", "approved")


def test_connection_stands_in_for_a_channel_only_for_its_block(not_connected, stripe_channel):
    other = CardChannel(API_KEY, url="http://127.0.0.1:9")
    for before in (channels.connected(Channel.CARD), None):
        with pytest.raises(ZeroDivisionError), channels.standing_in(Channel.CARD, other):
            assert channels.connected(Channel.CARD) is other
            raise ZeroDivisionError
        assert channels.connected(Channel.CARD) is before
        channels._CONNECTED.pop(Channel.CARD, None)
