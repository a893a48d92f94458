class PaymentsError(Exception):
    """A payment or payout cannot be moved as asked."""


class MoreThanPaid(PaymentsError):
    """The payouts of a payment would exceed what was paid in."""


class PayoutMoved(PaymentsError):
    """The payout is no longer in the state that the act needs."""


class NotYours(PaymentsError):
    """The person may not do this with this payout: no permission, or they approved the refund behind it."""


class ReferenceTaken(PaymentsError):
    """Another payout of the same channel carries that outside reference already."""


class ReferenceMissing(PaymentsError):
    """A payout made outside is recorded under the reference that it has there."""
