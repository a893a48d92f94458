"""The worker's way with a channel: ask once, look up before asking again, and hand over what does not get done."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from core import jobs
from core.models import Job, User
from payments import channels
from payments.channels import ChannelRefund, Outcome
from payments.exceptions import DayImpossible, NotYours, PayoutMoved, RefundFound
from payments.models import Difference, LedgerEntry, Payout
from payments.services import (
    DifferenceMoved,
    hand_over,
    keep_difference,
    not_possible,
    pay_payout,
    queue_waiting,
    reconcile,
    record_failed,
    record_paid,
    record_returned,
    take_in,
    try_again,
)
from payments.states import Channel
from refunds.exceptions import RefundedOutside
from refunds.models import RefundRequest
from refunds.services import approve_refund
from tests import factories
from tests.factories import NOON
from tests.money import scripted
from tests.money.scripted import ScriptedChannel, work

LATER = NOON + timedelta(hours=13)
CARD = {"card": 120_000}


@pytest.fixture
def card(monkeypatch) -> ScriptedChannel:
    return scripted.connect(monkeypatch)


@pytest.fixture
def sender(db) -> User:
    return factories.staff("sender", "payments.send_payout", "payments.record_payout", "payments.view_payout")


def ordered(account: User, **payments: int) -> Payout:
    request = factories.submit(factories.certificate(account, payments=payments or CARD))
    return Payout.objects.filter(reference=request.reference).order_by("id")[0]


def again(payout: Payout) -> Payout:
    return Payout.objects.select_related("payment").get(pk=payout.pk)


def request_of(payout: Payout) -> RefundRequest:
    return RefundRequest.objects.select_related("certificate").get(reference=payout.reference)


def causes(payout: Payout) -> list[str]:
    return [cause.removeprefix("payout_") for cause in payout.entries.order_by("id").values_list("cause", flat=True)]


# --- Nothing is paid twice ---------------------------------------------------------------------


def test_first_try_asks_the_channel_without_looking_up(customer, card):
    payout = ordered(customer)
    work()
    assert card.calls() == ["pay_back"]
    paid = again(payout)
    assert (paid.state, paid.external_reference, paid.first_sent_at) == ("paid", f"re-{payout.key}", NOON)


def test_try_without_an_answer_is_unknown_and_the_next_one_looks_up_and_does_not_send(customer, card):
    payout = ordered(customer)
    card.script.append("paid, no answer")
    work()
    unknown = again(payout)
    assert (unknown.state, unknown.trouble) == ("unknown", "timed out")
    assert request_of(payout).state == "paying"
    work(at=LATER)
    assert card.calls() == ["pay_back", "look_up"]
    assert (again(payout).state, again(payout).trouble) == ("paid", "")
    assert card.paid() == [str(payout.key)]


def test_key_that_the_channel_never_saw_is_sent_again_unchanged(customer, card):
    payout = ordered(customer)
    card.script.append(scripted.silent())
    work()
    work(at=LATER)
    assert card.asked == [(call, str(payout.key)) for call in ("pay_back", "look_up", "pay_back")]
    assert again(payout).state == "paid"


def test_nothing_is_sent_while_the_look_up_has_no_answer(customer, card):
    payout = ordered(customer)
    card.script.extend([scripted.silent()] * 4)
    for _ in range(4):
        work(at=LATER)
    assert card.calls() == ["pay_back", "look_up", "look_up", "look_up"]
    assert again(payout).state == "unknown"


def test_worker_that_died_after_taking_the_payout_up_is_followed_by_one_that_looks_up(customer, card):
    payout = ordered(customer)
    Payout.objects.filter(pk=payout.pk).update(state="sent", first_sent_at=NOON)
    card.set(again(payout), Outcome.PAID)
    work(at=LATER)
    assert card.calls() == ["look_up"]
    assert again(payout).state == "paid"


def test_payout_paid_by_one_worker_is_not_made_unknown_by_a_slower_one(customer, card):
    payout = ordered(customer)
    card.script.append(scripted.silent())
    slow = pay_payout({"payout": payout.pk}, at=NOON)
    pay_payout({"payout": payout.pk}, at=NOON)()
    assert slow() is None
    assert again(payout).state == "paid"
    assert LedgerEntry.objects.filter(payout=payout, cause="payout_paid").count() == 1


# --- What the channel may say ------------------------------------------------------------------


def test_refused_payout_has_failed_and_its_amount_is_here_again(customer, card):
    payout = ordered(customer)
    card.script.append(scripted.refused())
    work()
    failed = again(payout)
    assert (failed.state, failed.failure, failed.refusals) == ("failed", "the charge is disputed", 1)
    assert failed.payment.ordered_back == 0
    assert causes(payout) == ["ordered", "failed"]
    assert request_of(payout).state == "payment_failed"
    assert Job.objects.get(kind="pay_payout").state == Job.State.DONE


def test_pending_payout_stays_sent_and_is_looked_up_until_it_is_paid(customer, card):
    payout = ordered(customer)
    card.script.append(Outcome.PENDING)
    work()
    assert (again(payout).state, again(payout).external_reference) == ("sent", f"re-{payout.key}")
    job = Job.objects.get(kind="pay_payout")
    assert (job.state, job.attempts) == (Job.State.QUEUED, 0)
    card.set(again(payout), Outcome.PAID)
    work(at=LATER)
    assert card.calls() == ["pay_back", "look_up"]
    assert (again(payout).state, request_of(payout).state) == ("paid", "refunded")


def test_pending_payout_that_fails_at_last_has_failed(customer, card):
    payout = ordered(customer)
    card.script.append(Outcome.PENDING)
    work()
    card.set(again(payout), Outcome.FAILED, reason="expired card")
    work(at=LATER)
    assert (again(payout).state, again(payout).failure) == ("failed", "expired card")


def test_refund_of_another_amount_is_handed_to_a_person_and_not_booked(customer, card):
    payout = ordered(customer)
    card.set(payout, Outcome.PAID, amount=1)
    Payout.objects.filter(pk=payout.pk).update(first_sent_at=NOON)
    work()
    odd = again(payout)
    assert odd.state == "sent"
    assert odd.handed_over_at is not None
    assert "CNY 0.01" in odd.trouble
    assert causes(payout) == ["ordered"]


def test_day_in_the_books_is_the_channels_own(customer, card):
    payout = ordered(customer)
    card.set(payout, Outcome.PAID, at=NOON.replace(hour=23))
    Payout.objects.filter(pk=payout.pk).update(first_sent_at=NOON)
    work()
    assert again(payout).booked_on == NOON.date()  # UTC; in Shanghai it is the next day


def test_error_of_our_own_leaves_the_payout_as_it_is_and_is_tried_again(customer, card):
    payout = ordered(customer)
    card.script.append(RuntimeError("nobody thought of this"))
    work()
    assert again(payout).state == "sent"
    work()
    assert card.calls() == ["pay_back", "look_up", "pay_back"]
    assert again(payout).state == "paid"


# --- Amounts that the channel can't refund ------------------------------------------------------


def odd(account: User) -> Payout:
    """The payout of a share of KWD 3.334, stored before the channel's step of KWD 0.010 was heeded."""
    request = factories.submit(factories.certificate(account, payments={"card": 3_334}, currency="KWD"))
    return Payout.objects.get(reference=request.reference)


def test_odd_amount_goes_to_staff_when_it_is_ordered_and_never_to_the_channel(customer, card):
    payout = odd(customer)
    assert work() == 0
    assert (payout.state, payout.handed_over_at, payout.is_queued) == ("ordered", NOON, False)
    assert payout.trouble == (
        "This channel only refunds multiples of KWD 0.010, so the console can't send KWD 3.334. Pay the customer "
        "another way, such as by bank transfer, then record the payout as paid with the transfer's reference."
    )
    assert card.asked == []
    call_command("check_ledger")


def test_odd_amount_that_was_queued_before_goes_to_staff_instead_of_the_channel(customer, card):
    payout = odd(customer)
    Payout.objects.filter(pk=payout.pk).update(is_queued=True, handed_over_at=None, trouble="")
    jobs.enqueue_again("pay_payout", key=str(payout.key), payload={"payout": payout.pk})
    work()
    assert card.asked == []
    assert again(payout).handed_over_at is not None
    assert again(payout).trouble == payout.trouble
    call_command("check_ledger")


def test_odd_amount_that_was_sent_before_is_looked_up_and_then_goes_to_staff(customer, card):
    payout = odd(customer)
    Payout.objects.filter(pk=payout.pk).update(state="sent", first_sent_at=NOON, is_queued=True, handed_over_at=None)
    jobs.enqueue_again("pay_payout", key=str(payout.key), payload={"payout": payout.pk})
    work(at=LATER)
    assert card.calls() == ["look_up"]
    assert again(payout).handed_over_at is not None


def test_odd_amount_that_waited_for_its_channel_goes_to_staff(customer, monkeypatch):
    payout = odd(customer)
    Payout.objects.filter(pk=payout.pk).update(handed_over_at=None, trouble="")
    card = scripted.connect(monkeypatch)
    queue_waiting(at=LATER)
    work()
    assert (again(payout).handed_over_at, again(payout).trouble) == (LATER, payout.trouble)
    assert card.asked == []


def test_odd_amount_is_not_tried_again_and_is_recorded_as_paid_another_way(customer, card, sender):
    payout = odd(customer)
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=sender, at=NOON)
    record_failed(payout.pk, "refused", by=sender, at=NOON)
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=sender, at=NOON)
    record_paid(payout.pk, "transfer-17", by=sender, at=NOON)
    assert request_of(payout).state == "refunded"
    assert card.asked == []
    call_command("check_ledger")


def test_odd_amount_that_came_back_is_recorded_as_paid_once_more_and_not_sent(customer, card, sender):
    payout = odd(customer)
    record_paid(payout.pk, "transfer-17", by=sender, at=NOON)
    record_returned(payout.pk, "account closed", by=sender, at=NOON)
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=sender, at=NOON)
    record_paid(payout.pk, "transfer-18", by=sender, at=NOON)
    assert request_of(payout).state == "refunded"
    assert card.asked == []


# --- Back-off, limit, person -------------------------------------------------------------------


def given_up(customer: User, card: ScriptedChannel) -> Payout:
    payout = ordered(customer)
    card.script.extend([scripted.silent()] * jobs.MAX_ATTEMPTS)
    for _ in range(jobs.MAX_ATTEMPTS):
        work()
    return again(payout)


def test_channel_that_never_answers_is_asked_so_often_and_then_a_person_takes_over(customer, card):
    payout = given_up(customer, card)
    assert (payout.state, payout.trouble) == ("unknown", "timed out")
    assert payout.handed_over_at is not None
    assert Job.objects.get(kind="pay_payout").state == Job.State.GIVEN_UP
    assert work() == 0


def test_person_sends_the_same_record_and_key_again_and_it_is_looked_up_first(customer, card, sender):
    payout = given_up(customer, card)
    card.set(payout, Outcome.PAID)
    card.asked.clear()
    sent = try_again(payout.pk, by=sender, at=LATER)
    assert (sent.pk, sent.key, sent.handed_over_at) == (payout.pk, payout.key, None)
    work(at=LATER)
    assert card.asked == [("look_up", str(payout.key))]
    assert again(payout).state == "paid"


def test_person_records_outside_what_the_worker_gave_up(customer, card, sender):
    payout = given_up(customer, card)
    record_paid(payout.pk, "re_by_hand", by=sender, at=LATER)
    assert (again(payout).state, again(payout).handed_over_at) == ("paid", None)
    assert request_of(payout).state == "refunded"


def test_person_may_not_record_what_the_worker_still_tries(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.silent())
    work()
    for act in (record_paid, record_failed):
        with pytest.raises(PayoutMoved):
            act(payout.pk, "re_by_hand", by=sender, at=LATER)
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=sender, at=LATER)


def test_failed_payout_is_sent_again_under_its_key(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.refused())
    work()
    try_again(payout.pk, by=sender, at=LATER)
    assert (again(payout).state, again(payout).failure) == ("ordered", "")
    assert request_of(payout).state == "paying"
    work(at=LATER)
    assert card.calls() == ["pay_back", "look_up", "pay_back"]
    assert {key for _, key in card.asked} == {str(payout.key)}
    assert causes(payout) == ["ordered", "failed", "ordered", "paid"]
    assert request_of(payout).state == "refunded"


def test_refund_that_is_not_possible_fails_and_its_customer_is_told(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.refused())
    work()
    not_possible(payout.pk, "the card is closed", by=sender, at=LATER)
    request = request_of(payout)
    assert (request.state, request.certificate.hold, request.certificate.state) == ("failed", "", "pending_application")
    assert again(payout).given_up_at == LATER
    assert Job.objects.filter(kind="send_mail", key__endswith=f"{request.reference}:failed").exists()
    for act in (record_paid, not_possible):
        with pytest.raises(PayoutMoved):
            act(payout.pk, "once more", by=sender, at=LATER)


def test_refund_of_which_a_part_was_paid_is_not_impossible(customer, card, sender):
    payout = ordered(customer, card=70_000, balance=50_000)
    card.script.append(scripted.refused())
    work()
    assert again(payout).state == "failed"
    with pytest.raises(PayoutMoved):
        not_possible(payout.pk, "the card is closed", by=sender, at=LATER)
    assert request_of(payout).state == "payment_failed"


# --- Money that comes back ---------------------------------------------------------------------


def came_back(customer: User, card: ScriptedChannel) -> Payout:
    payout = ordered(customer)
    work()
    card.set(again(payout), Outcome.FAILED, reason="account closed")
    scripted.notify(again(payout), "event-1")
    jobs.run_due("worker", clock=lambda: LATER)
    return again(payout)


def test_payout_that_came_back_is_returned_and_refund_ledger_and_certificate_follow(customer, card):
    payout = came_back(customer, card)
    assert (payout.state, payout.failure, payout.returned_at) == ("returned", "account closed", LATER)
    assert payout.payment.ordered_back == 0
    assert causes(payout) == ["ordered", "paid", "returned"]
    request = request_of(payout)
    assert (request.state, request.ended_at) == ("payment_failed", None)
    assert (request.certificate.state, request.certificate.hold) == ("pending_application", request.reference)


def test_returned_payout_is_made_good_by_another_under_a_new_key(customer, card, sender):
    payout = came_back(customer, card)
    sent = try_again(payout.pk, by=sender, at=LATER)
    assert sent.follows == payout
    assert sent.key != payout.key
    work(at=LATER)
    assert [again(each).state for each in (payout, sent)] == ["returned", "paid"]
    request = request_of(payout)
    assert (request.state, request.certificate.state, request.certificate.hold) == ("refunded", "refunded", "")
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=sender, at=LATER)


def test_returned_payout_is_made_good_outside(customer, card, sender):
    payout = came_back(customer, card)
    paid = record_paid(payout.pk, "re_by_hand", by=sender, at=LATER)
    assert (paid.follows, paid.state, paid.recorded_by) == (payout, "paid", sender)
    assert request_of(payout).state == "refunded"
    assert card.calls() == ["pay_back", "ask"]


def test_returned_payout_that_cannot_be_made_good_gives_the_certificate_back(customer, card, sender):
    payout = came_back(customer, card)
    not_possible(payout.pk, "no account any more", by=sender, at=LATER)
    request = request_of(payout)
    assert (request.state, request.certificate.state, request.certificate.hold) == ("failed", "pending_application", "")


def test_news_of_a_returned_payout_twice_changes_nothing_more(customer, card):
    payout = came_back(customer, card)
    scripted.notify(payout, "event-2")
    jobs.run_due("worker", clock=lambda: LATER)
    assert causes(payout) == ["ordered", "paid", "returned"]


def test_cashier_records_that_a_bank_transfer_came_back(customer, sender):
    payout = ordered(customer, bank=120_000)
    record_paid(payout.pk, "B-1", by=sender, at=NOON)
    record_returned(payout.pk, "no such account", by=sender, at=LATER)
    assert (again(payout).state, again(payout).failure) == ("returned", "no such account")
    assert request_of(payout).state == "payment_failed"
    with pytest.raises(PayoutMoved):
        record_returned(payout.pk, "no such account", by=sender, at=LATER)


def test_nobody_records_as_returned_what_a_connected_channel_paid(customer, card, sender):
    payout = ordered(customer)
    work()
    with pytest.raises(PayoutMoved):
        record_returned(payout.pk, "account closed", by=sender, at=LATER)


# --- A channel that is not configured ----------------------------------------------------------


def test_payout_ordered_before_its_channel_was_configured_is_taken_up_then(customer, monkeypatch):
    payout = ordered(customer)
    assert work() == 0
    assert (again(payout).state, request_of(payout).state) == ("ordered", "approved")
    card = scripted.connect(monkeypatch)
    assert queue_waiting(at=NOON) == 1
    assert queue_waiting(at=NOON) == 0
    work()
    assert again(payout).state == "paid"
    assert card.calls() == ["pay_back"]


def test_payout_whose_channel_lost_its_settings_waits_and_never_fails(customer, card, sender, monkeypatch):
    payout = ordered(customer)
    monkeypatch.delitem(channels._CONNECTED, Channel.CARD)
    work()
    assert (again(payout).state, again(payout).is_queued) == ("ordered", False)
    assert Job.objects.get(kind="pay_payout").state == Job.State.DONE
    assert queue_waiting(at=NOON) == 0
    monkeypatch.setitem(channels._CONNECTED, Channel.CARD, card)
    assert queue_waiting(at=NOON) == 1
    work()
    assert again(payout).state == "paid"


def test_person_may_not_record_what_a_worker_has_though_this_process_is_not_connected(
    customer, card, sender, monkeypatch
):
    """A web process may lack the settings that the worker has."""
    payout = ordered(customer)
    monkeypatch.delitem(channels._CONNECTED, Channel.CARD)
    for act in (record_paid, record_failed):
        with pytest.raises(PayoutMoved):
            act(payout.pk, "re_by_hand", by=sender, at=LATER)


def test_payout_sent_again_by_a_process_that_is_not_connected_reaches_the_worker(customer, card, sender, monkeypatch):
    payout = given_up(customer, card)
    monkeypatch.delitem(channels._CONNECTED, Channel.CARD)
    try_again(payout.pk, by=sender, at=LATER)
    assert work() == 0
    monkeypatch.setitem(channels._CONNECTED, Channel.CARD, card)
    queue_waiting(at=LATER)
    work(at=LATER)
    assert again(payout).state == "paid"


def test_job_of_a_payout_that_is_with_staff_does_nothing(customer, card):
    """Whoever may start a job anew may not thereby send money."""
    payout = given_up(customer, card)
    card.asked.clear()
    jobs.try_again(Job.objects.get(kind="pay_payout"))
    work()
    assert card.asked == []
    assert again(payout).state == "unknown"


@pytest.mark.parametrize("days", [-1, 2])
def test_day_before_the_order_or_still_to_come_is_refused(customer, sender, days):
    payout = ordered(customer)
    with pytest.raises(DayImpossible):
        record_paid(payout.pk, "re_1", by=sender, at=LATER, day=NOON.date() + timedelta(days=days))
    assert again(payout).state == "ordered"


def test_balance_that_the_worker_gave_up_is_not_recorded_as_paid_outside(customer, sender):
    payout = ordered(customer, balance=120_000)
    hand_over({"payout": payout.pk}, RuntimeError("nobody thought of this"))
    with pytest.raises(PayoutMoved):
        record_paid(payout.pk, "re_1", by=sender, at=LATER)
    Job.objects.filter(kind="pay_payout").update(state=Job.State.GIVEN_UP)
    try_again(payout.pk, by=sender, at=LATER)
    work(at=LATER)
    assert again(payout).state == "paid"


# --- Who may -----------------------------------------------------------------------------------


def failed_of(account: User, card: ScriptedChannel, *, by: User) -> Payout:
    """A failed payout of a request that this person approved."""
    request = factories.submit(factories.certificate(account, bought=timedelta(days=30), payments=CARD))
    approve_refund(request.pk, seen=factories.seen(request), by=by, at=NOON)
    card.script.append(scripted.refused())
    work()
    return Payout.objects.get(reference=request.reference)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_approved_a_request_never_sends_records_or_releases_its_payout(customer, reviewer, card, is_superuser):
    payout = failed_of(customer, card, by=reviewer)
    User.objects.filter(pk=reviewer.pk).update(is_superuser=is_superuser)
    approver = User.objects.get(pk=reviewer.pk)
    with pytest.raises(NotYours):
        try_again(payout.pk, by=approver, at=LATER)
    for act in (record_paid, not_possible):
        with pytest.raises(NotYours):
            act(payout.pk, "re_by_hand", by=approver, at=LATER)
    assert again(payout).state == "failed"


def test_nobody_sends_money_to_themselves(card, sender):
    payout = ordered(sender)
    card.script.append(scripted.refused())
    work()
    with pytest.raises(NotYours):
        try_again(payout.pk, by=sender, at=LATER)


def test_who_may_only_record_does_not_send_and_the_reverse(customer, reviewer, card):
    payout = failed_of(customer, card, by=reviewer)
    recorder = factories.staff("recorder", "payments.record_payout")
    with pytest.raises(NotYours):
        try_again(payout.pk, by=recorder, at=LATER)
    only_sender = factories.staff("only-sender", "payments.send_payout")
    for act in (record_paid, not_possible):
        with pytest.raises(NotYours):
            act(payout.pk, "re_by_hand", by=only_sender, at=LATER)


# --- A refund that the channel made by itself --------------------------------------------------


def found_elsewhere(payout: Payout, reference: str = "re_1") -> None:
    """Somebody gave all of the payout's payment back on the channel's own pages."""
    refund = ChannelRefund(reference, Outcome.PAID, 120_000, "CNY", NOON, payment_reference=payout.payment.reference)
    take_in("card", refund, at=NOON)


def test_worker_does_not_send_what_the_channel_has_given_back_by_itself(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.silent())
    work()
    found_elsewhere(again(payout))
    work(at=LATER)
    assert card.calls() == ["pay_back", "look_up"]
    waiting = again(payout)
    assert (waiting.state, waiting.handed_over_at is not None) == ("sent", True)
    with pytest.raises(RefundFound):
        try_again(payout.pk, by=sender, at=LATER)
    record_paid(payout.pk, "re_1", by=sender, at=LATER)
    assert (again(payout).state, Difference.objects.get().state) == ("paid", "healed")


def test_refusal_that_the_channel_cannot_explain_now_is_decided_before_the_refund_is_given_up(customer, card, sender):
    payout = ordered(customer)
    card.script += [scripted.refunded(), scripted.silent()]
    work()
    unexplained = Difference.objects.get()
    assert (again(payout).state, again(payout).handed_over_at) == ("unknown", None)
    work(at=LATER)
    assert card.calls() == ["pay_back", "refunds_of", "look_up", "refunds_of"]
    assert again(payout).handed_over_at is not None
    assert (unexplained.amount, unexplained.payout_id, unexplained.state) == (None, payout.pk, "open")
    record_failed(payout.pk, "refunded before", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "refunded before", by=sender, at=LATER)
    # Nobody knows how much went, so it can't be set aside for one certificate.
    with pytest.raises(DifferenceMoved):
        keep_difference(unexplained.pk, by=sender, at=LATER)


def test_refund_found_at_the_channel_is_booked_on_the_channels_own_day(customer, card, sender):
    payout = ordered(customer)
    earlier = NOON - timedelta(days=3)
    refund = ChannelRefund("re_1", Outcome.PAID, 120_000, "CNY", earlier, payment_reference=payout.payment.reference)
    card.refunds["elsewhere"] = refund
    card.script.append(scripted.refunded())
    work()
    record_paid(payout.pk, "re_1", by=sender, at=LATER)
    assert again(payout).booked_on == earlier.date()
    for day in (earlier.date(), LATER.date()):
        reconcile("card", day, [refund] if day == earlier.date() else [], at=LATER)
    assert [each.state for each in Difference.objects.all()] == ["healed"]


def test_refund_is_not_given_up_while_the_channel_has_given_money_back_by_itself(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.refused("already refunded"))
    work()
    found_elsewhere(again(payout))
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "already refunded", by=sender, at=LATER)
    assert request_of(payout).state == "payment_failed"


def test_refund_paid_after_it_was_given_up_closes_every_other(customer, card, sender):
    payout = given_up(customer, card)
    record_failed(payout.pk, "not there", by=sender, at=NOON)
    not_possible(payout.pk, "no card any more", by=sender, at=NOON)
    card.set(again(payout), Outcome.PAID)
    scripted.notify(again(payout), "late")
    jobs.run_due("worker", clock=lambda: LATER)
    assert Difference.objects.get().kind == "different_state"
    assert request_of(payout).certificate.refund_found_at is not None
    with pytest.raises(RefundedOutside):
        factories.submit(request_of(payout).certificate)


def test_key_is_the_same_after_a_person_said_that_it_failed(customer, card, sender):
    """Only what the channel itself has refused for certain is asked under another key at Stripe."""
    payout = given_up(customer, card)
    record_failed(payout.pk, "not there", by=sender, at=NOON)
    assert again(payout).refusals == 0


def test_payout_that_a_channel_may_have_seen_is_not_given_away_by_a_worker_without_settings(
    customer, card, sender, monkeypatch
):
    payout = ordered(customer)
    card.script.append("paid, no answer")
    work()
    monkeypatch.delitem(channels._CONNECTED, Channel.CARD)
    for _ in range(2):
        work()
    with pytest.raises(PayoutMoved):
        record_paid(payout.pk, "re_by_hand", by=sender, at=LATER)
    for _ in range(jobs.MAX_ATTEMPTS):
        work()
    assert again(payout).handed_over_at is not None


def test_refund_under_the_reference_of_another_payout_goes_to_a_person(customer, card, sender):
    first, second = ordered(customer), ordered(customer)
    Payout.objects.filter(pk=second.pk).update(first_sent_at=NOON)
    card.set(second, Outcome.PAID, reference="re_1")
    card.script.append(scripted.refused())
    Job.objects.filter(payload__payout=second.pk).update(state=Job.State.DONE)
    work()
    record_paid(first.pk, "re_1", by=sender, at=LATER)
    Job.objects.filter(payload__payout=second.pk).update(state=Job.State.QUEUED)
    work(at=LATER)
    assert again(second).handed_over_at is not None
    assert "another payout" in again(second).trouble


@pytest.mark.broken_books  # a difference that no reconciliation has filed
def test_nothing_more_is_ordered_of_a_payment_whose_money_went_back_by_itself(customer, card, sender):
    payout = ordered(customer)
    card.script.append(scripted.refused())
    work()
    Difference.objects.create(
        channel="card",
        day=NOON.date(),
        kind="missing_here",
        subject="re_1",
        external_reference="re_1",
        payment=payout.payment,
        amount=120_000,
        currency="CNY",
        found_at=NOON,
    )
    with pytest.raises(RefundFound):
        try_again(payout.pk, by=sender, at=LATER)
    assert again(payout).state == "failed"
    # Under its own reference it is this very payout.
    record_paid(payout.pk, "re_1", by=sender, at=LATER)
    assert again(payout).state == "paid"
    assert Difference.objects.get().state == "healed"
