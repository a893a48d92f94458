"""A request that two people, or a person and the clock, move at once goes one way only."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import ModuleType

import pytest

from core.models import User
from payments.models import Payout
from refunds.exceptions import RequestMoved
from refunds.models import Decision, RefundRequest
from refunds.services import approve_refund, cancel_refund, lapse_overdue, reject_refund, staff
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.races.running import overtake, overtake_unguarded, together
from tests.refunds import cases
from tests.refunds.cases import anew, mails

pytestmark = pytest.mark.django_db(transaction=True)
# What would happen if nothing stood in the way: the database holds nothing by itself either.
CONTROL = pytest.mark.usefixtures("without_database_guards")

# An approval has looked at everything, and stores next.
LOOKED: tuple[ModuleType, str] = (staff, "_lock_for_decision")
END = NOON + timedelta(days=359)

Act = Callable[[], RefundRequest | int]


@pytest.fixture
def request_(customer: User) -> RefundRequest:
    """Under review, its certificate's end being at END."""
    request = factories.submit(cases.in_review(customer))
    assert request.certificate.expires_at == END
    return request


def approving(request: RefundRequest, by: User) -> Act:
    return partial(approve_refund, request.pk, seen=factories.seen(request), by=by, at=NOON)


def rejecting(request: RefundRequest, by: User) -> Act:
    return partial(reject_refund, request.pk, answer="In use.", seen=factories.seen(request), by=by, at=NOON)


def cancelling(request: RefundRequest) -> Act:
    return partial(cancel_refund, request.pk, by=request.account, at=NOON)


def lapsing() -> Act:
    return partial(lapse_overdue, at=END)


def one_won(request: RefundRequest, outcomes: list[object]) -> str:
    """The state in which the request ended; exactly one act brought it there, the other was told."""
    state = str(anew(request).state)
    assert [type(outcome) for outcome in outcomes].count(RequestMoved) == 1
    assert Payout.objects.count() == (state == RequestState.APPROVED)
    assert len(mails(request)) == 2
    assert not broken()
    return state


# --- Approve against cancel --------------------------------------------------------------------


def test_whoever_cancels_while_an_approval_is_stored_is_too_late(request_: RefundRequest, reviewer: User) -> None:
    outcomes = overtake(approving(request_, reviewer), cancelling(request_), at=LOOKED)

    assert one_won(request_, outcomes) == RequestState.APPROVED


def test_of_an_approval_and_a_cancellation_at_once_one_wins(request_: RefundRequest, reviewer: User) -> None:
    outcomes = together(approving(request_, reviewer), cancelling(request_))

    assert one_won(request_, outcomes) in {RequestState.APPROVED, RequestState.CANCELLED}


@CONTROL
def test_control_without_guards_a_cancelled_request_is_paid(request_: RefundRequest, reviewer: User) -> None:
    _, cancelled = overtake_unguarded(approving(request_, reviewer), cancelling(request_), at=LOOKED)

    assert cancelled.state == RequestState.CANCELLED
    assert Payout.objects.filter(reference=request_.reference).exists()
    assert mails(request_) == ["refund_received", "refund_cancelled", "refund_approved"]


# --- Two reviewers -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", [approving, rejecting])
def test_a_second_reviewer_waits_and_is_told(
    request_: RefundRequest, reviewer: User, other: Callable[..., Act]
) -> None:
    second = factories.reviewer("second")

    outcomes = overtake(approving(request_, reviewer), other(request_, second), at=LOOKED)

    assert one_won(request_, outcomes) == RequestState.APPROVED
    assert Decision.objects.get().by == reviewer


@pytest.mark.parametrize("other", [approving, rejecting])
def test_of_two_reviewers_at_once_one_decides(
    request_: RefundRequest, reviewer: User, other: Callable[..., Act]
) -> None:
    second = factories.reviewer("second")

    outcomes = together(approving(request_, reviewer), other(request_, second))

    one_won(request_, outcomes)
    assert Decision.objects.count() == 1


@CONTROL
def test_control_without_guards_a_rejected_request_is_paid(request_: RefundRequest, reviewer: User) -> None:
    second = factories.reviewer("second")

    _, rejected = overtake_unguarded(approving(request_, reviewer), rejecting(request_, second), at=LOOKED)

    assert rejected.state == RequestState.REJECTED
    assert Payout.objects.filter(reference=request_.reference).exists()
    assert set(Decision.objects.values_list("verdict", "by")) == {("approve", reviewer.pk), ("reject", second.pk)}


# --- Approve against the clock -----------------------------------------------------------------


def test_a_request_approved_at_the_last_moment_does_not_lapse(request_: RefundRequest, reviewer: User) -> None:
    _, lapsed = overtake(approving(request_, reviewer), lapsing(), at=LOOKED)

    assert lapsed == 0
    assert anew(request_).state == RequestState.APPROVED
    assert not broken()


def test_of_an_approval_and_a_lapse_at_once_one_wins(request_: RefundRequest, reviewer: User) -> None:
    approved, lapsed = together(approving(request_, reviewer), lapsing())

    state = anew(request_).state
    assert (state, lapsed, isinstance(approved, RequestMoved)) in {("approved", 0, False), ("lapsed", 1, True)}
    assert Payout.objects.count() == (state == RequestState.APPROVED)
    assert not broken()


@CONTROL
def test_control_without_guards_a_lapsed_request_is_paid(request_: RefundRequest, reviewer: User) -> None:
    _, lapsed = overtake_unguarded(approving(request_, reviewer), lapsing(), at=LOOKED)

    assert lapsed == 1
    assert Payout.objects.filter(reference=request_.reference).exists()
    assert mails(request_) == ["refund_received", "refund_lapsed", "refund_approved"]
