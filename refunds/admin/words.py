"""What staff read: the customer's words are in `refunds.wording`."""

from django.utils.translation import gettext_lazy as _

from refunds.services.outlook import Outlook
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

OUTLOOKS = {
    Outlook.OWN: _("Skipped: you made this request, or it is for your own account. Somebody else decides it."),
    Outlook.NOT_PERMITTED: _("Skipped: your account may look at requests, not decide them."),
    Outlook.MOVED: _("Skipped: no longer under review."),
    Outlook.ISSUED: _("Will lapse: the certificate was issued meanwhile."),
    Outlook.EXPIRED: _("Will lapse: the certificate has expired."),
    Outlook.NOT_SUPPORTED: _("Skipped: the policy does not support it on the facts of its submission."),
    Outlook.CHANGED: _("Skipped: facts that decide have changed since its submission."),
    Outlook.REFUNDED_OUTSIDE: _("Skipped: a refund made directly at the channel must be decided on first."),
    Outlook.REFUND_KEPT: _("Skipped: a refund made directly at the channel is kept as unmatched."),
    Outlook.APPROVE: _("Will be approved."),
}
OUTLOOK_MARKS = {
    Outlook.APPROVE: ("ok", "circle-check"),
    Outlook.ISSUED: ("near", "clock-alert"),
    Outlook.EXPIRED: ("near", "clock-alert"),
}
SKIPPED = ("ended", "circle-slash")

# The same on the page of one request.
WHY_NOT_APPROVED = {
    Outlook.OWN: _("You made this request, or it is for your own account: somebody else decides it."),
    Outlook.NOT_PERMITTED: _("You may look at this request, not decide it."),
    Outlook.ISSUED: _("The certificate was issued meanwhile. A decision lets the request lapse; no money goes back."),
    Outlook.EXPIRED: _("The certificate has expired. A decision lets the request lapse; no money goes back."),
    Outlook.NOT_SUPPORTED: _(
        "On the facts and at the moment of its submission the policy does not support this refund, so it cannot be "
        "approved. It can be rejected."
    ),
    Outlook.CHANGED: _(
        "Facts that decide have changed since the submission: %(facts)s. The request cannot be approved as it stands. "
        "It can be rejected with a reason; the customer may then ask anew."
    ),
    Outlook.REFUNDED_OUTSIDE: _(
        "A refund of the same payment was made directly at the channel, and nobody has decided on it yet. It may be "
        "the refund for this request. Until then, this request can't be approved, rejected or cancelled, and it "
        "doesn't lapse."
    ),
    Outlook.REFUND_KEPT: _(
        "A refund of the same payment was made directly at the channel and is kept as unmatched, so this request can't "
        "be approved. You can reject it, or confirm the difference as its payout or explain it."
    ),
}
