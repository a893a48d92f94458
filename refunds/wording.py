"""The sentences behind the codes: what a person reads of a rule, a warning, a state or an act."""

from django.utils.translation import gettext_lazy as _

from refunds.pages.progress import Standing
from refunds.rules.table import Review
from refunds.states import LapseCause, RequestState

# While a request is open, a refund that the channel made may be the one that was asked for.
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
STILL_OWED = _("It is still owed to you, and our staff see to it; you don't need to do anything.")
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
