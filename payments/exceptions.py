"""What can stand in the way of a payment or payout, each turned into a sentence at the edge."""

from typing import Any


class PaymentsError(Exception):
    """A payment or payout cannot be moved as asked."""


class MoreThanPaid(PaymentsError):
    """The payouts of a payment would exceed what was paid in."""


class PayoutMoved(PaymentsError):
    """The payout is no longer in the state that the act needs."""


class RefundFound(PaymentsError):
    """The channel gave money of this payment back by itself: until a person has looked, no more may be ordered."""


class FoundUnderAnother(RefundFound):
    """That refund has another outside reference than the one that was given; `difference` is it."""

    def __init__(self, difference: Any) -> None:
        super().__init__(str(difference))
        self.difference = difference


class NotInSteps(PaymentsError):
    """The channel can't refund the payout's amount, since it's not a multiple of its step; the message is for staff."""


class DayImpossible(PaymentsError):
    """A payout is paid on a day from its order on, and on none that is still to come."""


class NotYours(PaymentsError):
    """The person may not do this with this payout: no permission, or they approved the refund behind it."""


class ReferenceTaken(PaymentsError):
    """Another payout of the same channel carries that outside reference already."""


class AmountsDiffer(PaymentsError):
    """The channel's refund under that outside reference is of another amount than the payout; `difference` is it."""

    def __init__(self, difference: Any) -> None:
        super().__init__(str(difference))
        self.difference = difference


class ReferenceMissing(PaymentsError):
    """A payout made outside is recorded under the reference that it has there."""


class NotEnoughBalance(PaymentsError):
    """The account balance does not reach; `missing` is what it lacks, minor units."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} are missing")
        self.missing = missing


class BalanceChanged(PaymentsError):
    """The balance is not what the page showed; `balance` is what it is now, minor units."""

    def __init__(self, balance: int) -> None:
        super().__init__(str(balance))
        self.balance = balance
