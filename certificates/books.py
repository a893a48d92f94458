"""The proof of the shares: what each payment paid for each certificate, neither more nor less."""

from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef

from certificates.models import Certificate, Order, OrderPayment, Share
from core.books import Finding, findings, sum_of
from payments.models import Payment


def offending() -> Iterator[Finding]:
    """Every certificate, payment, order or share whose amounts contradict another's."""
    certificates = Certificate.objects.annotate(shared=sum_of(Share.objects.all(), "certificate"))
    yield from findings(
        certificates.exclude(paid_part=F("shared")), "was paid with {paid_part}, its shares sum to {shared}"
    )
    ordered = Payment.objects.filter(Exists(OrderPayment.objects.filter(payment=OuterRef("pk"))))
    yield from findings(
        ordered.annotate(shared=sum_of(Share.objects.all(), "payment")).exclude(amount=F("shared")),
        "is of {amount}, its shares sum to {shared}",
    )
    yield from _orders()
    yield from _strange_shares()


def _orders() -> Iterator[Finding]:
    """An order is judged once it has certificates."""
    orders = Order.objects.filter(Exists(Certificate.objects.filter(order=OuterRef("pk"))))
    certificates = Certificate.objects.all()
    summed = orders.annotate(
        parts=sum_of(certificates, "order", of="paid_part"),
        vouchers=sum_of(certificates, "order", of="voucher_part"),
        came_in=sum_of(OrderPayment.objects.all(), "order", of="payment__amount"),
    )
    yield from findings(
        summed.exclude(paid_amount=F("parts")), "was paid with {paid_amount}, its certificates sum to {parts}"
    )
    yield from findings(
        summed.exclude(paid_amount=F("came_in")), "was paid with {paid_amount}, its payments sum to {came_in}"
    )
    yield from findings(
        summed.exclude(voucher_amount=F("vouchers")), "had a voucher of {voucher_amount}, its certificates {vouchers}"
    )


def _strange_shares() -> Iterator[Finding]:
    own = OrderPayment.objects.filter(payment=OuterRef("payment"), order=OuterRef("certificate__order"))
    yield from findings(Share.objects.filter(~Exists(own)), "is of a payment for another order")
    yield from findings(Share.objects.exclude(payment__currency=F("certificate__currency")), "mixes currencies")
    yield from findings(Share.objects.exclude(payment__account=F("certificate__account")), "is of another's payment")
