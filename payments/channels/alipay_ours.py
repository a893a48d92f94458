"""Which payments and payouts of ours are meant by Alipay's numbers."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from payments.models import Payment, Payout
from payments.states import Channel


def our_payout(payment: Payment | None, number: str) -> Payout | None:
    """The payout whose key a refund of this payment bears, where one does."""
    if payment is None or not _is_key(number):
        return None
    return Payout.objects.filter(channel=Channel.ALIPAY, payment=payment, key=number).first()


def _is_key(number: str) -> bool:
    """Whether a refund's number is written as a payout's key is."""
    try:
        return str(UUID(number)) == number
    except ValueError:
        return False


def stored_as(trade: str, order: str, ours: Iterable[str]) -> str:
    """A payment's reference as we store it, else Alipay's number."""
    return order if order in ours and trade not in ours else trade or order


def our_references(names: Iterable[str]) -> set[str]:
    ours = our_payments(reference__in=[name for name in names if name])
    return set(ours.values_list("reference", flat=True))


def our_keys(numbers: set[str]) -> set[tuple[str, str]]:
    """The keys of payouts among the numbers, each with its payment's reference."""
    ours = Payout.objects.filter(channel=Channel.ALIPAY, key__in=[number for number in numbers if _is_key(number)])
    return {(str(key), reference) for key, reference in ours.values_list("key", "payment__reference")}


def our_payments(**found: Any) -> QuerySet[Payment]:
    """Alipay's among ours; with the condition of the index of references."""
    return Payment.objects.exclude(reference="").filter(channel=Channel.ALIPAY, **found)
