"""What comes of a decision: the request, its customer, its certificate and its money."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from certificates.models import Certificate
from core.models import Notice, User
from payments.models import Payment, Payout
from payments.services import record_paid
from refunds.models import RefundRequest
from refunds.services import cancel_refund, reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import address, approved, everything, failed, ordered, seen_on, under_review

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    return signed_in(reviewer)


@pytest.fixture
def request_(customer: User) -> RefundRequest:
    return under_review(customer)


def told(client: Client, page: str, form: dict[str, str]) -> str:
    """The sentence after a form was sent."""
    answer = client.post(page, form, follow=True)
    assert answer.status_code == 200
    [message] = answer.context["messages"]
    return str(message)


def test_reviewer_approves_and_the_payouts_are_ordered(
    as_reviewer: Client, reviewer: User, request_: RefundRequest
) -> None:
    page = address(request_, "approve")
    sentence = told(as_reviewer, page, {"seen": seen_on(as_reviewer, page), "note": "asked\r\nsales"})
    assert "is approved" in sentence
    request_.refresh_from_db()
    assert request_.state == "approved"
    [decision] = request_.decisions.all()
    assert (decision.by, decision.verdict, decision.note) == (reviewer, "approve", "asked\nsales")
    payouts = Payout.objects.filter(reference=request_.reference).order_by("id")
    assert [(payout.channel, payout.amount) for payout in payouts] == [("alipay", 70_000), ("bank", 50_000)]


def test_reviewer_rejects_with_a_reason_that_the_customer_reads_and_is_mailed(
    as_reviewer: Client, request_: RefundRequest
) -> None:
    page = address(request_, "reject")
    told(as_reviewer, page, {"seen": seen_on(as_reviewer, page), "answer": "It is in use."})
    request_.refresh_from_db()
    assert (request_.state, request_.answer) == ("rejected", "It is in use.")
    assert Notice.objects.get(key=f"{request_.reference}:rejected").context["answer"] == "It is in use."
    assert Certificate.objects.get(pk=request_.certificate_id).hold == ""


def test_reason_may_have_2000_characters_with_line_breaks_counted_once(
    as_reviewer: Client, request_: RefundRequest
) -> None:
    page = address(request_, "reject")
    form = {"seen": seen_on(as_reviewer, page)}
    assert as_reviewer.post(page, {**form, "answer": "x" * 2001}).status_code == 422
    assert as_reviewer.post(page, {**form, "answer": "x\r\n" * 999 + "yz"}).status_code == 302
    request_.refresh_from_db()
    assert len(request_.answer) == 2000


def test_late_decision_reads_that_the_customer_cancelled(
    as_reviewer: Client, customer: User, request_: RefundRequest
) -> None:
    page = address(request_, "approve")
    seen = seen_on(as_reviewer, page)
    cancel_refund(request_.pk, by=customer, at=NOON)
    before = everything()
    sentence = told(as_reviewer, page, {"seen": seen})
    assert "Cancelled by the customer by customer" in sentence
    assert everything() == before


def test_late_decision_reads_who_decided_before(as_reviewer: Client, approver: User, request_: RefundRequest) -> None:
    page = address(request_, "approve")
    seen = seen_on(as_reviewer, page)
    reject_refund(request_.pk, answer="No.", seen=seen, by=approver, at=NOON)
    before = everything()
    assert "Rejected by approver on 2026-11-23 12:00" in told(as_reviewer, page, {"seen": seen})
    assert everything() == before


def test_decision_on_facts_that_have_changed_does_nothing_and_says_so(
    as_reviewer: Client, request_: RefundRequest
) -> None:
    page = address(request_, "approve")
    seen = seen_on(as_reviewer, page)
    Certificate.objects.filter(pk=request_.certificate_id).update(submitted_at=NOON)
    before = everything()
    assert "has changed since the page was opened" in told(as_reviewer, page, {"seen": seen})
    assert everything() == before


def test_decisive_change_is_named_and_cannot_be_approved(as_reviewer: Client, request_: RefundRequest) -> None:
    page = address(request_, "approve")
    seen = seen_on(as_reviewer, page)
    Certificate.objects.filter(pk=request_.certificate_id).update(revocation_requested_at=NOON)
    before = everything()
    assert "Revocation requested" in told(as_reviewer, page, {"seen": seen})
    # The page of now offers no approval either; a crafted form with the newest token is refused by the service.
    assert page not in as_reviewer.get(address(request_)).content.decode()
    assert "Revocation requested" in told(as_reviewer, page, {"seen": factories.seen(request_)})
    assert everything() == before


def test_rejection_stays_possible_after_a_decisive_change(as_reviewer: Client, request_: RefundRequest) -> None:
    Certificate.objects.filter(pk=request_.certificate_id).update(revocation_requested_at=NOON)
    page = address(request_, "reject")
    assert "is rejected" in told(as_reviewer, page, {"seen": seen_on(as_reviewer, page), "answer": "Changed."})


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_decision_after_the_expiration_lets_the_request_lapse_and_says_so_before(
    reviewer: User, request_: RefundRequest, act: str
) -> None:
    page = address(request_, act)
    with time_machine.travel(NOON + timedelta(days=400), tick=False):
        as_reviewer = signed_in(reviewer)
        asked = as_reviewer.get(page)
        assert "lets the request lapse" in asked.content.decode()
        assert "Let it lapse" in asked.content.decode()
        form = {"seen": asked.context["form"].initial["seen"], "answer": "Expired."}
        assert "has lapsed: the certificate expired" in told(as_reviewer, page, form)
    request_.refresh_from_db()
    assert (request_.state, request_.lapse_cause) == ("lapsed", "expired")
    assert not Payout.objects.exists()


@pytest.mark.broken_books
def test_more_than_was_paid_in_is_never_ordered_back(as_reviewer: Client, request_: RefundRequest) -> None:
    Payment.objects.filter(channel="alipay").update(ordered_back=1)
    page, before = address(request_, "approve"), everything()
    sentence = told(as_reviewer, page, {"seen": seen_on(as_reviewer, page)})
    assert "more would go back than was paid in" in sentence
    assert everything() == before


def test_approval_while_an_application_is_closed_orders_nothing_yet(as_reviewer: Client, customer: User) -> None:
    request = under_review(customer, state="validating_application", submitted_at=NOON - timedelta(days=1))
    page = address(request, "approve")
    sentence = told(as_reviewer, page, {"seen": seen_on(as_reviewer, page)})
    assert "once the application is closed" in sentence
    assert not Payout.objects.exists()


# --- Payouts -----------------------------------------------------------------------------------


def test_cashier_records_every_payout_and_the_customer_has_the_refund(
    cashier: User, customer: User, approver: User
) -> None:
    request, client = approved(customer, approver), signed_in(cashier)
    for number, payout in enumerate(Payout.objects.filter(reference=request.reference), 1):
        page = address(payout, "record-paid")
        told(client, page, {"seen": seen_on(client, page), "external_reference": f" 2026-{number} "})
    request.refresh_from_db()
    assert request.state == "refunded"
    assert sorted(Payout.objects.values_list("external_reference", flat=True)) == ["2026-1", "2026-2"]
    assert Certificate.objects.get(pk=request.certificate_id).state == "refunded"
    assert Notice.objects.filter(key=f"{request.reference}:refunded").exists()


def test_whoever_approved_a_request_never_records_its_payout(customer: User, superuser: User) -> None:
    both = factories.staff(
        "both", "refunds.review_refund", "payments.record_payout", "payments.view_payout", "refunds.view_refundrequest"
    )
    for person in (both, superuser):
        payout, client = ordered(customer, person), signed_in(person)
        before = everything()
        for act, form in (("record-paid", {"external_reference": "x"}), ("record-failed", {"reason": "x"})):
            assert client.get(address(payout, act)).status_code == 403
            assert client.post(address(payout, act), {"seen": "ordered", **form}).status_code == 403
        assert everything() == before
        assert "You approved this refund" in client.get(address(payout)).content.decode()


def test_whoever_approved_a_request_does_not_give_its_refund_up(customer: User, superuser: User) -> None:
    request, client = failed(customer, superuser), signed_in(superuser)
    before = everything()
    assert client.get(address(request, "fail")).status_code == 403
    assert client.post(address(request, "fail"), {"seen": factories.seen(request), "reason": "x"}).status_code == 403
    assert everything() == before


def test_outside_reference_is_used_once_a_channel(cashier: User, customer: User, approver: User) -> None:
    first, second = ordered(customer, approver), ordered(customer, approver)
    record_paid(first.pk, "2026-1", by=cashier, at=NOON)
    client, page = signed_in(cashier), address(second, "record-paid")
    form = {"seen": seen_on(client, page), "external_reference": "2026-1"}
    before = everything()
    answer = client.post(page, form)
    assert answer.status_code == 422
    assert "carries this reference already" in answer.context["form"].errors["external_reference"][0]
    assert 'value="2026-1"' in answer.content.decode()
    assert everything() == before


def test_failed_payout_may_be_recorded_as_paid_after_all(cashier: User, customer: User, approver: User) -> None:
    request, client = failed(customer, approver), signed_in(cashier)
    for payout in Payout.objects.filter(reference=request.reference):
        page = address(payout, "record-paid")
        told(client, page, {"seen": seen_on(client, page), "external_reference": f"again-{payout.pk}"})
    request.refresh_from_db()
    assert request.state == "refunded"


def test_refund_given_up_frees_its_certificate_and_ends_its_payouts(
    cashier: User, customer: User, approver: User
) -> None:
    request, client = failed(customer, approver), signed_in(cashier)
    page = address(request, "fail")
    assert "can be used again" in told(client, page, {"seen": seen_on(client, page), "reason": "Account closed."})
    request.refresh_from_db()
    assert request.state == "failed"
    assert Certificate.objects.get(pk=request.certificate_id).hold == ""
    payout = Payout.objects.filter(reference=request.reference)[0]
    assert address(payout, "record-paid") not in client.get(address(payout)).content.decode()
    sentence = told(client, address(payout, "record-paid"), {"seen": "failed", "external_reference": "late"})
    assert "Nothing was recorded" in sentence


def test_payout_that_the_console_pays_by_itself_is_not_recorded(cashier: User, customer: User, approver: User) -> None:
    payout, client = ordered(customer, approver, payments={"balance": 120_000}), signed_in(cashier)
    before = everything()
    assert "pays this channel by itself" in client.get(address(payout)).content.decode()
    form = {"seen": "ordered", "external_reference": "x"}
    assert "pays payouts of this channel" in told(client, address(payout, "record-paid"), form)
    assert everything() == before
