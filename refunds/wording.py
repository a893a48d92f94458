"""The sentences behind the codes: what a person reads of a rule, a warning, a state or an act."""

from django.utils.translation import gettext_lazy as _

from payments.states import PayoutState
from refunds.policy import Review, Rule, Warning
from refunds.states import LapseCause, RequestState

# Why a certificate shows what it shows; the first sentence says it, the second what can be done.
RULES = {
    Rule.UPLOADED: _("This certificate was bought elsewhere, so nothing was paid for it here."),
    Rule.FREE_DV: _("Free DV certificates cost nothing, so there is nothing to give back."),
    Rule.NOTHING_PAID: _("The certificate was paid with a voucher alone, and a voucher's part never comes back."),
    Rule.EXPIRED: _("The certificate has expired. A refund can be requested only before that."),
    Rule.ISSUED_REVOKED: _("Issued and revoked within 28 days: everything you paid comes back after a review."),
    Rule.REVOKED_TOO_LATE: _("The revocation was completed more than 28 days after the certificate was issued."),
    Rule.ISSUED_TOO_LONG: _("The certificate was issued more than 28 days ago."),
    Rule.REVOCATION_PENDING: _(
        "The revocation has been requested. Once it is completed in time, you can request a refund."
    ),
    Rule.REVOKE_FIRST: _("The certificate is issued. Revoke it first; then you can request a refund."),
    Rule.VALIDATED_UNISSUED: _(
        "The certificate authority has approved the application and is about to issue the certificate. "
        "A refund can be requested again once it is issued and revoked."
    ),
    Rule.UNISSUED_IMMEDIATE: _("Bought 5 days ago or less and not issued: everything you paid comes back at once."),
    Rule.UNISSUED_MANUAL: _("Not issued: everything you paid comes back after a review."),
    Rule.UNISSUED_TOO_LATE: _("Less than 15 days are left before the service period ends."),
}

# The rule in a few words, for lists.
RULE_NAMES = {
    Rule.UPLOADED: _("Uploaded"),
    Rule.FREE_DV: _("Free DV"),
    Rule.NOTHING_PAID: _("Nothing paid"),
    Rule.EXPIRED: _("Expired"),
    Rule.ISSUED_REVOKED: _("Revoked in time"),
    Rule.REVOKED_TOO_LATE: _("Revoked too late"),
    Rule.ISSUED_TOO_LONG: _("Issued too long ago"),
    Rule.REVOCATION_PENDING: _("Revocation under way"),
    Rule.REVOKE_FIRST: _("Revoke first"),
    Rule.VALIDATED_UNISSUED: _("Approved, not issued yet"),
    Rule.UNISSUED_IMMEDIATE: _("Not issued, at once"),
    Rule.UNISSUED_MANUAL: _("Not issued, with review"),
    Rule.UNISSUED_TOO_LATE: _("Too close to the end"),
}

WARNINGS = {
    Warning.MAY_NOT_FINISH_BEFORE_EXPIRY: _(
        "The review may take until after the certificate expires. If it expires before we decide, the request fails."
    ),
    Warning.REVOCATION_MAY_FINISH_LATE: _(
        "A certificate authority needs up to 5 business days to revoke. "
        "The revocation may be completed too late for a refund."
    ),
}

# Business days, as the product page says: "within 5 business days on average".
USUAL_REVIEW = 5

REVIEWS = {
    Review.NONE: _("not needed"),
    Review.MANUAL: _("by our staff"),
}

# The tone and the icon that go with the word of a request's state.
STATE_MARKS = {
    RequestState.UNDER_REVIEW: ("busy", "hourglass"),
    RequestState.AWAITING_ANSWER: ("near", "message-circle-question-mark"),
    RequestState.AWAITING_REVOCATION: ("busy", "clock"),
    RequestState.APPROVED: ("busy", "circle-check"),
    RequestState.PAYING: ("busy", "send"),
    RequestState.PAYMENT_FAILED: ("bad", "triangle-alert"),
    RequestState.REFUNDED: ("ok", "wallet"),
    RequestState.REJECTED: ("bad", "circle-x"),
    RequestState.CANCELLED: ("ended", "undo-2"),
    RequestState.LAPSED: ("ended", "clock-alert"),
    RequestState.FAILED: ("bad", "ban"),
}

# Where a request stands, in one sentence. `ended` is when it ended, `amount` what was asked for.
STANDS = {
    RequestState.UNDER_REVIEW: _("Our staff are reviewing the request."),
    RequestState.AWAITING_ANSWER: _("Our staff have asked you a question; the review waits for your answer."),
    RequestState.AWAITING_REVOCATION: _(
        "The refund is approved on one condition: the certificate must be revoked first."
    ),
    RequestState.APPROVED: _("The refund is approved and %(amount)s has been ordered back."),
    RequestState.PAYING: _("The money is on its way to you."),
    RequestState.PAYMENT_FAILED: _("A payment did not go through. It is being tried again."),
    RequestState.REFUNDED: _("%(amount)s was paid back on %(ended)s."),
    RequestState.REJECTED: _("The request was rejected on %(ended)s."),
    RequestState.CANCELLED: _("You cancelled the request on %(ended)s."),
    RequestState.LAPSED: _("The request lapsed on %(ended)s: %(cause)s."),
    RequestState.FAILED: _(
        "The refund failed on %(ended)s and nothing was paid back. The certificate is no longer on hold."
    ),
}
STANDS_WHILE_CLOSING = _(
    "The refund is approved. %(amount)s is ordered back as soon as the certificate authority has confirmed that the "
    "application is closed."
)
LAPSE_CAUSES = {
    LapseCause.EXPIRED: _("the certificate expired before the refund was decided"),
    LapseCause.ISSUED: _("the certificate was issued meanwhile"),
    LapseCause.UNANSWERED: _("our question was not answered"),
}

PAYOUT_STATES = {
    PayoutState.ORDERED: _("ordered"),
    PayoutState.SENT: _("on its way"),
    PayoutState.PAID: _("paid"),
    PayoutState.FAILED: _("failed, being retried"),
    PayoutState.UNKNOWN: _("being checked"),
    PayoutState.RETURNED: _("came back"),
}
PAYOUT_GIVEN_UP = _("failed")

# What a customer reads in the history of a request, by the act in the audit trail; who did it stands beside it.
ACTS = {
    "requested": _("Refund requested"),
    "approved": _("Approved"),
    "money_ordered": _("Money ordered back"),
    "paying": _("Payment under way"),
    "payment_failed": _("A payment failed and is being tried again"),
    "refunded": _("Refunded"),
    "rejected": _("Rejected"),
    "cancelled": _("Request cancelled"),
    "lapsed": _("Lapsed"),
    "failed": _("The refund failed; you can use the certificate"),
}
