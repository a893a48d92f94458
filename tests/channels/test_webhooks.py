"""What channels tell by themselves: who is heard, and what follows from it."""

import json
import logging
from datetime import timedelta

import pytest
from django.db.models import Q
from django.test import Client
from django.urls import reverse

from core.models import Job
from payments import channels
from payments.channels import Forged, Notification, Unanswered
from payments.models import Payment, Payout
from payments.services import record_failed, try_again
from payments.services.notifications import receive_notification
from payments.states import Channel
from refunds.models import RefundRequest
from tests import factories
from tests.channels.conftest import stripe_payout, work
from tests.channels.fake_stripe import API_KEY, WEBHOOK_SECRET
from tests.channels.server import Fault
from tests.factories import NOON

pytestmark = [pytest.mark.usefixtures("stripe_channel", "frozen"), pytest.mark.django_db]

DAYS_LATER = NOON + timedelta(days=5)
SECOND = timedelta(seconds=1)
LARGEST = 256 * 1024


def post(body: bytes, headers: dict[str, str], *, to: str = "stripe_webhook", client: Client | None = None):
    client = client or Client(enforce_csrf_checks=True)
    return client.post(reverse(to), body, content_type="application/json", headers=headers)


def tell(fake, number: str, kind: str = "refund.updated") -> None:
    """Stripe tells about a refund, and is heard."""
    body = fake.event(number, kind)
    fake.now = NOON
    assert post(body, fake.sign(body)).status_code == 200


def told() -> int:
    return Job.objects.filter(kind="take_notification").count()


def again(thing):
    return type(thing).objects.get(pk=thing.pk)


def request_of(payout: Payout) -> RefundRequest:
    return RefundRequest.objects.get(reference=payout.reference)


@pytest.fixture
def paid(customer, stripe_fake) -> Payout:
    payout = stripe_payout(customer, stripe_fake)
    work(NOON)
    return again(payout)


@pytest.fixture
def event(paid, stripe_fake) -> bytes:
    return stripe_fake.event(paid.external_reference)


# --- Who is heard ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["refund.created", "refund.updated", "refund.failed", "charge.refunded", "charge.refund.updated"]
)
def test_stripe_is_heard_without_signing_in(paid, stripe_fake, kind):
    body = stripe_fake.event(paid.external_reference, kind)
    answer = post(body, stripe_fake.sign(body))
    assert (answer.status_code, answer.content) == (200, b"")
    job = Job.objects.get(kind="take_notification")
    number = json.loads(body)["id"]
    assert job.key == f"take_notification:card:{number}"
    assert job.payload == {
        "channel": "card",
        "event": number,
        "payment_reference": paid.payment.reference,
        "key": "" if kind == "charge.refunded" else paid.external_reference,
    }


def test_stripe_telling_again_orders_nothing_more(event, stripe_fake):
    for seconds in (0, 0, 10):
        assert post(event, stripe_fake.sign(event, at=NOON + seconds * SECOND)).status_code == 200
    assert told() == 1
    work(NOON)
    assert post(event, stripe_fake.sign(event)).status_code == 200
    assert work(NOON) == 0


@pytest.mark.parametrize("kind", ["charge.succeeded", "payout.paid", "refund", "v2.core.event", ""])
def test_stripe_is_thanked_for_what_concerns_no_refund(paid, stripe_fake, kind):
    body = stripe_fake.event(paid.external_reference, kind)
    assert post(body, stripe_fake.sign(body)).status_code == 200
    assert told() == 0


OF_OTHER_FORMS = [
    {"type": "payout.paid"},
    {"type": "charge.dispute.created", "data": None},
    {"type": "charge.succeeded", "data": []},
    {"type": "invoice.paid", "data": {}},
    {"type": "customer.created", "data": {"object": None}},
    # Thin events name their object, and don't hold it.
    {"object": "v2.core.event", "type": "v1.billing.meter.no_meter_found", "related_object": None},
    {"type": "a.kind.of\nthe future" * 1000, "data": "anything"},
]


@pytest.mark.parametrize("event", OF_OTHER_FORMS, ids=lambda event: event["type"][:30])
def test_stripe_is_thanked_for_an_event_of_an_unknown_type_whatever_it_holds(stripe_fake, caplog, event):
    caplog.set_level(logging.INFO, "payments")
    body = json.dumps({"id": "evt_1", **event}).encode()
    assert post(body, stripe_fake.sign(body)).status_code == 200
    assert told() == 0
    [line] = [record.getMessage() for record in caplog.records if "ignored" in record.getMessage()]
    assert event["type"][:9] in line
    assert "\n" not in line and len(line) < 200


def test_stranger_is_refused_whatever_type_of_event_they_make_up(stripe_fake):
    for event in OF_OTHER_FORMS:
        body = json.dumps({"id": "evt_1", **event}).encode()
        refused(post(body, stripe_fake.sign(body, "whsec_guessed")))


@pytest.mark.parametrize("kind", ["refund.updated", "charge.refunded"])
def test_stripe_is_heard_about_a_refund_that_lacks_what_another_version_of_its_api_leaves_out(stripe_fake, kind):
    body = stripe_fake.event_of({"id": "ch_1" if kind == "charge.refunded" else "re_1", "charge": "ch_1"}, kind)
    assert post(body, stripe_fake.sign(body)).status_code == 200
    assert told() == 1


def test_refund_of_no_payment_concerns_nobody(stripe_fake):
    body = stripe_fake.event_of({"id": "re_1", "object": "refund", "charge": None}, "refund.created")
    assert post(body, stripe_fake.sign(body)).status_code == 200
    assert told() == 0


def test_stripe_is_heard_while_its_secret_is_being_changed(event, stripe_fake):
    assert post(event, stripe_fake.sign(event, "whsec_the_new_one", WEBHOOK_SECRET)).status_code == 200
    assert told() == 1


@pytest.mark.parametrize("seconds", [-300, 300])
def test_stripe_is_heard_at_the_edge_of_the_window(event, stripe_fake, seconds):
    assert post(event, stripe_fake.sign(event, at=NOON + seconds * SECOND)).status_code == 200


@pytest.mark.parametrize("seconds", [-(10**6), -301, 301, 10**6])
def test_old_notification_is_refused(event, stripe_fake, seconds):
    refused(post(event, stripe_fake.sign(event, at=NOON + seconds * SECOND)))


def test_window_is_that_of_the_moment_it_is_read_at(event, stripe_fake, stripe_channel):
    headers = stripe_fake.sign(event, at=DAYS_LATER)
    assert stripe_channel.read_notification(event, headers, at=DAYS_LATER)
    with pytest.raises(Forged):
        stripe_channel.read_notification(event, headers, at=NOON)


def refused(answer) -> None:
    """Without a word why."""
    assert (answer.status_code, answer.content) == (400, b"")
    assert told() == 0


def test_stranger_is_refused(event, stripe_fake):
    refused(post(event, stripe_fake.sign(event, "whsec_guessed")))
    refused(post(event, stripe_fake.sign(event, "")))
    refused(post(event + b" ", stripe_fake.sign(event)))
    refused(post(b"", {}))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t",
        "v1=",
        ",",
        "=",
        "t=1",
        "t=x,v1=0",
        "t=nan,v1=0",
        "t=-1,v1=é",
        "t=\u0661,v1=\u0661",
        f"t={'9' * 5000},v1=0",
        f"t={NOON.timestamp():.0f},v0=0",
        f"t={NOON.timestamp():.0f},v1=",
        f"t={NOON.timestamp():.0f},v1=é",
    ],
)
def test_signature_that_is_none_is_refused(event, header):
    refused(post(event, {"Stripe-Signature": header}))
    refused(post(event, {"Stripe-Signature": header.encode().decode("latin-1")}))


def test_second_moment_in_the_signature_does_not_count(event, stripe_fake):
    """An old signature must not be made young."""
    old = stripe_fake.sign(event, at=NOON - timedelta(hours=1))["Stripe-Signature"]
    young = f"t={NOON.timestamp():.0f}"
    for header in (f"{old},{young}", f"{young},{old}", f"{young}={old}"):
        refused(post(event, {"Stripe-Signature": header}))


REFUND = {"id": "re_1", "object": "refund", "charge": "ch_1"}


def _event(**fields) -> bytes:
    return json.dumps({"id": "evt_1", "type": "refund.updated", "data": {"object": REFUND}, **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b"\xff",
        b"[" * 100_000,
        b'{"id": ' + b"9" * 5000 + b"}",
        _event(id=None),
        _event(id=7),
        _event(id=""),
        _event(id="evt_1\0"),
        _event(id="evt_" + "1" * 200),
        _event(id="evt_é"),
        _event(type=[]),
        _event(data=None),
        _event(data={"object": None}),
        _event(data={"object": {**REFUND, "id": 10**400}}),
        _event(data={"object": {**REFUND, "id": "../charges"}}),
        _event(data={"object": {**REFUND, "id": "\ud800"}}),
        _event(data={"object": {"charge": "ch_1"}}),
    ],
)
def test_signed_body_of_another_form_is_refused(stripe_fake, body):
    refused(post(body, stripe_fake.sign(body)))


@pytest.mark.parametrize("name", ["ch_1\0", "ch_" + "1" * 300, 7, [], {"id": "ch_1"}, "\ud800", "in_1"])
def test_name_that_no_payment_of_stripes_has_is_not_looked_for(stripe_fake, name):
    body = _event(data={"object": {**REFUND, "charge": name}})
    assert post(body, stripe_fake.sign(body)).status_code == 200
    assert told() == 0


def test_largest_body_is_read_and_no_larger_one(event, stripe_fake):
    longest = event + b" " * (LARGEST - len(event))
    assert post(longest, stripe_fake.sign(longest)).status_code == 200
    longer = longest + b" "
    assert post(longer, stripe_fake.sign(longer)).status_code == 413


@pytest.mark.parametrize("to", ["stripe_webhook", "alipay_webhook"])
def test_nobody_but_a_sender_is_answered(to):
    assert [Client().generic(method, reverse(to)).status_code for method in ("GET", "HEAD", "PUT")] == [405] * 3


def test_there_is_no_such_page_where_the_secret_is_missing(event, stripe_fake, settings):
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert post(event, stripe_fake.sign(event)).status_code == 404


@pytest.mark.parametrize(("to", "channel"), [("stripe_webhook", Channel.CARD), ("alipay_webhook", Channel.ALIPAY)])
def test_there_is_no_such_page_for_a_channel_that_is_not_connected(event, stripe_fake, monkeypatch, to, channel):
    monkeypatch.delitem(channels._CONNECTED, channel, raising=False)
    assert post(event, stripe_fake.sign(event), to=to).status_code == 404
    with pytest.raises(Forged):
        receive_notification(channel, event, stripe_fake.sign(event), at=NOON)


def test_channel_without_a_secret_hears_nobody(event, stripe_fake):
    deaf = channels.card.CardChannel(API_KEY, url=stripe_fake.url)
    with pytest.raises(Forged):
        deaf.read_notification(event, stripe_fake.sign(event, ""), at=NOON)


class Stub:
    """A channel that believes whatever has the body `right`."""

    def read_notification(self, body, headers, *, at):
        if body != b"right":
            raise Forged
        return Notification("17", "payment-1", "key-1")


def test_alipay_is_answered_by_the_word_it_waits_for(monkeypatch):
    monkeypatch.setitem(channels._CONNECTED, Channel.ALIPAY, Stub())
    answer = post(b"right", {}, to="alipay_webhook")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"success", "text/plain")
    assert Job.objects.get(kind="take_notification").key == "take_notification:alipay:17"
    wrong = post(b"wrong", {}, to="alipay_webhook")
    assert (wrong.status_code, wrong.content) == (400, b"")


def test_secrets_are_neither_stored_nor_logged(event, stripe_fake, caplog):
    caplog.set_level(logging.DEBUG)
    signed = stripe_fake.sign(event)
    post(event, signed)
    post(event, {"Stripe-Signature": WEBHOOK_SECRET})
    work(NOON)
    assert "was refused" in caplog.text
    for text in (caplog.text, str(list(Job.objects.values()))):
        for secret in (WEBHOOK_SECRET, API_KEY, signed["Stripe-Signature"]):
            assert secret not in text


# --- What follows from it ----------------------------------------------------------------------


@pytest.fixture
def pending(customer, stripe_fake) -> Payout:
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.LATE)
    work(NOON)
    return again(payout)


def take_notifications() -> int:
    """The worker does what notifications have ordered, and nothing else."""
    return work(NOON, lane=Q(kind="take_notification"))


def test_pending_payout_is_paid_when_stripe_says_so(pending, stripe_fake):
    stripe_fake.finish_late()
    tell(stripe_fake, pending.external_reference)
    assert take_notifications() == 1
    assert (again(pending).state, request_of(pending).state) == ("paid", "refunded")
    assert stripe_fake.books() == [(120_000, "succeeded")]
    assert not Job.objects.filter(kind="take_notification", state=Job.State.QUEUED).exists()


@pytest.mark.parametrize("kind", ["refund.updated", "charge.refunded"])
def test_pending_payout_stays_pending_when_stripe_says_no_more(pending, stripe_fake, kind):
    tell(stripe_fake, pending.external_reference, kind)
    take_notifications()
    assert again(pending).state == "sent"
    assert Job.objects.get(kind="take_notification").state == Job.State.DONE


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_pending_payout_fails_when_stripe_says_so(pending, stripe_fake, status):
    stripe_fake.finish_late(status)
    tell(stripe_fake, pending.external_reference, "refund.failed")
    take_notifications()
    assert (again(pending).state, request_of(pending).state) == ("failed", "payment_failed")
    assert again(pending).failure == {"failed": "declined", "canceled": "canceled"}[status]


def test_refund_that_comes_back_days_later_is_returned_and_made_good_once(paid, stripe_fake):
    sender = factories.staff("sender", "payments.send_payout")
    stripe_fake.return_refund(paid.external_reference)
    tell(stripe_fake, paid.external_reference, "refund.failed")
    take_notifications()
    assert (again(paid).state, again(paid).failure) == ("returned", "lost_or_stolen_card")
    assert request_of(paid).state == "payment_failed"
    assert again(paid.payment).ordered_back == 0
    try_again(paid.pk, by=sender, at=DAYS_LATER)
    work(DAYS_LATER)
    successor = Payout.objects.get(follows=paid)
    assert (successor.state, request_of(paid).state) == ("paid", "refunded")
    assert stripe_fake.books() == [(120_000, "failed"), (120_000, "succeeded")]


def test_stripe_is_asked_and_not_believed(paid, stripe_fake):
    refund = {**stripe_fake.refunds[paid.external_reference], "status": "failed", "amount": 1}
    body = stripe_fake.event_of(refund, "refund.failed")
    assert post(body, stripe_fake.sign(body)).status_code == 200
    take_notifications()
    assert (again(paid).state, request_of(paid).state) == ("paid", "refunded")


def test_payout_whose_call_was_not_answered_is_paid_by_a_notification(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    [number] = stripe_fake.refunds
    tell(stripe_fake, number)
    take_notifications()
    assert again(payout).state == "paid"
    work(NOON)
    assert stripe_fake.books() == [(120_000, "succeeded")]


def test_notification_that_comes_before_stripe_shows_the_refund_is_kept(customer, stripe_fake):
    payout = stripe_payout(customer, stripe_fake)
    stripe_fake.faults.append(Fault.DROPPED_AFTER)
    work(NOON)
    [number] = stripe_fake.refunds
    stripe_fake.hidden.add(number)
    tell(stripe_fake, number)
    take_notifications()
    assert again(payout).state == "unknown"
    job = Job.objects.get(kind="take_notification")
    assert (job.state, job.attempts) == (Job.State.QUEUED, 1)
    assert "No such refund" in job.last_error
    stripe_fake.hidden.clear()
    take_notifications()
    assert again(payout).state == "paid"


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.DROPPED_AFTER, Fault.GARBAGE_AFTER])
def test_question_that_is_not_answered_is_asked_again(pending, stripe_fake, fault):
    stripe_fake.finish_late()
    tell(stripe_fake, pending.external_reference)
    stripe_fake.faults.append(fault)
    take_notifications()
    assert (again(pending).state, Job.objects.get(kind="take_notification").attempts) == ("sent", 1)
    take_notifications()
    assert again(pending).state == "paid"


def test_notification_waits_for_a_channel_that_has_lost_its_settings(pending, stripe_fake, monkeypatch):
    stripe_fake.finish_late()
    tell(stripe_fake, pending.external_reference)
    with monkeypatch.context() as patch:
        patch.delitem(channels._CONNECTED, Channel.CARD)
        take_notifications()
        assert Job.objects.get(kind="take_notification").state == Job.State.QUEUED
    take_notifications()
    assert again(pending).state == "paid"


def test_late_word_of_a_failed_attempt_does_not_fail_the_next_one(customer, pending, stripe_fake):
    sender = factories.staff("sender", "payments.send_payout", "payments.record_payout")
    [first] = stripe_fake.refunds
    stripe_fake.finish_late("failed")
    work(NOON)
    try_again(pending.pk, by=sender, at=NOON)
    stripe_fake.faults.extend([None, Fault.LATE])
    work(NOON)
    assert again(pending).state == "sent"
    for kind in ("refund.failed", "charge.refunded"):
        tell(stripe_fake, first, kind)
    take_notifications()
    assert again(pending).state == "sent"
    stripe_fake.finish_late()
    tell(stripe_fake, again(pending).external_reference)
    take_notifications()
    assert again(pending).state == "paid"
    assert stripe_fake.books() == [(120_000, "failed"), (120_000, "succeeded")]


def test_word_about_a_charge_settles_each_of_its_refunds_by_itself(customer, stripe_fake):
    """Two in one transaction would lock a request after a payment."""
    reference = stripe_fake.sell(120_000)
    parts = factories.bought_together(customer, [70_000, 50_000], {"card": 120_000})
    Payment.objects.update(reference=reference)
    for part in parts:
        factories.submit(part)
    stripe_fake.faults.extend([Fault.LATE, Fault.LATE])
    work(NOON)
    stripe_fake.finish_late()
    tell(stripe_fake, next(iter(stripe_fake.refunds)), "charge.refunded")
    assert [take_notifications(), take_notifications(), take_notifications()] == [1, 2, 0]
    assert {payout.state for payout in Payout.objects.all()} == {"paid"}
    assert Payout.objects.count() == 2


def test_payout_that_a_person_recorded_as_failed_is_not_paid_by_a_notification(pending, stripe_fake):
    """Reconciliation files it; nothing that a person decided is undone by itself."""
    sender = factories.staff("sender", "payments.record_payout")
    Payout.objects.update(handed_over_at=NOON)
    record_failed(pending.pk, "nothing to be seen", by=sender, at=NOON)
    stripe_fake.finish_late()
    tell(stripe_fake, pending.external_reference)
    take_notifications()
    assert again(pending).state == "failed"


def test_nothing_but_the_question_is_asked_of_stripe(pending, stripe_fake):
    stripe_fake.finish_late()
    tell(stripe_fake, pending.external_reference)
    before = len(stripe_fake.requests)
    take_notifications()
    assert [request.method for request in stripe_fake.requests[before:]] == ["GET"]


def test_channel_asked_about_a_refund_that_is_not_there_has_no_answer(stripe_channel):
    with pytest.raises(Unanswered):
        stripe_channel.ask(Notification("evt_1", "pi_1", "re_1"))
