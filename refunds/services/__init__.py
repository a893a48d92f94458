"""Every change of refund requests: one function per business act. Nobody else writes them.

Each locks the certificate, then the request, looks again, and records what it did in the same transaction. Moments
(`at`) are aware; amounts are minor units.
"""

from refunds.services.console import certificate_changed, lapse_overdue, lock_for_payout, payout_settled
from refunds.services.customer import cancel_refund, request_refund
from refunds.services.found import certificates_undecided, is_refund_found, undecided_refunds
from refunds.services.outside import candidates_of, confirm_channel_refund
from refunds.services.preview import may_decide
from refunds.services.staff import (
    approve_refund,
    fail_refund,
    fail_refund_of,
    reject_refund,
    review_token,
)

__all__ = [
    "approve_refund",
    "cancel_refund",
    "candidates_of",
    "certificate_changed",
    "certificates_undecided",
    "confirm_channel_refund",
    "fail_refund",
    "fail_refund_of",
    "is_refund_found",
    "lapse_overdue",
    "lock_for_payout",
    "may_decide",
    "payout_settled",
    "reject_refund",
    "request_refund",
    "review_token",
    "undecided_refunds",
]
