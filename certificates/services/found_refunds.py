"""Refunds that a channel made by itself close the Refund action of what their payment paid for."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from certificates.models import Certificate, OrderPayment, Share
from payments.models import Difference


def refund_found(payment_id: int, *, at: datetime) -> None:
    """REFUND_FOUND: lock the certificates of a payment's order; mark those that a found refund is of, free the others.

    Worked out anew each time, from what stands open or was kept as unmatched, over all payments of the order.
    """
    order = OrderPayment.objects.filter(payment=payment_id).values("order")
    locked = Certificate.objects.select_for_update().filter(order__in=order).order_by("pk")
    certificates = list(locked.only("pk", "instance_id", "refund_found_at"))
    closed = _closed(certificates)
    for certificate in certificates:
        if (certificate.refund_found_at is not None) != (certificate.pk in closed):
            found_at = at if certificate.pk in closed else None
            Certificate.objects.filter(pk=certificate.pk).update(refund_found_at=found_at)


def _closed(certificates: Iterable[Certificate]) -> set[int]:
    """Those of an order's certificates of which a refund was found."""
    names = {certificate.pk: certificate.instance_id for certificate in certificates}
    shares: dict[int, dict[int, int]] = defaultdict(dict)
    for share in Share.objects.filter(certificate__in=names, amount__gt=0):
        shares[share.payment_id][share.certificate_id] = share.amount
    found = Difference.objects.closing_refunds().filter(payment__in=shares)
    return {pk for difference in found for pk in _meant_by(difference, shares[difference.payment_id], names)}


def _meant_by(difference: Difference, shares: dict[int, int], names: dict[int, str]) -> set[int]:
    """The certificate that a person named; else those whose share is the amount; else all that have a share."""
    if difference.assigned_to:
        return {pk for pk in shares if names[pk] == difference.assigned_to}
    return {pk for pk, amount in shares.items() if amount == difference.amount} or set(shares)
