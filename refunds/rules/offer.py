"""What a certificate's row offers its owner. Pure, like the policy, which knows nothing of requests."""

from enum import StrEnum

from certificates.states import CertificateState
from refunds.rules.assess import Assessment
from refunds.states import CANCELLABLE, LIVE, OPEN


class Offer(StrEnum):
    REFUND = "refund"
    CANCEL = "cancel"
    UNDER_WAY = "under_way"
    NONE = "none"


def offer(
    assessment: Assessment,
    certificate_state: str,
    newest_request_state: str | None,
    *,
    is_refunded_outside: bool = False,
) -> Offer:
    """Refund, Cancel Refund, Refund under way, or none. `certificate_state` is the stored one.

    `is_refunded_outside`: the payment channel has already made a refund of this certificate on its own.
    """
    if newest_request_state in CANCELLABLE:
        return Offer.CANCEL
    if newest_request_state in OPEN:
        return Offer.UNDER_WAY
    if certificate_state == CertificateState.REFUNDED or newest_request_state in LIVE:
        return Offer.NONE
    return Offer.REFUND if assessment.button and not is_refunded_outside else Offer.NONE
