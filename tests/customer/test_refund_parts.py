"""A refund in several parts: each with its channel, amount, how far it is and what comes next; and what came back."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from core import jobs
from core.mail import compose
from core.models import Notice, User
from payments.channels import Outcome
from payments.models import Payout
from payments.services import not_possible, record_failed, record_paid, record_returned, try_again
from refunds.models import RefundRequest
from tests import factories
from tests.conftest import signed_in
from tests.customer import requests
from tests.customer.pages import panel_of, poll_address, poll_seconds, words
from tests.factories import NOON
from tests.money import scripted
from tests.money.scripted import ScriptedChannel, work
from tests.refunds.cases import DAY, HOUR

RECORDS = "/refunds/"
OVERVIEW = "/"
# What a channel or a member of staff wrote: never on a customer's page.
REASON = "R03 no account"


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ScriptedChannel:
    return scripted.connect(monkeypatch)


def address(request: RefundRequest) -> str:
    return f"/refunds/{request.reference}/"


def reads(client: Client, request: RefundRequest) -> str:
    return words(client.get(address(request)))


def ordered(customer: User, **payments: int) -> tuple[RefundRequest, dict[str, Payout]]:
    request = factories.submit(factories.certificate(customer, payments=payments))
    return request, {payout.channel: payout for payout in Payout.objects.filter(reference=request.reference)}


# --- How far each part is ----------------------------------------------------------------------


def test_what_the_worker_has_is_ordered(customer: User, as_customer: Client, card: ScriptedChannel) -> None:
    request, _ = ordered(customer, card=120_000)
    text = reads(as_customer, request)
    assert "To Card (ordered)" in text
    assert "Next: CNY 1,200.00 goes to your card; it may take some days until you see it there." in text


def test_what_the_channel_has_taken_on_is_on_its_way(
    customer: User, as_customer: Client, htmx: Client, card: ScriptedChannel
) -> None:
    request, _ = ordered(customer, card=120_000)
    card.script.append(Outcome.PENDING)
    work()
    text = reads(as_customer, request)
    assert "To Card (on its way)" in text
    assert "Next: CNY 1,200.00 is on its way to your card" in text
    assert poll_seconds(htmx.get(address(request))) == 15


def test_what_brought_no_answer_is_being_checked_and_nobody_need_do_anything(
    customer: User, as_customer: Client, htmx: Client, card: ScriptedChannel
) -> None:
    request, _ = ordered(customer, card=120_000)
    card.script.append(scripted.silent())
    work()
    text = reads(as_customer, request)
    assert "To Card (being checked)" in text
    assert "Next: We were not told whether CNY 1,200.00 has reached your card. The console asks again by itself" in text
    assert "timed out" not in text
    assert poll_seconds(htmx.get(address(request))) == 15


def test_what_the_console_gave_up_asking_about_is_with_staff(
    customer: User, as_customer: Client, card: ScriptedChannel
) -> None:
    request, _ = ordered(customer, card=120_000)
    card.script.extend([scripted.silent()] * jobs.MAX_ATTEMPTS)
    for _ in range(jobs.MAX_ATTEMPTS):
        work()
    text = reads(as_customer, request)
    assert "To Card (being checked by our staff)" in text
    assert "Our staff find out, and send it again if it has not." in text


@pytest.mark.parametrize("channel", ["card", "alipay", "bank"])
def test_what_no_connection_carries_is_transferred_by_staff(customer: User, as_customer: Client, channel: str) -> None:
    request, _ = ordered(customer, **{channel: 120_000})
    text = reads(as_customer, request)
    assert "(ordered)" in text
    assert ": our staff transfer it, and the record says when it is done." in text


def test_what_was_refused_is_with_staff_and_says_no_more(
    customer: User, as_customer: Client, card: ScriptedChannel
) -> None:
    request, _ = ordered(customer, card=120_000)
    card.script.append(scripted.refused("lost_or_stolen_card"))
    work()
    text = reads(as_customer, request)
    assert "To: Card · failed on 2026-11-23 12:00, with our staff CNY 1,200.00" in text
    assert "CNY 1,200.00 could not be paid to your card. It is still owed to you" in text
    assert "lost_or_stolen_card" not in text


def test_each_of_three_parts_says_how_far_it_is(customer: User, as_customer: Client, card: ScriptedChannel) -> None:
    request, payouts = ordered(customer, balance=60_000, bank=40_000, card=20_000)
    card.script.append(scripted.silent())
    work()
    record_failed(payouts["bank"].pk, REASON, by=requests.cashier(), at=NOON)
    text = reads(as_customer, request)
    assert (
        "To: Account balance · paid on 2026-11-23 12:00 CNY 600.00 "
        "To: Online bank account · failed on 2026-11-23 12:00, with our staff CNY 400.00 "
        "To: Card · being checked CNY 200.00"
    ) in text
    assert text.count("Next:") == 2
    assert REASON not in text


def test_a_part_paid_before_it_was_recorded_names_the_day_in_the_banks_books(
    customer: User, as_customer: Client
) -> None:
    request, payouts = ordered(customer, bank=120_000)
    day, later = NOON.date() + timedelta(days=1), NOON + timedelta(days=2)
    record_paid(payouts["bank"].pk, "B-1", by=requests.cashier(), at=later, day=day)
    assert "To: Online bank account · paid on 2026-11-24 CNY 1,200.00" in reads(as_customer, request)


# --- What came back ----------------------------------------------------------------------------


def came_back(customer: User) -> tuple[RefundRequest, Payout]:
    """CNY 500.00 of two parts that were paid."""
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    for channel, payout in payouts.items():
        record_paid(payout.pk, f"{channel}-{payout.pk}", by=requests.cashier(), at=NOON)
    returned = record_returned(payouts["bank"].pk, REASON, by=requests.cashier(), at=NOON + HOUR)
    return request, returned


BACK = "CNY 500.00 came back on 2026-11-23 13:00, still owed to you"
SENTENCE = (
    "CNY 500.00 that we had paid to your online bank account came back to us on 2026-11-23 13:00. It is still owed to "
    "you, and our staff see to it; you don't need to do anything."
)


def test_the_record_says_how_much_came_back_and_when_and_what_we_do_now(customer: User, as_customer: Client) -> None:
    request, _ = came_back(customer)
    text = reads(as_customer, request)
    assert f"Money came back, still owed to you {SENTENCE}" in text
    assert "To: Online bank account · came back on 2026-11-23 13:00 CNY 500.00" in text
    assert "You get back CNY 1,200.00" in text
    assert "Ended" not in text
    assert "2026-11-23 13:00 Money came back to us by the console CNY 500.00, paid to your online bank account." in text
    assert "Next: Our staff send the CNY 500.00 to your online bank account again, or find another way." in text
    assert REASON not in text


def test_the_list_says_so_too(customer: User, as_customer: Client) -> None:
    came_back(customer)
    assert f"Money came back, still owed to you {BACK}" in words(as_customer.get(RECORDS))


def test_the_overview_says_so_beside_the_certificate(customer: User, as_customer: Client) -> None:
    request, _ = came_back(customer)
    text = words(as_customer.get(OVERVIEW))
    assert f"Pending Application Refund: {BACK}" in text
    assert "Refund under way" in text
    details = words(as_customer.get(f"/certificates/{request.certificate.instance_id}/"))
    assert f"A refund of this certificate is under way. {BACK}: {request.reference}" in details


def test_the_panel_says_so_instead_of_a_form(customer: User, as_customer: Client) -> None:
    request, _ = came_back(customer)
    text = words(as_customer.get(panel_of(request.certificate)))
    assert "A refund of this certificate is under way." in text
    assert SENTENCE in text


def test_two_parts_that_came_back_are_summed(customer: User, as_customer: Client) -> None:
    request, _ = came_back(customer)
    alipay = Payout.objects.get(reference=request.reference, channel="alipay")
    record_returned(alipay.pk, REASON, by=requests.cashier(), at=NOON + 2 * HOUR)
    assert "CNY 1,200.00 came back on 2026-11-23 14:00, still owed to you" in words(as_customer.get(RECORDS))
    text = reads(as_customer, request)
    assert "CNY 700.00 that we had paid to your Alipay account came back to us on 2026-11-23 14:00." in text
    assert text.count("It is still owed to you") == 1


def test_one_that_came_back_and_one_that_failed_are_told_apart(customer: User, as_customer: Client) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    record_paid(payouts["bank"].pk, "B-1", by=requests.cashier(), at=NOON)
    record_failed(payouts["alipay"].pk, REASON, by=requests.cashier(), at=NOON)
    record_returned(payouts["bank"].pk, REASON, by=requests.cashier(), at=NOON + HOUR)
    assert (
        "CNY 700.00 could not be paid to your Alipay account. "
        "CNY 500.00 that we had paid to your online bank account came back to us on 2026-11-23 13:00. It is still owed"
    ) in reads(as_customer, request)


def test_what_is_made_good_shows_both_its_return_and_its_new_way(customer: User, as_customer: Client) -> None:
    request, returned = came_back(customer)
    again = try_again(returned.pk, by=requests.cashier(), at=NOON + DAY)
    text = reads(as_customer, request)
    assert "Payment under way The money is on its way to you." in text
    assert "To: Online bank account · came back on 2026-11-23 13:00 · ordered anew CNY 500.00" in text
    assert "came back" not in words(as_customer.get(RECORDS))
    record_paid(again.pk, "B-2", by=requests.cashier(), at=NOON + DAY)
    text = reads(as_customer, request)
    assert "Refunded CNY 1,200.00 was paid back on 2026-11-24 12:00." in text
    assert "· came back on 2026-11-23 13:00 · paid anew on 2026-11-24 12:00 CNY 500.00" in text
    assert text.count("CNY 500.00 To") + text.count("To: Online bank account") == 1


def test_what_was_given_up_after_it_came_back_says_so(customer: User, as_customer: Client) -> None:
    request = requests.given_up_after_return(customer)
    text = reads(as_customer, request)
    assert "To: Alipay account · came back on 2026-11-23 12:00 CNY 1,200.00" in text
    assert "Request again" in text


def test_moments_are_the_readers(customer: User) -> None:
    request, _ = came_back(customer)
    customer.time_zone = "America/Los_Angeles"
    customer.save()
    assert "came back to us on 2026-11-22 21:00" in reads(signed_in(customer), request)
    assert "came back on 2026-11-22 21:00" in words(signed_in(customer).get(OVERVIEW))


# --- Pages that stand open ---------------------------------------------------------------------


@pytest.mark.parametrize("page", [RECORDS, "record"])
def test_a_page_that_stands_open_learns_of_a_second_return(customer: User, htmx: Client, page: str) -> None:
    """The state of the request stays as it was."""
    request, _ = came_back(customer)
    opened = htmx.get(address(request) if page == "record" else page)
    assert poll_seconds(opened) == 15
    alipay = Payout.objects.get(reference=request.reference, channel="alipay")
    assert htmx.get(poll_address(opened)).status_code == 204
    record_returned(alipay.pk, REASON, by=requests.cashier(), at=NOON + 2 * HOUR)
    assert "2026-11-23 14:00" in words(htmx.get(poll_address(opened)))


def test_an_overview_that_stands_open_is_patient_with_what_staff_do(customer: User, htmx: Client) -> None:
    came_back(customer)
    assert poll_seconds(htmx.get(OVERVIEW)) == 15


def test_returns_cost_one_query_however_many_there_are(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 3):
        for _ in range(count):
            came_back(customer)
        # Session, account, requests with their certificates, what came back, refunds that staff are checking.
        with django_assert_num_queries(5):
            as_customer.get(RECORDS)
        with django_assert_num_queries(7):
            as_customer.get(OVERVIEW)


def test_a_record_reads_its_parts_once(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    request, _ = came_back(customer)
    with django_assert_num_queries(7):
        as_customer.get(address(request))


# --- Mails -------------------------------------------------------------------------------------


def mail(template: str) -> str:
    message = compose(Notice.objects.filter(template=template).latest("id"))
    return " ".join(f"{message.subject} {message.body}".split())


def test_mail_about_a_return_says_how_much_and_that_it_is_owed(customer: User) -> None:
    request, _ = came_back(customer)
    text = mail("refund_returned")
    assert f"Money of your refund {request.reference} came back to us" in text
    assert "We had paid CNY 500.00 of your refund, and it was sent back to us." in text
    assert "It is still owed to you." in text
    assert address(request) in text
    assert REASON not in text


def test_mail_about_what_was_made_good_says_so(customer: User) -> None:
    _, returned = came_back(customer)
    assert "Your refund is paid: CNY 1,200.00 went back the way you paid." in mail("refund_refunded")
    record_paid(returned.pk, "B-2", by=requests.cashier(), at=NOON + DAY)
    assert "Your refund is paid in full: CNY 1,200.00. What had come back to us has been paid again." in mail(
        "refund_refunded"
    )


@pytest.mark.parametrize(
    ("days", "way_on"),
    [(1, "please request the refund again or tell us"), (400, "The certificate has expired meanwhile")],
)
def test_mail_about_what_cannot_be_made_good_says_what_can_be_done(customer: User, days: int, way_on: str) -> None:
    request = requests.returned(customer)
    not_possible(Payout.objects.get().pk, "no way", by=requests.cashier(), at=NOON + days * DAY)
    text = mail("refund_failed")
    assert f"Your refund {request.reference} could not be paid" in text
    assert "Money of your refund came back to us, and no other way was found to send it to you." in text
    assert way_on in text


def test_another_request_is_offered_only_where_there_can_be_one(customer: User) -> None:
    request = requests.given_up_after_return(customer)
    with time_machine.travel(NOON + 400 * DAY, tick=False):
        assert "Request again" not in reads(signed_in(customer), request)


# --- Before submitting -------------------------------------------------------------------------


def test_the_panel_promises_no_day_on_which_a_card_shows_it(
    customer: User, as_customer: Client, card: ScriptedChannel
) -> None:
    certificate = factories.certificate(customer, payments={"balance": 70_000, "card": 50_000})
    text = words(as_customer.get(panel_of(certificate)))
    assert (
        "At once: CNY 700.00 goes to your account balance. "
        "CNY 500.00 goes to your card; it may take some days until you see it there."
    ) in text


def test_the_panel_promises_nothing_at_once_where_staff_transfer_a_part(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer, payments={"balance": 70_000, "card": 50_000})
    text = words(as_customer.get(panel_of(certificate)))
    assert "Ordered at once: CNY 700.00 goes to your account balance. CNY 500.00 goes to your card: our staff" in text
