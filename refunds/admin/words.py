"""What staff read: the customer's words are in `refunds.wording`."""

from django.utils.translation import gettext_lazy as _

from refunds.services.preview import Effect
from refunds.states import RequestState, Verdict

STATES = {
    **dict(RequestState.choices),
    RequestState.AWAITING_ANSWER: _("Question asked"),
    RequestState.CANCELLED: _("Cancelled by the customer"),
    RequestState.FAILED: _("The refund failed"),
}

VERDICT_MARKS = {
    Verdict.APPROVE: ("ok", "circle-check"),
    Verdict.REJECT: ("bad", "circle-x"),
    Verdict.CONFIRM: ("ok", "wallet"),
}

# What happened to a request, by the act in the audit trail.
ACTS = {
    "requested": _("Requested"),
    "approved": _("Approved"),
    "money_ordered": _("Payouts ordered"),
    "paying": _("Payment under way"),
    "payment_failed": _("A payout failed"),
    "returned": _("A payout came back"),
    "refunded": _("Refunded"),
    "confirmed": _("Refunded at the channel, confirmed"),
    "rejected": _("Rejected"),
    "cancelled": _("Cancelled by the customer"),
    "lapsed": _("Lapsed"),
    "failed": _("Given up; the certificate can be used again"),
}

NEXT = {
    RequestState.UNDER_REVIEW: _("A reviewer decides by %(due)s."),
    RequestState.AWAITING_ANSWER: _("The customer answers a question."),
    RequestState.AWAITING_REVOCATION: _("The authority completes the revocation."),
    RequestState.APPROVED: _("The payouts are made."),
    RequestState.PAYING: _("The remaining payouts are made."),
    RequestState.PAYMENT_FAILED: _(
        "What failed or came back is sent again, or made outside and recorded as paid; or, while no part was paid, the "
        "refund is given up."
    ),
}
NEXT_WHILE_CLOSING = _("The authority answers that the application is closed; then the payouts are ordered.")

FACTS = {
    "source": _("Source"),
    "free": _("Free product"),
    "paid": _("Paid part"),
    "voucher": _("Voucher part"),
    "currency": _("Currency"),
    "purchased_at": _("Purchased"),
    "expires_at": _("Expires"),
    "submitted_at": _("Application submitted"),
    "validated_at": _("Application validated"),
    "issued_at": _("Issued"),
    "revocation_requested_at": _("Revocation requested"),
    "revoked_at": _("Revoked"),
    "policy": _("Policy"),
}

EFFECT_MARKS = {
    Effect.APPROVES: ("ok", "circle-check"),
    Effect.LAPSES: ("near", "clock-alert"),
    Effect.ONLY_REJECT: ("ended", "circle-slash"),
    Effect.UNDECIDABLE: ("ended", "circle-slash"),
}
