"""The proof of the shares, and of what authorities hold: what each payment paid for, what was issued and revoked."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from certificates.models import CaOrder, Certificate, Enrollment, Order, OrderPayment, Share
from certificates.states import APPLICATION_RUNNING, RUNNING, AuthorityName, CertificateState, EnrollmentState
from core.books import Finding, Question, answers_to, findings, sum_of
from core.models import Job
from payments.models import Difference, LedgerEntry, Payment
from payments.states import Cause


def offending() -> Iterator[Finding]:
    """Every certificate, payment, order or share whose amounts contradict another's."""
    yield from answers_to(_questions)
    yield from _forgotten_enrollments()


def _questions() -> Iterator[Question]:
    certificates = Certificate.objects.annotate(shared=sum_of(Share.objects.all(), "certificate"))
    yield Question(certificates.exclude(paid_part=F("shared")), "was paid with {paid_part}, its shares sum to {shared}")
    ordered = Payment.objects.filter(Exists(OrderPayment.objects.filter(payment=OuterRef("pk"))))
    yield Question(
        ordered.annotate(shared=sum_of(Share.objects.all(), "payment")).exclude(amount=F("shared")),
        "is of {amount}, its shares sum to {shared}",
    )
    yield from _orders()
    yield from _strange_shares()
    yield from _found_refunds()
    bought_here = Order.objects.filter(form_key__isnull=False, paid_amount__gt=0)
    paid = LedgerEntry.objects.filter(cause=Cause.ORDER_PAID, payment__in=_payments_of(OuterRef("pk")))
    yield Question(bought_here.filter(~Exists(paid)), "was bought here, but nothing was taken from a balance")
    yield from _enrollments()


def _payments_of(order: OuterRef) -> QuerySet[Any, Any]:
    return OrderPayment.objects.filter(order=OuterRef(order)).values("payment")


def _orders() -> Iterator[Question]:
    """An order is judged once it has certificates."""
    orders = Order.objects.filter(Exists(Certificate.objects.filter(order=OuterRef("pk"))))
    certificates = Certificate.objects.all()
    summed = orders.annotate(
        parts=sum_of(certificates, "order", of="paid_part"),
        vouchers=sum_of(certificates, "order", of="voucher_part"),
        came_in=sum_of(OrderPayment.objects.all(), "order", of="payment__amount"),
    )
    yield Question(
        summed.exclude(paid_amount=F("parts")), "was paid with {paid_amount}, its certificates sum to {parts}"
    )
    yield Question(
        summed.exclude(paid_amount=F("came_in")), "was paid with {paid_amount}, its payments sum to {came_in}"
    )
    yield Question(
        summed.exclude(voucher_amount=F("vouchers")), "had a voucher of {voucher_amount}, its certificates {vouchers}"
    )


def _strange_shares() -> Iterator[Question]:
    own = OrderPayment.objects.filter(payment=OuterRef("payment"), order=OuterRef("certificate__order"))
    yield Question(Share.objects.filter(~Exists(own)), "is of a payment for another order")
    yield Question(Share.objects.exclude(payment__currency=F("certificate__currency")), "mixes currencies")
    yield Question(Share.objects.exclude(payment__account=F("certificate__account")), "is of another's payment")


def _found_refunds() -> Iterator[Question]:
    """A refund that a channel made by itself closes the Refund action of what it may be of, and of nothing else.

    That is the certificate that a person named; else those whose share is its amount; else all that were paid by it.
    """
    shares = Share.objects.filter(certificate=OuterRef("pk"), amount__gt=0)
    closing = Difference.objects.closing_refunds().filter(payment=OuterRef("payment"))
    fitting = Share.objects.filter(payment=OuterRef("payment"), amount=OuterRef("amount"))
    unassigned = closing.filter(assigned_to="")
    meant = shares.filter(
        Exists(closing.filter(assigned_to=OuterRef("certificate__instance_id")))
        | Exists(unassigned.filter(amount=OuterRef("amount")))
        | Exists(unassigned.filter(~Exists(fitting)))
    )
    certificates = Certificate.objects.all()
    yield Question(
        certificates.filter(refund_found_at__isnull=False).filter(~Exists(meant)),
        "is closed to refunds, but none of it was found at a channel",
    )
    yield Question(
        certificates.filter(Exists(meant), refund_found_at=None), "is open to refunds, but one was found at a channel"
    )


def _enrollments() -> Iterator[Question]:
    """What the console holds for issued and for revoked is so in the embedded authority's own books, and reversely."""
    own = Enrollment.objects.filter(authority=AuthorityName.EMBEDDED)
    order = CaOrder.objects.filter(reference=OuterRef("reference"))
    issued = own.filter(state__in=[EnrollmentState.ISSUED, EnrollmentState.REVOKED])
    yield Question(
        issued.filter(~Exists(order.filter(issued_at__isnull=False))), "is {state}, but its authority issued nothing"
    )
    revoked = own.filter(state=EnrollmentState.REVOKED)
    yield Question(
        revoked.filter(~Exists(order.filter(revoked_at__isnull=False))), "is revoked here, but not at its authority"
    )
    running = Enrollment.objects.filter(state__in=sorted(RUNNING), is_reissue=False)
    yield Question(
        running.exclude(certificate__state__in=sorted(APPLICATION_RUNNING | {CertificateState.VALIDATION_FAILED})),
        "runs, but no application of its certificate does",
    )


def _forgotten_enrollments() -> Iterator[Finding]:
    """Orders that wait for a step of the worker that no job will bring it to."""
    unwanted = Q(
        state=EnrollmentState.ISSUED, certificate__state__in=[CertificateState.REVOKED, CertificateState.REFUNDED]
    )
    steps = Enrollment.objects.filter(Q(state__in=[EnrollmentState.ORDERED, EnrollmentState.READY]) | unwanted)
    live = set(
        Job.objects.filter(kind="advance_enrollment").exclude(state=Job.State.DONE).values_list("key", flat=True)
    )
    keys = steps.values_list("pk", "reference", "step")
    lost = [pk for pk, reference, step in keys if f"advance_enrollment:{reference}:{step}" not in live]
    yield from findings(Enrollment.objects.filter(pk__in=lost), "is {state}, but no job carries it on")
