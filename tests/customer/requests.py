"""A customer's request in each of the states that it can be brought to, by the services and at NOON."""

from collections.abc import Callable

from certificates import services as certificates
from core.models import User
from payments.models import Payout
from payments.services import record_failed, record_paid, record_returned
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, fail_refund, lapse_overdue, reject_refund
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, anew

Build = Callable[[User], RefundRequest]
REJECTION = "The certificate is in use.\nPlease replace it first."


def _cast(name: str, make: Callable[[str], User]) -> User:
    return User.objects.filter(username=name).first() or make(name)


def reviewer() -> User:
    return _cast("reviewer", factories.reviewer)


def cashier() -> User:
    return _cast("cashier", factories.cashier)


def under_review(customer: User) -> RefundRequest:
    return factories.submit(cases.in_review(customer))


def approved(customer: User) -> RefundRequest:
    request = under_review(customer)
    return approve_refund(request.pk, seen=factories.seen(request), by=reviewer(), at=NOON)


def closing(customer: User) -> RefundRequest:
    """Approved by the policy, while the authority has not answered yet."""
    return factories.submit(cases.at_authority(customer))


def by_hand(customer: User) -> RefundRequest:
    """Approved by the policy, its money to be transferred by a person."""
    return factories.submit(factories.certificate(customer, payments={"alipay": 120_000}))


def paying(customer: User) -> RefundRequest:
    """One of two parts is paid."""
    request = factories.submit(factories.certificate(customer, payments={"balance": 70_000, "alipay": 50_000}))
    factories.pay_out()
    return anew(request)


def payment_failed(customer: User) -> RefundRequest:
    request = by_hand(customer)
    record_failed(Payout.objects.get(reference=request.reference).pk, "account closed", by=cashier(), at=NOON)
    return anew(request)


def returned(customer: User) -> RefundRequest:
    """Paid by hand, and the money came back."""
    request = by_hand(customer)
    [payout] = Payout.objects.filter(reference=request.reference)
    record_paid(payout.pk, f"outside-{payout.pk}", by=cashier(), at=NOON)
    record_returned(payout.pk, "R03 no account, said their bank", by=cashier(), at=NOON)
    return anew(request)


def given_up_after_return(customer: User) -> RefundRequest:
    return fail_refund(returned(customer).pk, reason="no account left", by=cashier(), at=NOON)


def refunded(customer: User) -> RefundRequest:
    request = factories.submit(factories.certificate(customer))
    factories.pay_out()
    return anew(request)


def rejected(customer: User) -> RefundRequest:
    request = under_review(customer)
    return reject_refund(request.pk, answer=REJECTION, seen=factories.seen(request), by=reviewer(), at=NOON)


def cancelled(customer: User) -> RefundRequest:
    return cancel_refund(under_review(customer).pk, by=customer, at=NOON)


def issued_meanwhile(customer: User) -> RefundRequest:
    request = closing(customer)
    certificates.record_issued(request.certificate_id, factories.handover(), by=reviewer(), at=NOON)
    return anew(request)


def expired(customer: User) -> RefundRequest:
    """It expires under review, eleven days after NOON."""
    request = factories.submit(factories.revoked(customer, not_after=NOON + 11 * DAY))
    lapse_overdue(at=NOON + 11 * DAY)
    return anew(request)


def failed(customer: User) -> RefundRequest:
    return fail_refund(payment_failed(customer).pk, reason="no account left", by=cashier(), at=NOON)


IN_EVERY_STATE: dict[str, Build] = {
    RequestState.UNDER_REVIEW: under_review,
    RequestState.APPROVED: approved,
    RequestState.PAYING: paying,
    RequestState.PAYMENT_FAILED: payment_failed,
    RequestState.REFUNDED: refunded,
    RequestState.REJECTED: rejected,
    RequestState.CANCELLED: cancelled,
    RequestState.LAPSED: issued_meanwhile,
    RequestState.FAILED: failed,
}
