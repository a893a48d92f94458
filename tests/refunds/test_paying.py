"""How a request follows its payouts, and how a refund that cannot be paid is given up."""

import pytest

from core.models import User
from payments.exceptions import NotYours, PayoutMoved
from payments.models import Payment, Payout
from payments.services import record_failed, record_paid
from refunds.exceptions import InvalidReason, RequestMoved
from refunds.models import RefundRequest
from refunds.services import approve_refund, fail_refund, payout_settled
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import HOUR, acts, anew, everything

pytestmark = pytest.mark.django_db


def ordered(account: User, **payments: int) -> tuple[RefundRequest, dict[str, Payout]]:
    """A request approved by the policy, and its payouts by channel."""
    request = factories.submit(factories.certificate(account, payments=payments))
    return request, {payout.channel: payout for payout in Payout.objects.filter(reference=request.reference)}


def paid(payout: Payout, by: User, reference: str = "") -> None:
    record_paid(payout.pk, reference or f"outside-{payout.pk}", by=by, at=NOON + HOUR)


def failed(payout: Payout, by: User) -> None:
    record_failed(payout.pk, "account closed", by=by, at=NOON + HOUR)


# --- Following ---------------------------------------------------------------------------------


def test_the_worker_pays_an_account_balance_and_ends_certificate_and_request(customer: User) -> None:
    request, _ = ordered(customer, balance=120_000)

    assert factories.pay_out(at=NOON + HOUR) == 1

    refunded = anew(request)
    assert (refunded.state, refunded.ended_at) == (RequestState.REFUNDED, NOON + HOUR)
    assert (anew(request.certificate).state, anew(request.certificate).hold) == ("refunded", "")
    assert acts(request) == ["requested", "approved", "money_ordered", "paying", "refunded"]


def test_a_request_is_refunded_when_the_last_of_its_payouts_is_paid(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, balance=70_000, alipay=30_000, bank=20_000)

    factories.pay_out()
    assert anew(request).state == RequestState.PAYING
    paid(payouts["alipay"], cashier)
    assert anew(request).state == RequestState.PAYING
    assert anew(request.certificate).hold == request.reference
    paid(payouts["bank"], cashier)

    assert (anew(request).state, anew(request.certificate).state) == ("refunded", "refunded")


def test_one_payout_that_failed_fails_the_payment_whatever_the_others_do(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)

    failed(payouts["alipay"], cashier)
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(payouts["bank"], cashier)

    assert anew(request).state == RequestState.PAYMENT_FAILED
    assert anew(request.certificate).hold == request.reference


def test_a_failed_payout_recorded_as_paid_after_all_completes_the_refund(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    failed(payouts["alipay"], cashier)
    failed(payouts["bank"], cashier)

    paid(payouts["alipay"], cashier)
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(payouts["bank"], cashier)

    assert anew(request).state == RequestState.REFUNDED
    assert acts(request) == ["requested", "approved", "money_ordered", "paying", "payment_failed", "paying", "refunded"]
    assert set(Payment.objects.values_list("ordered_back", flat=True)) == {70_000, 50_000}


def test_a_payout_of_a_request_that_awaits_no_money_is_refused(customer: User) -> None:
    request, payouts = ordered(customer, balance=120_000)
    factories.pay_out()

    with pytest.raises(RequestMoved):
        payout_settled(payouts["balance"], at=NOON)
    assert anew(request).state == RequestState.REFUNDED


def test_a_payout_ordered_for_something_else_moves_no_request(customer: User) -> None:
    _, payouts = ordered(customer, balance=120_000)
    stranger = payouts["balance"]
    stranger.reference = "not-a-refund"
    before = everything()

    payout_settled(stranger, at=NOON)

    assert everything() == before


# --- Giving up ---------------------------------------------------------------------------------


def test_a_refund_whose_payouts_all_failed_is_given_up_and_the_certificate_can_be_used(
    customer: User, cashier: User
) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    failed(payouts["alipay"], cashier)
    failed(payouts["bank"], cashier)

    given_up = fail_refund(request.pk, reason="both accounts are closed", by=cashier, at=NOON + HOUR)

    assert (given_up.state, anew(request).ended_at) == (RequestState.FAILED, NOON + HOUR)
    assert (anew(request.certificate).hold, anew(request.certificate).state) == ("", "pending_application")
    assert set(Payment.objects.values_list("ordered_back", flat=True)) == {0}
    for payout in payouts.values():
        with pytest.raises(PayoutMoved):
            paid(payout, cashier)


def test_after_giving_up_the_customer_may_ask_again_and_is_paid_once(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=120_000)
    failed(payouts["alipay"], cashier)
    fail_refund(request.pk, reason="account closed", by=cashier, at=NOON)

    again = factories.submit(request.certificate)
    paid(Payout.objects.get(reference=again.reference), cashier)

    assert (anew(again).state, anew(request).state) == ("refunded", "failed")
    assert Payment.objects.get().ordered_back == 120_000


@pytest.mark.parametrize("other", ["paid", "ordered"])
def test_a_refund_of_which_a_part_was_paid_or_is_under_way_is_not_given_up(
    customer: User, cashier: User, other: str
) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    failed(payouts["alipay"], cashier)
    if other == "paid":
        paid(payouts["bank"], cashier)
    before = everything()

    with pytest.raises(PayoutMoved):
        fail_refund(request.pk, reason="account closed", by=cashier, at=NOON)

    assert everything() == before


def test_only_a_refund_whose_payment_failed_is_given_up(customer: User, cashier: User) -> None:
    requests = [
        ordered(customer, alipay=120_000)[0],
        factories.submit(cases.in_review(customer)),
    ]
    for request in requests:
        with pytest.raises(RequestMoved):
            fail_refund(request.pk, reason="account closed", by=cashier, at=NOON)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001], ids=["none", "blanks", "2001-characters"])
def test_giving_up_needs_a_reason(customer: User, cashier: User, reason: str) -> None:
    request, payouts = ordered(customer, alipay=120_000)
    failed(payouts["alipay"], cashier)

    with pytest.raises(InvalidReason):
        fail_refund(request.pk, reason=reason, by=cashier, at=NOON)
    assert anew(request).state == RequestState.PAYMENT_FAILED


def test_neither_the_approver_nor_the_receiver_nor_a_stranger_gives_a_refund_up(
    customer: User, cashier: User, reviewer: User
) -> None:
    both = factories.staff("both", "refunds.review_refund", "payments.record_payout")
    request = factories.submit(cases.in_review(customer, payments={"alipay": 120_000}))
    approve_refund(request.pk, seen=factories.seen(request), by=both, at=NOON)
    failed(Payout.objects.get(), cashier)
    customer.is_superuser = customer.is_staff = True
    before = everything()

    for person in (both, reviewer, customer):
        with pytest.raises(NotYours):
            fail_refund(request.pk, reason="account closed", by=person, at=NOON)

    assert everything() == before
