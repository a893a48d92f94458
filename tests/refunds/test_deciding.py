"""Who may approve and reject, on which facts, and what becomes of the request."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, transaction

from certificates.models import Certificate
from certificates.services import record_closed
from certificates.states import CertificateState
from core.models import User
from payments.models import Payout
from refunds.exceptions import FactsChanged, InvalidReason, MayNotDecide, NotRefundable, RequestMoved
from refunds.models import Decision, RefundRequest
from refunds.services import approve_refund, cancel_refund, may_decide, reject_refund
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, anew, everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(customer: User) -> RefundRequest:
    """Under review."""
    return factories.submit(cases.in_review(customer))


def approve(request: RefundRequest, by: User, **more: Any) -> RefundRequest:
    return approve_refund(request.pk, **{"seen": factories.seen(request), "by": by, "at": NOON + HOUR, **more})


def reject(request: RefundRequest, by: User, **more: Any) -> RefundRequest:
    return reject_refund(
        request.pk,
        **{"answer": "Used already.", "seen": factories.seen(request), "by": by, "at": NOON + HOUR, **more},
    )


DECIDE = pytest.mark.parametrize("decide", [approve, reject])


# --- Approve -----------------------------------------------------------------------------------


def test_a_reviewer_approves_and_the_money_is_ordered_in_their_name(request_: RefundRequest, reviewer: User) -> None:
    approved = approve(request_, reviewer, note="as agreed by phone")

    assert approved.state == RequestState.APPROVED
    decision = Decision.objects.get(request=request_)
    assert (decision.verdict, decision.by, decision.at) == ("approve", reviewer, NOON + HOUR)
    assert (decision.effective_at, decision.note) == (NOON + HOUR, "as agreed by phone")
    [payout] = Payout.objects.all()
    assert (payout.reference, payout.amount, payout.approved_by) == (request_.reference, 120_000, reviewer)


def test_a_reviewer_approves_the_refund_of_a_revoked_certificate(customer: User, reviewer: User) -> None:
    certificate = factories.revoked(customer)
    request = factories.submit(certificate)

    approve(request, reviewer)
    factories.pay_out(at=NOON + 2 * HOUR)

    assert (anew(request).state, anew(certificate).state) == ("refunded", "refunded")


def test_an_approval_waits_for_the_authority_to_close_the_application(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, bought=6 * DAY)
    request = factories.submit(certificate)

    approve(request, reviewer)
    assert anew(request).state == RequestState.APPROVED
    assert not Payout.objects.exists()

    record_closed(certificate.pk, by=reviewer, at=NOON + 2 * HOUR)
    assert [payout.approved_by for payout in Payout.objects.all()] == [reviewer]


def test_the_moment_of_submission_decides_the_window(customer: User, reviewer: User) -> None:
    """Asked for on the last day, decided after it."""
    certificate = factories.certificate(customer, bought=350 * DAY)
    request = factories.submit(certificate)

    assert approve(request, reviewer, at=NOON + 5 * DAY).state == RequestState.APPROVED


def test_a_reviewer_whose_clock_is_slow_is_judged_by_the_moment_of_submission(
    request_: RefundRequest, reviewer: User
) -> None:
    assert approve(request_, reviewer, at=NOON - HOUR).state == RequestState.APPROVED


def test_facts_that_the_policy_did_not_support_at_submission_are_never_approved(
    request_: RefundRequest, reviewer: User
) -> None:
    RefundRequest.objects.filter(pk=request_.pk).update(submitted_at=NOON + 355 * DAY)
    before = everything()

    with pytest.raises(NotRefundable):
        approve(request_, reviewer)

    assert everything() == before


def test_an_amount_other_than_the_policys_is_never_approved(request_: RefundRequest, reviewer: User) -> None:
    RefundRequest.objects.filter(pk=request_.pk).update(amount=120_001)

    with pytest.raises(NotRefundable):
        approve(request_, reviewer)


@pytest.mark.broken_books
def test_shares_that_do_not_make_up_the_amount_are_never_paid(request_: RefundRequest, reviewer: User) -> None:
    request_.certificate.shares.update(amount=119_999)
    before = everything()

    with pytest.raises(FactsChanged):
        approve(request_, reviewer)

    assert everything() == before


@pytest.mark.broken_books
@pytest.mark.parametrize(
    "change",
    [{"source": "uploaded"}, {"paid_part": 100_000}, {"currency": "USD"}, {"product": "free"}],
    ids=lambda change: next(iter(change)),
)
def test_a_decisive_fact_that_changed_stops_the_approval(
    request_: RefundRequest, reviewer: User, change: dict[str, Any]
) -> None:
    if change == {"product": "free"}:
        change = {"product": factories.ProductFactory(free=True)}
    Certificate.objects.filter(pk=request_.certificate_id).update(**change)
    before = everything()

    with pytest.raises(FactsChanged):
        approve(request_, reviewer)

    assert everything() == before


@pytest.mark.parametrize("field", ["issued_at", "revocation_requested_at", "revoked_at"])
def test_an_event_of_a_revoked_certificate_that_changed_stops_the_approval(
    customer: User, reviewer: User, field: str
) -> None:
    certificate = factories.revoked(customer)
    request = factories.submit(certificate)
    moved = getattr(certificate, field) + HOUR
    Certificate.objects.filter(pk=certificate.pk).update(**{field: moved})

    with pytest.raises(FactsChanged):
        approve(request, reviewer)


@pytest.mark.broken_books
def test_a_fact_that_decides_nothing_may_change(request_: RefundRequest, reviewer: User) -> None:
    Certificate.objects.filter(pk=request_.certificate_id).update(submitted_at=NOON, voucher_part=1)

    assert approve(request_, reviewer).state == RequestState.APPROVED


# --- Reject ------------------------------------------------------------------------------------


def test_a_reviewer_rejects_with_an_answer_and_the_certificate_is_free(request_: RefundRequest, reviewer: User) -> None:
    rejected = reject(request_, reviewer, answer="  The certificate is in use.\n")

    assert (rejected.state, rejected.answer) == (RequestState.REJECTED, "The certificate is in use.")
    assert anew(request_).ended_at == NOON + HOUR
    assert (anew(request_.certificate).hold, anew(request_.certificate).state) == ("", "pending_application")
    assert [(d.verdict, d.by, d.note) for d in Decision.objects.all()] == [
        ("reject", reviewer, "The certificate is in use.")
    ]
    assert not Payout.objects.exists()


@pytest.mark.parametrize("answer", ["", " \n ", "x" * 2001], ids=["none", "blanks", "2001-characters"])
def test_a_rejection_without_an_answer_fit_to_read_changes_nothing(
    request_: RefundRequest, reviewer: User, answer: str
) -> None:
    before = everything()

    with pytest.raises(InvalidReason):
        reject(request_, reviewer, answer=answer)

    assert everything() == before


def test_an_answer_may_be_2000_characters_long(request_: RefundRequest, reviewer: User) -> None:
    assert anew(reject(request_, reviewer, answer="字" * 2000)).answer == "字" * 2000


def test_a_note_that_is_too_long_approves_nothing(request_: RefundRequest, reviewer: User) -> None:
    with pytest.raises(InvalidReason):
        approve(request_, reviewer, note="x" * 2001)
    assert anew(request_).state == RequestState.UNDER_REVIEW


def test_a_rejected_request_may_be_made_again_while_the_policy_supports_it(
    request_: RefundRequest, reviewer: User
) -> None:
    reject(request_, reviewer)

    again = factories.submit(request_.certificate, at=NOON + DAY)
    assert again.state == RequestState.UNDER_REVIEW
    assert list(RefundRequest.objects.of(request_.certificate)) == [again, request_]

    reject(again, reviewer, at=NOON + DAY)
    with pytest.raises(NotRefundable):
        factories.submit(request_.certificate, at=NOON + 355 * DAY)


def test_the_database_itself_wants_an_answer_and_one_approval(request_: RefundRequest, reviewer: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        RefundRequest.objects.filter(pk=request_.pk).update(state="rejected")
    approve(request_, reviewer)
    decision = Decision.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(request=request_, verdict="approve", by=reviewer, at=NOON, effective_at=NOON)
    assert list(Decision.objects.all()) == [decision]


# --- Changed meanwhile -------------------------------------------------------------------------


@DECIDE
def test_a_certificate_that_expired_under_review_lapses_the_request(
    request_: RefundRequest, reviewer: User, decide: Any
) -> None:
    expires_at = request_.certificate.expires_at
    lapsed = decide(request_, reviewer, at=expires_at)

    assert (lapsed.state, lapsed.lapse_cause) == (RequestState.LAPSED, "expired")
    assert anew(request_.certificate).hold == ""
    assert not Decision.objects.exists()
    assert not Payout.objects.exists()


@DECIDE
def test_a_certificate_issued_under_review_lapses_the_request_whatever_the_page_showed(
    request_: RefundRequest, reviewer: User, decide: Any
) -> None:
    seen = factories.seen(request_)
    issue(request_.certificate)

    lapsed = decide(request_, reviewer, seen=seen)

    assert (lapsed.state, lapsed.lapse_cause) == (RequestState.LAPSED, "issued")
    assert (anew(request_.certificate).hold, anew(request_.certificate).state) == ("", "issued")
    assert not Payout.objects.exists()


def issue(certificate: Certificate) -> None:
    """As an authority's connection would store it, without telling anyone."""
    rows = Certificate.objects.filter(pk=certificate.pk)
    rows.update(state=CertificateState.VALIDATING_APPLICATION)
    rows.update(state=CertificateState.ISSUED, issued_at=NOON + HOUR, not_after=NOON + 365 * DAY)


@DECIDE
@pytest.mark.broken_books
def test_a_page_on_which_a_fact_was_another_decides_nothing(
    request_: RefundRequest, reviewer: User, decide: Any
) -> None:
    seen = factories.seen(request_)
    Certificate.objects.filter(pk=request_.certificate_id).update(voucher_part=1)
    before = everything()

    with pytest.raises(FactsChanged):
        decide(request_, reviewer, seen=seen)

    assert everything() == before


@DECIDE
def test_a_request_that_moved_is_not_decided(request_: RefundRequest, reviewer: User, decide: Any) -> None:
    seen = factories.seen(request_)
    cancel_refund(request_.pk, by=request_.account, at=NOON)
    before = everything()

    with pytest.raises(RequestMoved) as refused:
        decide(request_, reviewer, seen=seen)

    assert refused.value.request.state == RequestState.CANCELLED
    assert everything() == before


@DECIDE
def test_a_page_opened_after_the_request_moved_decides_nothing_either(
    request_: RefundRequest, reviewer: User, decide: Any
) -> None:
    cancel_refund(request_.pk, by=request_.account, at=NOON)

    with pytest.raises(RequestMoved) as refused:
        decide(request_, reviewer, at=request_.certificate.expires_at)

    assert type(refused.value) is RequestMoved


@DECIDE
@pytest.mark.parametrize("first", [approve, reject])
def test_a_request_is_decided_once(request_: RefundRequest, reviewer: User, first: Any, decide: Any) -> None:
    seen = factories.seen(request_)
    first(request_, reviewer)
    before = everything()

    with pytest.raises(RequestMoved):
        decide(request_, factories.reviewer("second"), seen=seen)

    assert everything() == before


# --- Who may -----------------------------------------------------------------------------------


def superuser(**fields: Any) -> User:
    return factories.UserFactory(is_staff=True, is_superuser=True, **fields)


@DECIDE
def test_nobody_decides_a_request_of_their_own_account_superusers_included(decide: Any) -> None:
    for owner in (superuser(), factories.reviewer()):
        request = factories.submit(cases.in_review(owner))
        before = everything()
        with pytest.raises(MayNotDecide):
            decide(request, owner)
        assert everything() == before


@DECIDE
def test_nobody_decides_a_request_that_they_made_superusers_included(request_: RefundRequest, decide: Any) -> None:
    for maker in (superuser(), factories.reviewer()):
        RefundRequest.objects.filter(pk=request_.pk).update(requested_by=maker)
        with pytest.raises(MayNotDecide):
            decide(request_, maker)
    assert anew(request_).state == RequestState.UNDER_REVIEW


@DECIDE
def test_nobody_decides_what_another_asked_for_on_their_account(customer: User, decide: Any) -> None:
    owner = factories.reviewer()
    request = factories.submit(cases.in_review(owner))
    RefundRequest.objects.filter(pk=request.pk).update(requested_by=customer)

    with pytest.raises(MayNotDecide):
        decide(request, owner)


@DECIDE
@pytest.mark.parametrize("who", ["customer", "neighbour", "cashier", "clerk"])
def test_whoever_lacks_the_permission_decides_nothing(
    request_: RefundRequest, decide: Any, who: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(MayNotDecide):
        decide(request_, request.getfixturevalue(who))
    assert anew(request_).state == RequestState.UNDER_REVIEW


@DECIDE
def test_a_person_who_left_decides_nothing(request_: RefundRequest, decide: Any) -> None:
    for person in (factories.staff("gone", "refunds.review_refund", is_active=False), superuser(is_active=False)):
        with pytest.raises(MayNotDecide):
            decide(request_, person)


def test_a_permission_without_being_staff_decides_nothing(request_: RefundRequest) -> None:
    outsider = factories.staff("outsider", "refunds.review_refund")
    outsider.is_staff = False

    assert not may_decide(request_, outsider)


@DECIDE
def test_a_group_gives_the_permission(request_: RefundRequest, clerk: User, decide: Any) -> None:
    assert not may_decide(request_, clerk)
    group = Group.objects.create(name="reviewers")
    group.permissions.add(Permission.objects.get(codename="review_refund"))
    clerk.groups.add(group)

    decided = decide(request_, User.objects.get(pk=clerk.pk))

    assert decided.state in {RequestState.APPROVED, RequestState.REJECTED}


@DECIDE
def test_a_superuser_decides_what_is_not_theirs(request_: RefundRequest, decide: Any) -> None:
    assert decide(request_, superuser()).state in {RequestState.APPROVED, RequestState.REJECTED}
