"""What every channel says and is asked, whatever it speaks with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from payments.models import Payment, Payout


class Outcome(StrEnum):
    PAID = "paid"
    # Taken on; the channel says later how it ended.
    PENDING = "pending"
    # Refused, or paid and come back: nothing of it is with the customer.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ChannelRefund:
    """One refund as a channel's own books have it. `amount` in minor units; `at` aware, None for this moment."""

    reference: str
    outcome: Outcome
    amount: int
    currency: str
    at: datetime | None = None
    # The payout's idempotency key, where the refund is one of ours.
    key: str = ""
    # The payment's reference as we store it.
    payment_reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a channel told by itself: never believed, only a reason to ask. `event` is the same when it is repeated."""

    event: str
    payment_reference: str
    # Our key, or the channel's own number where it was not made by us.
    key: str = ""


class Unanswered(Exception):
    """The channel gave no answer that can be relied on: it may have acted or not."""


class Refused(Exception):
    """The channel has said for certain that it did not pay, and why."""


class AlreadyRefunded(Refused):
    """Refused because money of the payment has gone back already, which may be what this refund was to give back."""


class Forged(Exception):
    """A notification whose signature, time or form is not the channel's."""


class PayoutChannel(Protocol):
    """A connection to one channel. Everything here is called outside transactions.

    The payout's key makes a repeated `pay_back` harmless. Whatever is neither a clear yes nor a clear no is Unanswered.
    """

    def pay_back(self, payout: Payout) -> ChannelRefund:
        """Hand the payout to the channel. Raises Refused, AlreadyRefunded and Unanswered."""
        ...

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        """What became of the payout's key; None where the channel has never seen it. Raises Unanswered."""
        ...

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        """The refunds of a payment that the channel can name now, whoever made them. Raises Unanswered."""
        ...

    def read_notification(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Notification | None:
        """What a notification says; None where it concerns no refund. Raises Forged."""
        ...

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        """The refunds that a notification speaks of, as the channel has them now. Raises Unanswered."""
        ...

    def refunds_on(self, day: date) -> Iterator[ChannelRefund]:
        """The channel's own list of refunds on a day of its books (`payments.days`). Raises Unanswered."""
        ...
