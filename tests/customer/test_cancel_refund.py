"""Cancel Refund asks once, cancels the request that it named, and says what happened instead when it is too late."""

from typing import Any
from unittest.mock import patch

import pytest
from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate
from certificates.states import CertificateState
from core.models import User
from refunds.exceptions import MayNotRequest
from refunds.models import RefundRequest
from refunds.services import approve_refund
from refunds.states import RequestState
from tests import factories
from tests.conftest import signed_in
from tests.customer import requests
from tests.customer.pages import announces, panel_of, words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import HOUR, anew, everything

MINUTE = HOUR / 60


@pytest.fixture
def request_under_review(customer: User) -> RefundRequest:
    return factories.submit(cases.in_review(customer))


def address(request: RefundRequest) -> str:
    return f"{panel_of(request.certificate)}cancel/"


def cancel(client: Client, request: RefundRequest, **typed: Any) -> HttpResponse:
    return client.post(address(request), {"reference": request.reference, **typed})


# --- Who ---------------------------------------------------------------------------------------


def test_nobody_cancels_without_signing_in(request_under_review: RefundRequest) -> None:
    assert Client().get(address(request_under_review)).status_code == 302
    assert cancel(Client(), request_under_review).status_code == 302
    assert anew(request_under_review).state == RequestState.UNDER_REVIEW


@pytest.mark.parametrize("who", ["neighbour", "reviewer"])
def test_nobody_else_may_see_or_do_it(
    request_under_review: RefundRequest, who: str, request: pytest.FixtureRequest
) -> None:
    client = signed_in(request.getfixturevalue(who))
    assert client.get(address(request_under_review)).status_code == 404
    assert cancel(client, request_under_review).status_code == 404
    assert anew(request_under_review).state == RequestState.UNDER_REVIEW


def test_somebody_elses_answers_as_an_unknown_one(as_customer: Client, neighbour: User) -> None:
    theirs = factories.submit(cases.in_review(neighbour))
    unknown = as_customer.get("/certificates/cas-sg-000000000000/refund/cancel/")
    assert as_customer.get(address(theirs)).content == unknown.content


def test_a_reference_of_somebody_elses_request_cancels_nothing(
    request_under_review: RefundRequest, as_customer: Client, neighbour: User
) -> None:
    theirs = factories.submit(cases.in_review(neighbour))
    answer = cancel(as_customer, request_under_review, reference=theirs.reference)
    assert answer.status_code == 422
    assert {anew(each).state for each in (theirs, request_under_review)} == {RequestState.UNDER_REVIEW}


def test_a_form_without_csrf_token_is_refused(request_under_review: RefundRequest, customer: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer)
    assert cancel(strict, request_under_review).status_code == 403
    assert anew(request_under_review).state == RequestState.UNDER_REVIEW


def test_what_the_service_refuses_answers_as_an_unknown_one(
    request_under_review: RefundRequest, as_customer: Client
) -> None:
    with patch("refunds.services.cancel_refund", side_effect=MayNotRequest):
        assert cancel(as_customer, request_under_review).status_code == 404


# --- Asking ------------------------------------------------------------------------------------


def test_looking_asks_and_cancels_nothing(request_under_review: RefundRequest, as_customer: Client) -> None:
    before = everything()
    page = as_customer.get(address(request_under_review))
    text = words(page)
    assert page.status_code == 200
    assert "Cancel the request for CNY 1,200.00?" in text
    assert f"Reference {request_under_review.reference}" in text
    assert "The certificate is free again, in the state it is in now: Pending Application." in text
    assert everything() == before


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (factories.revoked, "The certificate is free again and stays revoked."),
        (
            lambda account: cases.at_authority(account, bought=6 * cases.DAY),
            "Its application is still being closed at the certificate authority",
        ),
        (
            lambda account: factories.certificate(
                account,
                bought=6 * cases.DAY,
                state=CertificateState.PENDING_VERIFICATION,
                submitted_at=NOON - HOUR,
            ),
            "with what you entered for the application that was closed as a draft.",
        ),
    ],
)
def test_it_says_what_the_certificate_will_be(
    customer: User, as_customer: Client, build: cases.Build, sentence: str
) -> None:
    request = factories.submit(build(customer))
    assert sentence in words(as_customer.get(address(request)))


def test_a_certificate_never_asked_for_has_nothing_to_cancel(customer: User, as_customer: Client) -> None:
    certificate = cases.in_review(customer)
    page = as_customer.get(f"{panel_of(certificate)}cancel/")
    assert "No refund of this certificate was requested, so there is nothing to cancel." in words(page)


# --- Cancelling --------------------------------------------------------------------------------


def test_cancelling_frees_the_certificate_and_says_so(request_under_review: RefundRequest, as_customer: Client) -> None:
    answer = cancel(as_customer, request_under_review)
    assert answer["Location"] == f"/refunds/{request_under_review.reference}/?done=cancelled"
    page = as_customer.get(answer["Location"])
    assert "The request is cancelled and the certificate is free again." in words(page)
    assert anew(request_under_review).state == RequestState.CANCELLED
    certificate = Certificate.objects.get(pk=request_under_review.certificate_id)
    assert (certificate.hold, certificate.state) == ("", CertificateState.PENDING_APPLICATION)


def test_cancelling_in_the_drawer_tells_the_lists(request_under_review: RefundRequest, htmx: Client) -> None:
    receipt = htmx.get(cancel(htmx, request_under_review)["Location"])
    assert announces(receipt)
    assert "<html" not in receipt.content.decode()


def test_a_double_click_is_told_the_same(request_under_review: RefundRequest, as_customer: Client) -> None:
    first, before = cancel(as_customer, request_under_review), everything()
    second = cancel(as_customer, request_under_review)
    assert first["Location"] == second["Location"]
    assert everything() == before


def test_an_old_page_does_not_cancel_a_newer_request(request_under_review: RefundRequest, as_customer: Client) -> None:
    cancel(as_customer, request_under_review)
    newer = factories.submit(request_under_review.certificate)
    answer = cancel(as_customer, request_under_review)
    assert answer["Location"].startswith(f"/refunds/{request_under_review.reference}/")
    assert anew(newer).state == RequestState.UNDER_REVIEW


@pytest.mark.parametrize("reference", ["", "RF-20261123-22222222", "a\x00b", "' OR 1=1 --"])
def test_a_form_that_names_no_request_asks_again(
    request_under_review: RefundRequest, as_customer: Client, reference: str
) -> None:
    before = everything()
    answer = cancel(as_customer, request_under_review, reference=reference)
    assert answer.status_code == 422
    assert "Cancel the request for CNY 1,200.00?" in words(answer)
    assert everything() == before


# --- Too late ----------------------------------------------------------------------------------


LATE = "It is too late to cancel this request. "
INSTEAD = {
    requests.approved: f"{LATE}The refund is approved and CNY 1,200.00 has been ordered back.",
    requests.closing: f"{LATE}The refund is approved. CNY 1,200.00 is ordered back as soon as the certificate "
    "authority has confirmed that the application is closed.",
    requests.by_hand: f"{LATE}The refund is approved and CNY 1,200.00 has been ordered back.",
    requests.payment_failed: f"{LATE}CNY 1,200.00 could not be paid to your Alipay account. It is still owed to you",
    requests.returned: f"{LATE}CNY 1,200.00 that we had paid to your Alipay account came back to us on 2026-11-23",
    requests.paying: f"{LATE}The money is on its way to you.",
    requests.refunded: "this request has ended. CNY 1,200.00 was paid back on 2026-11-23 12:00.",
    requests.rejected: "this request has ended. The request was rejected on 2026-11-23 12:00.",
    requests.issued_meanwhile: "this request has ended. The request lapsed on 2026-11-23 12:00: "
    "the certificate was issued meanwhile.",
    requests.failed: "this request has ended. The refund failed on 2026-11-23 12:00 and nothing was paid back. "
    "The certificate is no longer on hold.",
}


@pytest.mark.parametrize("build", INSTEAD, ids=lambda build: build.__name__)
def test_too_late_says_what_happened_instead_and_changes_nothing(
    customer: User, as_customer: Client, build: requests.Build
) -> None:
    request = build(customer)
    before = everything()
    asked, done = as_customer.get(address(request)), cancel(as_customer, request)
    assert (asked.status_code, done.status_code) == (200, 409)
    assert INSTEAD[build] in words(asked)
    assert INSTEAD[build] in words(done)
    assert everything() == before


def test_a_page_opened_in_time_and_sent_too_late_says_what_happened(
    request_under_review: RefundRequest, as_customer: Client, reviewer: User
) -> None:
    assert as_customer.get(address(request_under_review)).status_code == 200
    approve_refund(request_under_review.pk, seen=factories.seen(request_under_review), by=reviewer, at=NOON + MINUTE)
    answer = cancel(as_customer, request_under_review)
    assert answer.status_code == 409
    assert "It is too late to cancel this request." in words(answer)
    assert anew(request_under_review).state == RequestState.APPROVED
