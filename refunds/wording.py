"""The sentences behind the codes: what a person reads of a rule, a warning, a state or an act."""

from django.utils.translation import gettext_lazy as _

from refunds.policy import Review, Rule, Warning
from refunds.standing import Standing
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

# A refund that the payment channel made by itself closes the Refund action.
FOUND_OUTSIDE = _(
    "A refund of this certificate was made by the payment channel itself; it was found on %(time)s. "
    "Our staff are looking at it, so no other refund can be requested."
)
FOUND_FOR_ORDER = _(
    "A refund of the same order was made by the payment channel itself. "
    "Until our staff have looked at it, nothing else of this order can be paid back."
)

# The same while a request is open: it may be the refund that was asked for.
FOUND_UNDER_REQUEST = _(
    "The payment channel has already made a refund, and our staff are checking it. Until they decide, this request "
    "can't be approved, rejected or cancelled. You don't need to do anything."
)
FOUND_UNDER_WAY = _("The payment channel has already made a refund, and our staff are checking it.")
FOUND_NEXT = _(
    "Our staff check the refund that was already made. If it is the one you asked for, this request ends as refunded; "
    "otherwise it goes on."
)
# For a list.
FOUND_SHORT = _("Our staff are checking a refund that was already made.")

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
    RequestState.PAYMENT_FAILED: _("A part of the money did not reach you. It is still owed to you."),
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
# What is still owed of a refund whose payment failed or came back, and what we do about it.
OWED = {
    Standing.CAME_BACK: _("%(amount)s that we had paid to your %(channel)s came back to us on %(when)s."),
    Standing.FAILED: _("%(amount)s could not be paid to your %(channel)s."),
}
STILL_OWED = _("It is still owed to you, and our staff see to it; you need not do anything.")
CAME_BACK = _("Money came back, still owed to you")
CAME_BACK_MARK = ("bad", "undo-2")
# For a list: how much came back, and when.
CAME_BACK_SHORT = _("%(amount)s came back on %(when)s, still owed to you")
# Given up after money had come back.
STANDS_CAME_BACK = _(
    "The refund failed on %(ended)s: the money came back to us, and no other way was found to send it. The certificate "
    "is no longer on hold."
)
LAPSE_CAUSES = {
    LapseCause.EXPIRED: _("the certificate expired before the refund was decided"),
    LapseCause.ISSUED: _("the certificate was issued meanwhile"),
    LapseCause.UNANSWERED: _("our question was not answered"),
}

# How far a part is; `when` is when it was paid, failed or came back. What is not ordered yet has no word.
PART_STATES = {
    Standing.ORDERED: _("ordered"),
    Standing.BY_HAND: _("ordered"),
    Standing.ON_ITS_WAY: _("on its way"),
    Standing.CHECKED: _("being checked"),
    Standing.CHECKED_BY_STAFF: _("being checked by our staff"),
    Standing.PAID: _("paid on %(when)s"),
    Standing.FAILED: _("failed on %(when)s, with our staff"),
    Standing.CAME_BACK: _("came back on %(when)s"),
    Standing.GIVEN_UP: _("failed on %(when)s"),
    Standing.CAME_BACK_FOR_GOOD: _("came back on %(when)s"),
}
# The same of what was ordered in place of money that had come back.
PART_STATES_ANEW = {
    Standing.ORDERED: _("ordered anew"),
    Standing.BY_HAND: _("ordered anew"),
    Standing.ON_ITS_WAY: _("on its way again"),
    Standing.PAID: _("paid anew on %(when)s"),
}
# What comes next of a part: how it reaches its channel, and who sees to it.
_TRANSFERRED = _("%(amount)s goes to your %(channel)s: our staff transfer it, and the record says when it is done.")
_SENT = _("%(amount)s goes to your %(channel)s; it may take some days until you see it there.")
PART_COMES = {
    Standing.TO_COME: _SENT,
    Standing.TO_COME_BY_HAND: _TRANSFERRED,
    Standing.ORDERED: _SENT,
    Standing.BY_HAND: _TRANSFERRED,
    Standing.ON_ITS_WAY: _(
        "%(amount)s is on its way to your %(channel)s; it may take some days until you see it there."
    ),
    Standing.CHECKED: _(
        "We were not told whether %(amount)s has reached your %(channel)s. The console asks again by itself, and sends "
        "nothing a second time before it knows."
    ),
    Standing.CHECKED_BY_STAFF: _(
        "We were not told whether %(amount)s has reached your %(channel)s. Our staff find out, and send it again if it "
        "has not."
    ),
    Standing.FAILED: _("Our staff send the %(amount)s to your %(channel)s again, or find another way."),
    Standing.CAME_BACK: _("Our staff send the %(amount)s to your %(channel)s again, or find another way."),
}
PART_COMES_TO_BALANCE = dict.fromkeys(
    (Standing.TO_COME, Standing.ORDERED, Standing.ON_ITS_WAY), _("%(amount)s goes to your %(channel)s.")
)

# What a customer reads in the history of a request, by the act in the audit trail; who did it stands beside it.
ACTS = {
    "requested": _("Refund requested"),
    "approved": _("Approved"),
    "money_ordered": _("Money ordered back"),
    "paying": _("Payment under way"),
    "payment_failed": _("A payment did not go through; our staff see to it"),
    "returned": _("Money came back to us"),
    "refunded": _("Refunded"),
    "confirmed": _("The money had gone back to you already"),
    "rejected": _("Rejected"),
    "cancelled": _("Request cancelled"),
    "lapsed": _("Lapsed"),
    "failed": _("The refund failed; you can use the certificate"),
}
