"""What can stand in the way of a refund, each turned into a sentence at the edge."""

from typing import Any

from refunds.rules.assess import Assessment


class RefundsError(Exception):
    """A refund request cannot be made or moved as asked."""


class MayNotRequest(RefundsError):
    """The certificate or the request is not theirs."""


class InvalidReason(RefundsError):
    """What somebody gave as a reason or an answer is none of those offered, empty, or too long."""


class NotRefundable(RefundsError):
    """The policy does not support a refund of this certificate now."""

    def __init__(self, assessment: Assessment) -> None:
        super().__init__(assessment.rule)
        self.assessment = assessment


class AlreadyRequested(RefundsError):
    """The certificate has a live request already."""

    def __init__(self, request: Any) -> None:
        super().__init__(str(request))
        self.request = request


class RefundedOutside(RefundsError):
    """The payment channel has given money of it back by itself.

    Until staff have decided on that, no other refund is made, and a request of it is neither decided nor cancelled.
    """


class SummaryChanged(RefundsError):
    """What the customer saw and agreed to is no longer what would happen."""

    def __init__(self, now: Any) -> None:
        super().__init__("summary changed")
        self.now = now


class RequestMoved(RefundsError):
    """The request is no longer in a state, or on the facts, that the act needs."""

    def __init__(self, request: Any) -> None:
        super().__init__(f"{request}: {request.state}")
        self.request = request


class FactsChanged(RequestMoved):
    """Something decisive about the certificate differs from the submission; nothing was done."""


class MayNotDecide(RefundsError):
    """No permission, or it is their own request or account."""
