"""Refund requests, the decisions on them, and trials of a policy."""

import secrets
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from certificates.models import Certificate
from core.clock import service_day
from core.models import AppendOnlyModel
from core.money import format_money
from core.states import StateField, StatefulModel, arrows, known_states
from refunds.rules.assess import Facts
from refunds.states import (
    CANCELLABLE,
    LIVE,
    OPEN,
    REQUEST_EDGES,
    LapseCause,
    Reason,
    RequestState,
    Verdict,
)

# Without the letters and digits that are read for one another.
REFERENCE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LONGEST_REASON = 1000
LONGEST_ANSWER = 2000

_S = RequestState


def new_reference(at: datetime) -> str:
    """`RF-`, the service's day, and 8 random characters."""
    tail = "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(8))
    return f"RF-{service_day(at):%Y%m%d}-{tail}"


class RefundRequestQuerySet(models.QuerySet):
    def open(self) -> "RefundRequestQuerySet":
        return self.filter(state__in=sorted(OPEN))

    def owned_by(self, account: Any) -> "RefundRequestQuerySet":
        return self.filter(account=account)

    def of(self, certificate: Certificate) -> "RefundRequestQuerySet":
        """The requests of one certificate, newest first."""
        return self.filter(certificate=certificate).order_by("-id")


class RefundRequest(StatefulModel):
    """A customer's wish to get the paid part of one certificate back, with the facts it was made on.

    Times are UTC, amounts minor units of `currency`, `review_due` a day in the service's zone.
    """

    EDGES = REQUEST_EDGES
    INITIAL = {_S.UNDER_REVIEW}

    reference = models.CharField(_("reference"), max_length=30, unique=True)
    certificate = models.ForeignKey(Certificate, models.PROTECT, related_name="+", verbose_name=_("certificate"))
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("requested by")
    )
    # One submission of the form; the same form sent again finds its request by this.
    form_key = models.UUIDField(_("form key"), default=uuid.uuid4, unique=True, editable=False)
    state = StateField(_("state"), choices=RequestState, default=RequestState.UNDER_REVIEW)

    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    reason_text = models.CharField(_("other reason"), max_length=LONGEST_REASON, blank=True)
    submitted_at = models.DateTimeField(_("submitted"))

    policy = models.CharField(_("policy"), max_length=30)
    calendar_version = models.CharField(_("business day calendar"), max_length=50)
    facts = models.JSONField(_("facts at submission"))
    rule = models.CharField(_("rule"), max_length=30)
    review = models.CharField(_("review"), max_length=10)
    warnings = models.JSONField(_("warnings"), default=list, blank=True)
    review_due = models.DateField(_("due"), null=True, blank=True)
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)

    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    lapse_cause = models.CharField(_("cause"), max_length=20, choices=LapseCause, blank=True)
    answer = models.CharField(_("answer to the customer"), max_length=LONGEST_ANSWER, blank=True)

    objects = RefundRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund request")
        verbose_name_plural = _("refund requests")
        permissions = [("review_refund", _("Can decide refund requests"))]
        constraints = [
            known_states(RequestState, "request_state_known"),
            UniqueConstraint(
                fields=["certificate"], condition=Q(state__in=sorted(LIVE)), name="one_live_request_per_certificate"
            ),
            CheckConstraint(condition=Q(amount__gt=0), name="request_amount_positive"),
            CheckConstraint(condition=Q(review__in=["none", "manual"]), name="request_review_known"),
            CheckConstraint(condition=Q(reason__in=Reason.values), name="request_reason_known"),
            CheckConstraint(condition=~Q(reason="other") | ~Q(reason_text=""), name="other_reason_has_text"),
            CheckConstraint(condition=~Q(state="lapsed") | ~Q(lapse_cause=""), name="lapsed_request_has_cause"),
            CheckConstraint(condition=~Q(state="rejected") | ~Q(answer=""), name="rejected_request_has_answer"),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="requests_by_account"),
            models.Index(fields=["certificate", "-id"], name="requests_by_certificate"),
            models.Index(fields=["state", "review_due", "id"], name="requests_by_state"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def can_be_cancelled(self) -> bool:
        return self.state in CANCELLABLE

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)

    @property
    def facts_at_submission(self) -> Facts:
        return Facts.from_json(self.facts)

    @property
    def reason_in_words(self) -> str:
        return self.reason_text if self.reason == Reason.OTHER else str(self.get_reason_display())

    @transition("state", source=_S.UNDER_REVIEW, target=_S.APPROVED, permission="refunds.review_refund")
    def approve(self) -> None:
        """Decided for the customer, by staff or by the policy itself."""

    @transition("state", source=_S.UNDER_REVIEW, target=_S.REJECTED, permission="refunds.review_refund")
    def reject(self, *, at: datetime, answer: str) -> None:
        self.ended_at, self.answer = at, answer

    @transition("state", source=sorted(CANCELLABLE), target=_S.CANCELLED)
    def cancel(self, *, at: datetime) -> None:
        self.ended_at = at

    @transition("state", source=arrows(REQUEST_EDGES, _S.LAPSED), target=_S.LAPSED)
    def lapse(self, *, at: datetime, cause: LapseCause) -> None:
        self.ended_at, self.lapse_cause = at, cause

    @transition("state", source=[_S.APPROVED, _S.PAYMENT_FAILED], target=_S.PAYING)
    def pay(self) -> None:
        """The first of its payouts was taken up."""

    @transition("state", source=[_S.PAYING, _S.REFUNDED], target=_S.PAYMENT_FAILED)
    def fail_payment(self) -> None:
        """One of its payouts failed, or came back."""
        self.ended_at = None

    @transition("state", source=[_S.PAYING, _S.PAYMENT_FAILED], target=_S.REFUNDED)
    def settle(self, *, at: datetime) -> None:
        self.ended_at = at

    @transition("state", source=_S.UNDER_REVIEW, target=_S.REFUNDED)
    def confirm(self, *, at: datetime) -> None:
        """The channel had given the money back by itself, as a person has confirmed."""
        self.ended_at = at

    @transition("state", source=_S.PAYMENT_FAILED, target=_S.FAILED)
    def give_up(self, *, at: datetime) -> None:
        self.ended_at = at


class Decision(AppendOnlyModel):
    """Somebody decided a request. Until it takes effect the request is under review. `by` null: the policy itself."""

    request = models.ForeignKey(RefundRequest, models.PROTECT, related_name="decisions", verbose_name=_("request"))
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("by")
    )
    at = models.DateTimeField(_("decided"))
    effective_at = models.DateTimeField(_("takes effect"))
    note = models.CharField(_("note"), max_length=LONGEST_ANSWER, blank=True)

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        constraints = [
            CheckConstraint(condition=Q(verdict__in=Verdict.values), name="decision_verdict_known"),
            CheckConstraint(condition=Q(effective_at__gte=models.F("at")), name="decision_effect_not_before"),
            UniqueConstraint(fields=["request"], condition=Q(verdict="approve"), name="approved_once"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.request_id}"


class PolicyTrial(models.Model):
    """What a policy would answer for every certificate in the database, beside what its own answers at `at`.

    `counts` holds a number by the two answers, `examples` the ids of some certificates with them; both grow while the
    worker goes on from the certificate `cursor`. Nothing follows from a trial.
    """

    policy = models.CharField(_("policy"), max_length=30)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    at = models.DateTimeField(_("asked about"))
    cursor = models.BigIntegerField(default=0, editable=False)
    counts = models.JSONField(default=dict, editable=False)
    examples = models.JSONField(default=dict, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("policy trial")
        verbose_name_plural = _("policy trials")
        constraints = [
            UniqueConstraint(fields=["policy"], condition=Q(finished_at=None), name="one_unfinished_trial_a_policy"),
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.at:%Y-%m-%d %H:%M}"
