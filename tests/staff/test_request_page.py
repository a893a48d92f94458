"""A request's page: read-only, everything a decision needs, and what happened since."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from certificates.models import Certificate
from core.models import User
from payments.models import Payout
from payments.services import record_paid
from refunds.models import RefundRequest
from refunds.services import reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.staff.pages import address, approved, failed, under_review

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    return signed_in(reviewer)


def changes(client: Client, request: RefundRequest) -> dict[str, bool]:
    """The facts that the page marks as changed, and whether each decides."""
    changed = client.get(address(request)).context["changed"]
    return {str(fact.label): fact.is_decisive for fact in changed}


@pytest.mark.broken_books
def test_page_shows_facts_then_and_now_with_differences_marked(as_reviewer: Client, customer: User) -> None:
    request = under_review(customer)
    assert changes(as_reviewer, request) == {}
    Certificate.objects.filter(pk=request.certificate_id).update(voucher_part=700, paid_part=110_000)
    assert changes(as_reviewer, request) == {"Paid part": True, "Voucher part": False}
    page = as_reviewer.get(address(request)).content.decode()
    assert "1,200.00" in page
    assert "1,100.00" in page
    assert "changed, decides" in page
    assert "changed, does not decide" in page


def test_page_shows_what_the_policy_reads_then_and_now(as_reviewer: Client, customer: User) -> None:
    request = under_review(customer)
    Certificate.objects.filter(pk=request.certificate_id).update(service_ends_at=NOON + timedelta(days=3))
    page = as_reviewer.get(address(request))
    then, now = page.context["then"], page.context["today"]
    assert (then.rule, then.unmet) == ("unissued-manual", ())
    assert (now.rule, [each.text for each in now.unmet]) == (
        "unissued-too-late",
        ["Bought no more than 5 days ago, or at least 15 days left before it expires"],
    )
    assert now.answer in words(page)


def test_page_shows_the_conditions_of_the_submission_in_the_services_days(
    as_reviewer: Client, customer: User, frozen: time_machine.Traveller
) -> None:
    request = under_review(customer)
    frozen.move_to(NOON + timedelta(days=3))
    text = words(as_reviewer.get(address(request)))
    assert "Bought more than 5 days ago bought 20 days ago bought 23 days ago" in text
    assert "Days are counted in Asia/Shanghai (UTC+08:00)." in text
    assert "13 facts, none changed" in text


def test_page_says_when_time_changes_a_condition_and_stops_once_the_request_has_ended(
    as_reviewer: Client, reviewer: User, customer: User
) -> None:
    request = under_review(customer)
    assert "(changes on 2027-11-03)" in words(as_reviewer.get(address(request)))
    reject_refund(request.pk, answer="No", seen=factories.seen(request), by=reviewer, at=NOON)
    Certificate.objects.filter(pk=request.certificate_id).update(service_ends_at=NOON + timedelta(days=3))
    page = as_reviewer.get(address(request))
    text = words(page)
    assert "changes on" not in text
    assert "Now: " not in text
    assert page.context["then"].answer in text


def test_page_shows_where_each_part_of_the_money_goes_and_how_far_it_is(
    as_reviewer: Client, customer: User, approver: User, cashier: User
) -> None:
    request = approved(customer, approver)
    first = Payout.objects.filter(reference=request.reference).order_by("id")[0]
    record_paid(first.pk, "outside-77", by=cashier, at=NOON)
    context = as_reviewer.get(address(request)).context
    assert [line.channel for line in context["money_lines"]] == ["Alipay account", "Online bank account"]
    page = as_reviewer.get(address(request)).content.decode()
    for text in ("CNY 700.00", "CNY 500.00", "outside-77", "Paid", "Ordered", "Voucher (not refunded)"):
        assert text in page.replace("\xa0", " ")


def test_page_shows_warnings_of_the_submission(as_reviewer: Client, customer: User) -> None:
    request = under_review(customer, service_ends_at=NOON + timedelta(days=17))
    assert "may not finish before the certificate expires" in as_reviewer.get(address(request)).content.decode()


def test_page_shows_earlier_requests_of_the_certificate_with_their_answers(
    as_reviewer: Client, customer: User, approver: User
) -> None:
    earlier = under_review(customer)
    reject_refund(earlier.pk, answer="It is in use.", seen=factories.seen(earlier), by=approver, at=NOON)
    request = factories.submit(earlier.certificate)
    page = as_reviewer.get(address(request)).content.decode()
    assert earlier.reference in page
    assert "It is in use." in page


def test_page_tells_the_story_with_who_when_and_what_comes_next(
    as_reviewer: Client, customer: User, approver: User
) -> None:
    request = approved(customer, approver)
    context = as_reviewer.get(address(request)).context
    told = [(str(step.act), step.who) for step in context["steps"]]
    assert told == [("Requested", "customer"), ("Approved", "approver"), ("Payouts ordered", "the console")]
    assert str(context["next_step"]) == "The payouts are made."
    assert "Approved" in as_reviewer.get(address(request)).content.decode()


def test_page_says_what_an_approved_request_waits_for_while_its_application_is_closed(
    as_reviewer: Client, customer: User, approver: User
) -> None:
    request = approved(customer, approver, state="validating_application", submitted_at=NOON - timedelta(days=1))
    assert "The authority answers" in as_reviewer.get(address(request)).context["next_step"]
    assert not Payout.objects.exists()


def test_reviewer_reads_why_no_buttons_show_on_their_own_request(reviewer: User) -> None:
    request = under_review(reviewer)
    page = signed_in(reviewer).get(address(request)).content.decode()
    assert "Someone else has to decide it" in page
    assert address(request, "approve") not in page


def test_request_made_for_another_account_is_not_decided_by_its_maker(reviewer: User, customer: User) -> None:
    """The account is the customer's; the one who made the request is the reviewer."""
    request = under_review(customer)
    RefundRequest.objects.filter(pk=request.pk).update(requested_by=reviewer)
    client = signed_in(reviewer)
    assert client.get(address(request, "approve")).status_code == 403
    assert client.post(address(request, "reject"), {"answer": "no", "seen": factories.seen(request)}).status_code == 403
    request.refresh_from_db()
    assert request.state == "under_review"


def test_text_of_the_customer_is_shown_as_text(as_reviewer: Client, customer: User) -> None:
    certificate = factories.certificate(customer, bought=timedelta(days=20), domains=("<b>shop</b>.example.com",))
    request = factories.submit(certificate, reason="other", text="<script>alert(1)</script>")
    for page in (address(request), address(request, "approve"), address(request).replace(f"{request.pk}/change/", "")):
        text = as_reviewer.get(page).content.decode()
        assert "<script>alert" not in text
        assert "<b>shop" not in text
    assert "&lt;script&gt;alert(1)" in as_reviewer.get(address(request)).content.decode()


@pytest.mark.parametrize("unknown", ["987654", "9" * 40, "abc", "1'", "_2F"])
def test_unknown_request_is_not_found(as_reviewer: Client, unknown: str) -> None:
    assert as_reviewer.get(f"/admin/refunds/refundrequest/{unknown}/change/").status_code == 404


def test_clerk_looks_at_a_request_and_finds_no_button(clerk: User, customer: User) -> None:
    request = under_review(customer)
    answer = signed_in(clerk).get(address(request))
    assert answer.status_code == 200
    assert answer.context["acts"] == []
    assert "not decide it" in answer.content.decode()


def test_giving_up_shows_only_once_every_payout_has_failed(cashier: User, customer: User, approver: User) -> None:
    client = signed_in(cashier)
    waiting = approved(customer, approver)
    assert address(waiting, "fail") not in client.get(address(waiting)).content.decode()
    request = failed(customer, approver)
    assert address(request, "fail") in client.get(address(request)).content.decode()
    payout = Payout.objects.filter(reference=request.reference).order_by("id")[0]
    record_paid(payout.pk, "outside-1", by=cashier, at=NOON)
    assert address(request, "fail") not in client.get(address(request)).content.decode()


def test_everything_on_the_page_takes_a_fixed_number_of_queries(
    as_reviewer: Client, customer: User, approver: User, django_assert_max_num_queries
) -> None:
    request = approved(customer, approver, domains=tuple(f"shop-{n}.example.com" for n in range(9)))
    with django_assert_max_num_queries(20):
        as_reviewer.get(address(request))
