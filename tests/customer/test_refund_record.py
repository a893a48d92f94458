"""One request's page: the receipt after submitting, and its record ever after."""

import re
from datetime import datetime

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from certificates.models import Certificate
from core import audit
from core.clock import SERVICE_ZONE
from core.models import User
from payments.models import Payout
from payments.services import record_paid
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund
from refunds.states import Reason, RequestState
from tests import factories
from tests.conftest import signed_in
from tests.customer import requests
from tests.customer.pages import announces, poll_address, poll_seconds, words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, everything


def address(request: RefundRequest) -> str:
    return f"/refunds/{request.reference}/"


def reads(client: Client, request: RefundRequest) -> str:
    page = client.get(address(request))
    assert page.status_code == 200
    return words(page)


# --- Who ---------------------------------------------------------------------------------------


def test_nobody_reads_it_without_signing_in(customer: User) -> None:
    assert Client().get(address(requests.under_review(customer))).status_code == 302


def test_somebody_elses_request_answers_as_an_unknown_one(as_customer: Client, neighbour: User) -> None:
    theirs = as_customer.get(address(requests.under_review(neighbour)))
    unknown = as_customer.get("/refunds/RF-20261123-22222222/")
    assert (theirs.status_code, unknown.status_code) == (404, 404)
    assert theirs.content == unknown.content


def test_staff_have_pages_of_their_own(customer: User) -> None:
    request = requests.under_review(customer)
    assert signed_in(requests.reviewer()).get(address(request)).status_code == 404


def test_reading_changes_nothing_and_takes_no_post(customer: User, as_customer: Client) -> None:
    request = requests.under_review(customer)
    before = everything()
    reads(as_customer, request)
    assert as_customer.post(address(request)).status_code == 405
    assert everything() == before


# --- In every state ----------------------------------------------------------------------------

STANDS = {
    requests.under_review: "Under review Our staff are reviewing the request.",
    requests.approved: "Approved, money ordered The refund is approved and CNY 1,200.00 has been ordered back.",
    requests.closing: "CNY 1,200.00 is ordered back as soon as the certificate authority has confirmed",
    requests.paying: "Payment under way The money is on its way to you.",
    requests.payment_failed: "Payment failed, being retried CNY 1,200.00 could not be paid to your Alipay account. "
    "It is still owed to you, and our staff see to it; you don't need to do anything.",
    requests.returned: "Money came back, still owed to you CNY 1,200.00 that we had paid to your Alipay account came "
    "back to us on 2026-11-23 12:00. It is still owed to you, and our staff see to it; you don't need to do anything.",
    requests.refunded: "Refunded CNY 1,200.00 was paid back on 2026-11-23 12:00.",
    requests.rejected: "Rejected The request was rejected on 2026-11-23 12:00.",
    requests.cancelled: "Cancelled by you You cancelled the request on 2026-11-23 12:00.",
    requests.issued_meanwhile: "Lapsed The request lapsed on 2026-11-23 12:00: the certificate was issued meanwhile.",
    requests.expired: "Lapsed The request lapsed on 2026-12-04 12:00: the certificate expired before the refund was",
    requests.failed: "The refund failed on 2026-11-23 12:00 and nothing was paid back. The certificate is no longer",
    requests.given_up_after_return: "The refund failed on 2026-11-23 12:00: the money came back to us, and no other",
}


@pytest.mark.parametrize("build", STANDS, ids=lambda build: build.__name__)
def test_it_says_where_the_request_stands(customer: User, as_customer: Client, build: requests.Build) -> None:
    assert STANDS[build] in reads(as_customer, build(customer))


@pytest.mark.parametrize(("state", "build"), requests.IN_EVERY_STATE.items())
def test_each_state_has_an_icon_and_a_word(
    customer: User, as_customer: Client, state: str, build: requests.Build
) -> None:
    request = build(customer)
    assert request.state == state
    page = as_customer.get(address(request)).content.decode()
    [chip] = re.findall(r'<p class="standing">(.*?)</p>', page, re.S)
    assert "<svg" in chip
    assert str(RequestState(state).label) in chip


def test_a_rejection_is_read_in_our_words(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, requests.rejected(customer))
    assert "The reason The certificate is in use. Please replace it first." in text


# --- What comes next ---------------------------------------------------------------------------

NEXT = {
    requests.under_review: [
        "Next: Our staff decide by 2026-12-14 at the latest, usually within 5 business days.",
        "Next: CNY 1,200.00 goes to your account balance.",
    ],
    requests.approved: ["Next: CNY 1,200.00 goes to your account balance."],
    requests.closing: [
        "Next: The certificate authority confirms that the application is closed (asked on 2026-11-23 12:00). "
        "Should it issue the certificate instead, the request lapses",
        "Next: CNY 1,200.00 goes to your account balance.",
    ],
    requests.by_hand: ["Next: CNY 1,200.00 goes to your Alipay account: our staff transfer it"],
    requests.paying: ["Next: CNY 500.00 goes to your Alipay account: our staff transfer it"],
    requests.payment_failed: ["Next: Our staff send the CNY 1,200.00 to your Alipay account again, or find another"],
    requests.returned: ["Next: Our staff send the CNY 1,200.00 to your Alipay account again, or find another way."],
    requests.refunded: [],
    requests.rejected: [],
    requests.cancelled: [],
    requests.issued_meanwhile: [],
    requests.failed: [],
    requests.given_up_after_return: [],
}


@pytest.mark.parametrize("build", NEXT, ids=lambda build: build.__name__)
def test_it_says_what_comes_next(customer: User, as_customer: Client, build: requests.Build) -> None:
    text = reads(as_customer, build(customer))
    assert text.count("Next:") == len(NEXT[build])
    for sentence in NEXT[build]:
        assert sentence in text


def test_a_late_decision_is_called_late(customer: User) -> None:
    request = requests.under_review(customer)
    with time_machine.travel(datetime(2026, 12, 14, 23, 59, 59, tzinfo=SERVICE_ZONE), tick=False) as clock:
        assert "is late" not in reads(signed_in(customer), request)
        clock.shift(1)
        text = reads(signed_in(customer), request)
    assert (
        "A decision was due by 2026-12-14 and is overdue. You don't need to do anything; our staff will still decide."
        in text
    )


def test_a_due_day_over_unknown_holidays_says_so(customer: User, as_customer: Client) -> None:
    at = datetime(2026, 12, 21, 12, tzinfo=SERVICE_ZONE)
    request = factories.submit(cases.in_review(customer), at=at)
    text = reads(as_customer, request)
    assert "Decided by 2027-01-12 (provisional: it depends on holidays that haven't been announced yet)" in text
    assert "at the latest, usually within 5 business days. 2027-01-12 is provisional: it depends on holidays" in text
    assert "provisional" not in reads(as_customer, requests.under_review(customer))


# --- History -----------------------------------------------------------------------------------


def test_the_history_names_each_act_its_moment_and_who_but_no_member_of_staff(
    customer: User, as_customer: Client
) -> None:
    request = requests.approved(customer)
    factories.pay_out(at=NOON + HOUR)
    text = reads(as_customer, request)
    story = text[text.index("History") :]
    assert (
        "2026-11-23 12:00 Refund requested by you I no longer need the certificate. "
        "2026-11-23 12:00 Approved by our staff "
        "2026-11-23 12:00 Money ordered back by the console "
        "2026-11-23 13:00 Payment under way by the console "
        "2026-11-23 13:00 Refunded by the console"
    ) in story
    assert "reviewer" not in as_customer.get(address(request)).content.decode()


def test_the_history_holds_what_the_customer_wrote_and_was_told(customer: User, as_customer: Client) -> None:
    request = factories.submit(cases.in_review(customer), reason=Reason.OTHER, text="We merged <two> shops.")
    assert "Refund requested by you We merged <two> shops." in reads(as_customer, request)
    assert "Rejected by our staff The certificate is in use." in reads(as_customer, requests.rejected(customer))


def test_an_approval_by_the_rules_says_so(customer: User, as_customer: Client) -> None:
    assert "Approved by the console The refund rules need no review here." in reads(
        as_customer, requests.refunded(customer)
    )


def test_notes_among_staff_stay_there(customer: User, as_customer: Client) -> None:
    request = requests.failed(customer)
    assert "no account left" not in reads(as_customer, request)
    granted = requests.under_review(customer)
    approve_refund(granted.pk, seen=factories.seen(granted), by=requests.reviewer(), at=NOON, note="a good customer")
    assert "a good customer" not in reads(as_customer, granted)
    audit.record(request, "looked_into", by=requests.reviewer(), at=NOON, note="suspicious")
    text = reads(as_customer, request)
    assert "suspicious" not in text
    assert "looked_into" not in text


def test_times_are_the_readers(customer: User) -> None:
    request = requests.under_review(customer)
    customer.time_zone = "America/Los_Angeles"
    customer.save()
    text = reads(signed_in(customer), request)
    assert "Submitted 2026-11-22 20:00 Decided by 2026-12-14" in text
    assert "History America/Los_Angeles" in text


# --- Money -------------------------------------------------------------------------------------


def test_each_part_is_shown_with_its_state(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, requests.paying(customer))
    assert (
        "You get back CNY 1,200.00 To: Account balance · paid on 2026-11-23 12:00 CNY 700.00 "
        "To: Alipay account · ordered CNY 500.00"
    ) in text


def test_a_paid_part_names_its_day_and_the_label_says_got(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, requests.refunded(customer))
    assert "You got back CNY 1,200.00 To: Account balance · paid on 2026-11-23 12:00 CNY 1,200.00" in text


def test_before_an_order_the_parts_are_those_of_the_certificate(customer: User, as_customer: Client) -> None:
    request = factories.submit(cases.in_review(customer, payments={"bank": 70_000, "card": 50_000}))
    text = reads(as_customer, request)
    assert "To: Online bank account CNY 700.00 To: Card CNY 500.00" in text


@pytest.mark.parametrize("build", [requests.rejected, requests.cancelled, requests.issued_meanwhile])
def test_what_ended_unpaid_goes_nowhere(customer: User, as_customer: Client, build: requests.Build) -> None:
    text = reads(as_customer, build(customer))
    assert "Asked for CNY 1,200.00 Submitted" in text


def test_a_refund_given_up_says_that_its_payment_failed(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, requests.failed(customer))
    assert "To: Alipay account · failed on 2026-11-23 12:00 CNY 1,200.00" in text


# --- Ways on -----------------------------------------------------------------------------------


def links(client: Client, request: RefundRequest) -> str:
    return client.get(address(request)).content.decode()


@pytest.mark.parametrize(("state", "build"), requests.IN_EVERY_STATE.items())
def test_cancel_is_offered_only_while_it_works(
    customer: User, as_customer: Client, state: str, build: requests.Build
) -> None:
    request = build(customer)
    assert ("/refund/cancel/" in links(as_customer, request)) is (state == RequestState.UNDER_REVIEW)


@pytest.mark.parametrize(
    ("build", "is_offered"),
    [
        (requests.cancelled, True),
        (requests.rejected, True),
        (requests.failed, True),
        (requests.issued_meanwhile, True),
        (requests.under_review, False),
        (requests.refunded, False),
    ],
)
def test_another_request_is_offered_where_the_policy_allows_one(
    customer: User, as_customer: Client, build: requests.Build, is_offered: bool
) -> None:
    assert ("Request again" in reads(as_customer, build(customer))) is is_offered


def test_another_request_is_not_offered_past_the_last_day(customer: User) -> None:
    request = requests.cancelled(customer)
    with time_machine.travel(NOON + 355 * DAY, tick=False):
        assert "Request again" not in reads(signed_in(customer), request)


def test_requests_of_one_certificate_lead_to_one_another(customer: User, as_customer: Client) -> None:
    first = requests.cancelled(customer)
    second = factories.submit(first.certificate)
    stranger = requests.under_review(customer)
    text = reads(as_customer, first)
    assert f"Other requests of this certificate {second.reference} Under review" in text
    assert address(second) in links(as_customer, first)
    assert address(first) in links(as_customer, second)
    assert address(stranger) not in links(as_customer, first)
    assert "Request again" not in text


def test_the_record_of_a_deleted_certificate_stays_and_leads_nowhere(customer: User, as_customer: Client) -> None:
    request = requests.cancelled(customer)
    Certificate.objects.filter(pk=request.certificate_id).update(deleted_at=NOON)
    text = reads(as_customer, request)
    assert request.certificate.name in text
    assert "/certificates/" not in links(as_customer, request)


# --- It refreshes itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "seconds"),
    [
        (requests.approved, 2),
        (requests.under_review, 15),
        (requests.closing, 15),
        (requests.by_hand, 15),
        (requests.refunded, 0),
        (requests.rejected, 0),
        (requests.cancelled, 0),
    ],
)
def test_it_asks_soon_while_the_console_pays_later_while_others_are_awaited_and_never_when_over(
    customer: User, htmx: Client, build: requests.Build, seconds: int
) -> None:
    assert poll_seconds(htmx.get(address(build(customer)))) == seconds


def test_a_poll_gets_nothing_while_nothing_has_changed(customer: User, htmx: Client) -> None:
    page = htmx.get(address(requests.approved(customer)))
    answer = htmx.get(poll_address(page))
    assert (answer.status_code, answer.content) == (204, b"")
    assert not announces(answer)


def test_a_refund_turns_to_refunded_before_the_customers_eyes(customer: User, htmx: Client) -> None:
    request = factories.submit(factories.certificate(customer))
    page = htmx.get(address(request))
    factories.pay_out()
    answer = htmx.get(poll_address(page))
    assert answer.status_code == 200
    assert "Refunded CNY 1,200.00 was paid back" in words(answer)
    assert announces(answer)
    assert "hx-trigger" not in answer.content.decode()


def test_a_poll_brings_the_buttons_that_fit(customer: User, htmx: Client) -> None:
    request = requests.under_review(customer)
    page = htmx.get(address(request))
    cancel_refund(request.pk, by=customer, at=NOON)
    answer = htmx.get(poll_address(page)).content.decode()
    assert '<footer id="record-foot" hx-swap-oob="innerHTML">' in answer
    assert "/refund/cancel/" not in answer
    assert "Request again" in answer


def test_a_poll_sees_each_part_arrive(customer: User, htmx: Client) -> None:
    """The second of three: the request's own state stays as it was."""
    payments = {"card": 10_000, "bank": 60_000, "alipay": 50_000}
    request = factories.submit(factories.certificate(customer, payments=payments))
    card, bank, _alipay = Payout.objects.filter(reference=request.reference).order_by("id")
    record_paid(card.pk, "C-1", by=requests.cashier(), at=NOON)
    page = htmx.get(address(request))
    record_paid(bank.pk, "B-1", by=requests.cashier(), at=NOON)
    answer = htmx.get(poll_address(page))
    assert "To: Online bank account · paid on 2026-11-23 12:00" in words(answer)


def test_a_poll_of_somebody_else_is_as_unknown(customer: User, neighbour: User) -> None:
    request = requests.approved(customer)
    other = signed_in(neighbour)
    assert other.get(f"{address(request)}?since=x", headers={"HX-Request": "true"}).status_code == 404


# --- The receipt -------------------------------------------------------------------------------


def test_a_receipt_loaded_again_says_the_same(customer: User, as_customer: Client) -> None:
    request = requests.under_review(customer)
    pages = [as_customer.get(f"{address(request)}?done=requested") for _ in range(2)]
    assert words(pages[0]) == words(pages[1])
    assert "Your refund is requested under the reference" in words(pages[0])


@pytest.mark.parametrize(
    ("build", "done"),
    [
        (requests.cancelled, "requested"),
        (requests.expired, "requested"),
        (requests.under_review, "cancelled"),
        (requests.under_review, "approved"),
        (requests.under_review, "<script>"),
    ],
)
def test_an_address_claims_nothing_that_is_not_so(
    customer: User, as_customer: Client, build: requests.Build, done: str
) -> None:
    page = as_customer.get(address(build(customer)), {"done": done})
    assert "notice--success" not in page.content.decode()


# --- Its cost ----------------------------------------------------------------------------------


def test_it_is_read_in_the_same_number_of_queries_whatever_there_is(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    short = requests.under_review(customer)
    certificate = cases.in_review(customer, payments={"balance": 1, "bank": 2, "card": 3, "alipay": 4})
    for _ in range(3):
        cancel_refund(factories.submit(certificate).pk, by=customer, at=NOON)
    long = factories.submit(certificate)
    approve_refund(long.pk, seen=factories.seen(long), by=requests.reviewer(), at=NOON)
    # Session, account, request with its certificate, payouts, shares where none is ordered, history, other requests,
    # refunds that staff are checking.
    for request, count in ((short, 8), (long, 7)):
        with django_assert_num_queries(count):
            as_customer.get(address(request))
