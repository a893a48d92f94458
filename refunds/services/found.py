"""Whether a channel has given money back by itself that a certificate's request may be about."""

from typing import Any

from django.db.models import Q, QuerySet

from certificates.models import Certificate, Share
from payments.models import Difference
from payments.states import DifferenceState
from refunds.exceptions import RefundedOutside


def is_refund_found(certificate: Certificate) -> bool:
    """Whether a refund was found, of it or of what its payments paid for, that nobody has said to be another's."""
    found = Difference.objects.closing_refunds().filter(payment__in=_payments_of(certificate))
    return found.filter(~Q(state=DifferenceState.KEPT) | Q(assigned_to__in=["", certificate.instance_id])).exists()


def undecided_refunds(certificate: Certificate) -> QuerySet[Difference]:
    """The refunds found of what its payments paid for that nobody has decided on, the oldest first.

    Until somebody has, no decision about a request of it can be right: its customer may have the money already.
    """
    return _undecided().filter(payment__in=_payments_of(certificate)).order_by("id")


def require_decided(certificate: Certificate) -> None:
    """Raises RefundedOutside while a refund found of a locked certificate is undecided."""
    if undecided_refunds(certificate).exists():
        raise RefundedOutside(str(certificate))


def certificates_undecided() -> QuerySet[Any]:
    """The ids of all certificates that `undecided_refunds` names a refund of."""
    shares = Share.objects.filter(amount__gt=0, payment__in=_undecided().values("payment"))
    return shares.values_list("certificate_id", flat=True)


def _undecided() -> QuerySet[Difference]:
    return Difference.objects.closing_refunds().filter(state=DifferenceState.OPEN, payment__isnull=False)


def _payments_of(certificate: Certificate) -> QuerySet[Any]:
    return Share.objects.filter(certificate=certificate, amount__gt=0).values("payment")
