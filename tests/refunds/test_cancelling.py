"""Cancel Refund: the certificate is as it was, unless it is too late."""

import pytest

from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from certificates.states import CertificateState
from core.models import User
from payments.models import Payout
from refunds.exceptions import MayNotRequest, RequestMoved
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, reject_refund
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, anew, everything


def facts_and_all(certificate: Certificate) -> dict[str, object]:
    return Certificate.objects.filter(pk=certificate.pk).values().get()


@pytest.mark.parametrize("build", [cases.in_review, factories.revoked], ids=["unissued", "revoked"])
def test_a_customer_who_cancels_has_the_certificate_as_it_was(customer: User, build: cases.Build) -> None:
    certificate = build(customer)
    before = facts_and_all(certificate)
    request = factories.submit(certificate)
    assert anew(certificate).hold == request.reference

    cancelled = cancel_refund(request.pk, by=customer, at=NOON + HOUR)

    assert (cancelled.state, anew(request).ended_at) == (RequestState.CANCELLED, NOON + HOUR)
    assert facts_and_all(certificate) == before
    assert not Payout.objects.exists()


def test_a_failed_application_is_still_a_failed_one_after_cancelling(customer: User) -> None:
    certificate = cases.in_review(customer, state=CertificateState.VALIDATION_FAILED, failure_cause="no TXT record")
    before = facts_and_all(certificate)

    cancel_refund(factories.submit(certificate).pk, by=customer, at=NOON)

    assert facts_and_all(certificate) == before


def test_an_application_that_was_closed_stays_closed_with_its_draft(customer: User) -> None:
    certificate = cases.in_review(
        customer, state=CertificateState.PENDING_VERIFICATION, submitted_at=NOON - HOUR, domains=("a.example.com",)
    )

    cancel_refund(factories.submit(certificate).pk, by=customer, at=NOON)

    now = anew(certificate)
    assert (now.state, now.submitted_at, now.hold) == ("pending_application", None, "")
    assert [domain.name for domain in now.domains.all()] == ["a.example.com"]


def test_a_closing_under_way_goes_on_after_cancelling(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, bought=6 * DAY)
    cancel_refund(factories.submit(certificate).pk, by=customer, at=NOON)

    released = anew(certificate)
    assert (released.state, released.hold, released.closing_since) == ("validating_application", "", NOON)
    record_closed(certificate.pk, by=reviewer, at=NOON + HOUR)
    assert anew(certificate).state == "pending_application"


def test_an_issue_after_cancelling_is_recorded_and_moves_no_request(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, bought=6 * DAY)
    request = factories.submit(certificate)
    cancel_refund(request.pk, by=customer, at=NOON)

    record_issued(certificate.pk, factories.handover(), by=reviewer, at=NOON + HOUR)

    assert anew(certificate).state == "issued"
    assert anew(request).state == RequestState.CANCELLED


def test_a_customer_may_ask_again_while_the_earlier_closing_is_unanswered(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, bought=6 * DAY)
    cancel_refund(factories.submit(certificate).pk, by=customer, at=NOON)
    second = factories.submit(certificate, at=NOON + HOUR)
    approve_refund(second.pk, seen=factories.seen(second), by=reviewer, at=NOON + 2 * HOUR)
    assert not Payout.objects.exists()

    record_closed(certificate.pk, by=reviewer, at=NOON + 3 * HOUR)

    assert [payout.reference for payout in Payout.objects.all()] == [second.reference]


def test_a_cancelled_request_may_be_handed_in_again_and_is_judged_anew(customer: User) -> None:
    certificate = cases.in_review(customer)
    first = factories.submit(certificate)
    cancel_refund(first.pk, by=customer, at=NOON)

    second = factories.submit(certificate, at=NOON + DAY)

    assert second.pk != first.pk
    assert second.submitted_at == NOON + DAY
    assert anew(certificate).hold == second.reference


def too_late(state: str, certificate: Certificate, reviewer: User) -> RefundRequest:
    request = factories.submit(certificate)
    seen = factories.seen(request)
    if state == RequestState.REJECTED:
        return reject_refund(request.pk, answer="Used already.", seen=seen, by=reviewer, at=NOON)
    if state == RequestState.CANCELLED:
        return cancel_refund(request.pk, by=certificate.account, at=NOON)
    approve_refund(request.pk, seen=seen, by=reviewer, at=NOON)
    if state == RequestState.REFUNDED:
        factories.pay_out()
    return anew(request)


@pytest.mark.parametrize("state", ["approved", "refunded", "rejected", "cancelled"])
def test_once_it_is_too_late_cancelling_changes_nothing_and_says_the_state(
    customer: User, reviewer: User, state: str
) -> None:
    request = too_late(state, cases.in_review(customer), reviewer)
    assert request.state == state
    before = everything()

    with pytest.raises(RequestMoved) as refused:
        cancel_refund(request.pk, by=customer, at=NOON)

    assert refused.value.request.state == state
    assert everything() == before


def test_what_the_policy_approved_itself_cannot_be_cancelled(customer: User) -> None:
    request = factories.submit(cases.at_authority(customer))

    with pytest.raises(RequestMoved):
        cancel_refund(request.pk, by=customer, at=NOON)


def test_nobody_else_cancels_a_request(customer: User, neighbour: User, reviewer: User) -> None:
    request = factories.submit(cases.in_review(customer))
    admin = factories.UserFactory(username="admin", is_staff=True, is_superuser=True)
    before = everything()

    for person in (neighbour, reviewer, admin):
        with pytest.raises(MayNotRequest):
            cancel_refund(request.pk, by=person, at=NOON)
    assert everything() == before


def test_an_account_that_was_closed_may_not_cancel(customer: User) -> None:
    request = factories.submit(cases.in_review(customer))
    customer.is_active = False

    with pytest.raises(MayNotRequest):
        cancel_refund(request.pk, by=customer, at=NOON)
