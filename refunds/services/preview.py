"""What approving a request would do: the one question of the pages that show it and of the act itself.

A new obstacle is one more `Check` in `CHECKS`: with it come its place in the order, its refusal and its words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core.models import User
from refunds.exceptions import FactsChanged, MayNotDecide, NotRefundable, RefundedOutside, RefundsError, RequestMoved
from refunds.models import RefundRequest
from refunds.rules.assess import Assessment, assess
from refunds.rules.facts import decisive_differences, facts_of
from refunds.services import found, steps
from refunds.states import LapseCause, RequestState


class Effect(StrEnum):
    """What approving does. Only where nothing can be decided is rejecting refused as well."""

    APPROVES = "approves"
    LAPSES = "lapses"
    ONLY_REJECT = "can only be rejected"
    UNDECIDABLE = "can't be decided"


@dataclass(frozen=True)
class ApprovalQuestion:
    """What would happen if this person approved this request at this moment? The request comes with its certificate."""

    request: RefundRequest
    by: User
    at: datetime

    @cached_property
    def lapse_cause(self) -> LapseCause | None:
        return steps.lapse_cause(self.request, self.request.certificate, at=self.at)

    @property
    def is_supported(self) -> bool:
        """On the facts and at the moment of submission, for the amount that was asked for."""
        then = at_submission(self.request)
        return then.supported and then.amount == self.request.amount


@dataclass(frozen=True, eq=False)
class Check:
    """One possible answer: when it applies, what approving then does, and how staff read it in a list and on a page.

    `refusal` is what the act raises; `on_page` may name the `facts` that have changed.
    """

    effect: Effect
    applies: Callable[[ApprovalQuestion], bool]
    in_list: str | Promise
    on_page: str | Promise = ""
    refusal: Callable[[RefundRequest], RefundsError] | None = None
    lapse_cause: LapseCause | None = None

    @property
    def does_something(self) -> bool:
        """Whether approving approves, or lets the request lapse."""
        return self.effect in {Effect.APPROVES, Effect.LAPSES}


OWN = Check(
    Effect.UNDECIDABLE,
    lambda asked: is_involved(asked.request, asked.by),
    _("Skipped: you made this request, or it's for your own account. Someone else has to decide it."),
    _("You made this request, or it's for your own account. Someone else has to decide it."),
    refusal=lambda request: MayNotDecide(str(request)),
)
NOT_PERMITTED = Check(
    Effect.UNDECIDABLE,
    lambda asked: not _may_review(asked.by),
    _("Skipped: your account may look at requests, not decide them."),
    _("You may look at this request, not decide it."),
    refusal=lambda request: MayNotDecide(str(request)),
)
MOVED = Check(
    Effect.UNDECIDABLE,
    lambda asked: asked.request.state != RequestState.UNDER_REVIEW,
    _("Skipped: no longer under review."),
    refusal=RequestMoved,
)
# A refund made directly at the channel on which nobody has decided yet.
REFUNDED_OUTSIDE = Check(
    Effect.UNDECIDABLE,
    lambda asked: found.undecided_refunds(asked.request.certificate).exists(),
    _("Skipped: a refund made directly at the channel must be decided on first."),
    _(
        "A refund of the same payment was made directly at the channel, and nobody has decided on it yet. It may be "
        "the refund for this request. Until then, this request can't be approved, rejected or cancelled, and it "
        "doesn't lapse."
    ),
    refusal=lambda request: RefundedOutside(str(request)),
)
ISSUED = Check(
    Effect.LAPSES,
    lambda asked: asked.lapse_cause == LapseCause.ISSUED,
    _("Will lapse: the certificate was issued meanwhile."),
    _("The certificate was issued meanwhile. A decision lets the request lapse; no money goes back."),
    lapse_cause=LapseCause.ISSUED,
)
EXPIRED = Check(
    Effect.LAPSES,
    lambda asked: asked.lapse_cause == LapseCause.EXPIRED,
    _("Will lapse: the certificate has expired."),
    _("The certificate has expired. A decision lets the request lapse; no money goes back."),
    lapse_cause=LapseCause.EXPIRED,
)
NOT_SUPPORTED = Check(
    Effect.ONLY_REJECT,
    lambda asked: not asked.is_supported,
    _("Skipped: the policy does not support it on the facts of its submission."),
    _(
        "On the facts and at the moment of its submission, the policy doesn't support this refund, so it can't be "
        "approved. It can be rejected."
    ),
    refusal=lambda request: NotRefundable(at_submission(request)),
)
CHANGED = Check(
    Effect.ONLY_REJECT,
    lambda asked: bool(changed_facts(asked.request)),
    _("Skipped: facts that decide have changed since its submission."),
    _(
        "Facts that decide have changed since the submission: %(facts)s. The request can't be approved now. You can "
        "reject it with a reason. The customer can request the refund again only if the refund rules still allow it."
    ),
    refusal=FactsChanged,
)
# Decided: it was kept as unmatched, so no other money of the payment goes back.
REFUND_KEPT = Check(
    Effect.ONLY_REJECT,
    lambda asked: found.is_refund_found(asked.request.certificate),
    _("Skipped: a refund made directly at the channel is kept as unmatched."),
    _(
        "A refund of the same payment was made directly at the channel and is kept as unmatched, so this request can't "
        "be approved. You can reject it, or confirm the difference as its payout or explain it."
    ),
    refusal=lambda request: RefundedOutside(str(request)),
)
APPROVE = Check(Effect.APPROVES, lambda _asked: True, _("Will be approved."))

# In the order in which they're asked; the first that applies is the answer.
CHECKS = (
    OWN,
    NOT_PERMITTED,
    MOVED,
    REFUNDED_OUTSIDE,
    ISSUED,
    EXPIRED,
    NOT_SUPPORTED,
    CHANGED,
    REFUND_KEPT,
    APPROVE,
)


def preview_approval(request: RefundRequest, *, by: User, at: datetime) -> Check:
    """What `approve_refund` does to this request at `at`, by this person. The request comes with its certificate.

    Where the certificate and the request are locked, the answer holds until the transaction ends.
    """
    asked = ApprovalQuestion(request, by, at)
    return next(check for check in CHECKS if check.applies(asked))


def may_decide(request: RefundRequest, by: User) -> bool:
    """Whether a person may decide this request: with the permission, and it is neither theirs nor made by them."""
    return _may_review(by) and not is_involved(request, by)


def is_involved(request: RefundRequest, by: User) -> bool:
    """Whether the money goes to this person, or they made the request."""
    return by.pk in {request.account_id, request.requested_by_id}


def changed_facts(request: RefundRequest) -> list[str]:
    """The names of the facts that decide and have changed since the submission."""
    return decisive_differences(request.facts_at_submission, facts_of(request.certificate))


def at_submission(request: RefundRequest) -> Assessment:
    """What the policy said of the facts and at the moment of the submission."""
    return assess(request.facts_at_submission, request.submitted_at)


def _may_review(by: User) -> bool:
    return by.is_active and by.is_staff and by.has_perm("refunds.review_refund")
