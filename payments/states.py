"""Channels, the states of payouts and the moves between them, and the kinds of ledger entries and differences."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Channel(models.TextChoices):
    """Where money came from and goes back to."""

    BALANCE = "balance", _("Account balance")
    ALIPAY = "alipay", _("Alipay account")
    BANK = "bank", _("Online bank account")
    CARD = "card", _("Card")


class PayoutState(models.TextChoices):
    ORDERED = "ordered", _("Ordered")
    SENT = "sent", _("Sent")
    PAID = "paid", _("Paid")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown")
    RETURNED = "returned", _("Returned")


# `failed` goes back to `ordered` with the same record and key; a payout that came back is over, another one follows it.
PAYOUT_EDGES: dict[str, set[str]] = {
    PayoutState.ORDERED: {PayoutState.SENT, PayoutState.PAID, PayoutState.FAILED},
    PayoutState.SENT: {PayoutState.PAID, PayoutState.FAILED, PayoutState.UNKNOWN},
    PayoutState.UNKNOWN: {PayoutState.SENT, PayoutState.PAID, PayoutState.FAILED},
    PayoutState.FAILED: {PayoutState.ORDERED},
    PayoutState.PAID: {PayoutState.RETURNED},
    PayoutState.RETURNED: set(),
}

# Money that counts as gone: ordered back and neither failed nor returned.
UNDER_WAY = frozenset({PayoutState.ORDERED, PayoutState.SENT, PayoutState.UNKNOWN})
GONE = UNDER_WAY | {PayoutState.PAID}


class LedgerKind(models.TextChoices):
    BALANCE = "balance", _("Account balance of a customer")
    REFUNDS = "refunds", _("Refunds granted")
    PENDING = "pending", _("Payouts under way")
    CHANNEL = "channel", _("Paid through a channel")
    DEPOSITS = "deposits", _("Paid in by staff")
    SALES = "sales", _("Certificates sold")


class Cause(models.TextChoices):
    PAYOUT_ORDERED = "payout_ordered", _("Refund ordered")
    PAYOUT_PAID = "payout_paid", _("Refund")
    PAYOUT_FAILED = "payout_failed", _("Refund failed")
    PAYOUT_RETURNED = "payout_returned", _("Refund came back")
    BALANCE_CREDITED = "balance_credited", _("Credited by staff")
    ORDER_PAID = "order_paid", _("Certificates bought")


class DifferenceKind(models.TextChoices):
    """How a channel's books and ours differ over one refund."""

    MISSING_HERE = "missing_here", _("Only at the channel")
    MISSING_THERE = "missing_there", _("Only here")
    DIFFERENT_AMOUNT = "different_amount", _("Different amount")
    DIFFERENT_STATE = "different_state", _("Paid there, not here")


class DifferenceState(models.TextChoices):
    OPEN = "open", _("To look at")
    CONFIRMED = "confirmed", _("Confirmed as a request's payout")
    KEPT = "kept", _("Unmatched, no request")
    DISMISSED = "dismissed", _("Explained")
    HEALED = "healed", _("Books agree again")


_D = DifferenceState
DIFFERENCE_EDGES: dict[str, set[str]] = {
    _D.OPEN: {_D.CONFIRMED, _D.KEPT, _D.DISMISSED, _D.HEALED},
    _D.KEPT: {_D.CONFIRMED, _D.DISMISSED, _D.HEALED},
    _D.HEALED: {_D.OPEN},
    _D.CONFIRMED: set(),
    _D.DISMISSED: set(),
}
# Money that a channel gave back by itself: until a person says otherwise no other refund of it may be ordered.
CLOSES_REFUND = frozenset({_D.OPEN, _D.KEPT})
PAID_THERE = frozenset({DifferenceKind.MISSING_HERE, DifferenceKind.DIFFERENT_STATE})
