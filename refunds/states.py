"""The states of a refund request and the moves between them, reasons, and verdicts."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestState(models.TextChoices):
    """The life of a refund request; the labels are what the customer reads."""

    UNDER_REVIEW = "under_review", _("Under review")
    AWAITING_ANSWER = "awaiting_answer", _("We have a question")
    AWAITING_REVOCATION = "awaiting_revocation", _("Approved once revoked")
    APPROVED = "approved", _("Approved, money ordered")
    PAYING = "paying", _("Payment under way")
    PAYMENT_FAILED = "payment_failed", _("Payment failed, being retried")
    REFUNDED = "refunded", _("Refunded")
    REJECTED = "rejected", _("Rejected")
    CANCELLED = "cancelled", _("Cancelled by you")
    LAPSED = "lapsed", _("Lapsed")
    FAILED = "failed", _("The refund failed; you can use the certificate")


_S = RequestState

REQUEST_EDGES: dict[str, set[str]] = {
    _S.UNDER_REVIEW: {
        _S.AWAITING_ANSWER,
        _S.AWAITING_REVOCATION,
        _S.APPROVED,
        _S.REJECTED,
        _S.CANCELLED,
        _S.LAPSED,
        _S.REFUNDED,
    },
    _S.AWAITING_ANSWER: {_S.UNDER_REVIEW, _S.CANCELLED, _S.LAPSED},
    _S.AWAITING_REVOCATION: {_S.APPROVED, _S.UNDER_REVIEW, _S.LAPSED},
    _S.APPROVED: {_S.PAYING, _S.LAPSED},
    _S.PAYING: {_S.REFUNDED, _S.PAYMENT_FAILED},
    _S.PAYMENT_FAILED: {_S.PAYING, _S.REFUNDED, _S.FAILED},
    _S.REFUNDED: {_S.PAYMENT_FAILED},
    _S.REJECTED: set(),
    _S.CANCELLED: set(),
    _S.LAPSED: set(),
    _S.FAILED: set(),
}

ENDED_UNPAID = frozenset({_S.REJECTED, _S.CANCELLED, _S.LAPSED, _S.FAILED})
OPEN = frozenset(set(_S) - ENDED_UNPAID - {_S.REFUNDED})
LIVE = OPEN | {_S.REFUNDED}
CANCELLABLE = frozenset({_S.UNDER_REVIEW, _S.AWAITING_ANSWER})
# Until a decision: the certificate's end or issue ends these.
UNDECIDED = frozenset({_S.UNDER_REVIEW, _S.AWAITING_ANSWER, _S.AWAITING_REVOCATION})
# From the approval on, until the money has arrived or the refund was given up.
MONEY_ORDERED = frozenset({_S.APPROVED, _S.PAYING, _S.PAYMENT_FAILED})


class Reason(models.TextChoices):
    """Why a customer asks, as the service words it."""

    CANNOT_APPLY = (
        "cannot_apply",
        _("I failed to apply for or install the certificate, and do not know where to get help."),
    )
    STUCK = (
        "stuck",
        _(
            "The certificate application process is stuck in the Verifying or Verification Failed state. "
            "This affects my business."
        ),
    )
    WRONG_TYPE = (
        "wrong_type",
        _(
            "The type of the renewed certificate is inconsistent with that of the original certificate. "
            "I want to claim a refund and purchase a new certificate."
        ),
    )
    NO_NEED = "no_need", _("I no longer need the certificate.")
    OTHER = "other", _("Other")


class LapseCause(models.TextChoices):
    EXPIRED = "expired", _("the certificate expired")
    ISSUED = "issued", _("the certificate was issued")
    UNANSWERED = "unanswered", _("our question was not answered")


class Verdict(models.TextChoices):
    APPROVE = "approve", _("Approved")
    REJECT = "reject", _("Rejected")
    # The money had gone back already, by the channel itself.
    CONFIRM = "confirm", _("Confirmed: refunded at the channel")
