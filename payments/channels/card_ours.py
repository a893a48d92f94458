"""Which payments and payouts of ours are meant by Stripe's refunds."""

from payments.channels.card_refunds import Raw, key_of, names_of_payment
from payments.models import Payment, Payout
from payments.states import Channel


def our_payouts(refunds: list[Raw]) -> dict[str, Payout]:
    """Payouts of ours by their key. Metadata can be written by hand: a key that no payout has is none of ours."""
    keys = {key for refund in refunds if (key := key_of(refund))}
    return {str(payout.key): payout for payout in Payout.objects.filter(channel=Channel.CARD, key__in=keys)}


def our_references(refunds: list[Raw]) -> set[str]:
    names = {name for refund in refunds for name in names_of_payment(refund)}
    ours = Payment.objects.exclude(reference="").filter(channel=Channel.CARD, reference__in=names)
    return set(ours.values_list("reference", flat=True))


def payment_of(refund: Raw, references: set[str]) -> str:
    """The payment's reference as we store it, else Stripe's: both the intent's and the charge's name it."""
    names = names_of_payment(refund)
    ours = [name for name in names if name in references]
    return next(iter(ours or names), "")
