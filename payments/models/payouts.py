"""Money that goes back."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from core.money import format_money
from core.states import StateField, StatefulModel, arrows, known_states
from payments.models.payments import Payment
from payments.states import PAYOUT_EDGES, Channel, PayoutState


class PayoutQuerySet(models.QuerySet):
    def current(self) -> "PayoutQuerySet":
        """Without those that came back and were ordered anew: what of each part counts."""
        return self.filter(Q(successor=None))


class Payout(StatefulModel):
    """Money that goes back to one payment, for the reference of whoever ordered it. Times are UTC."""

    EDGES = PAYOUT_EDGES
    INITIAL = {PayoutState.ORDERED}

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="payouts", verbose_name=_("payment"))
    reference = models.CharField(_("reference"), max_length=100, db_index=True)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel)
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    key = models.UUIDField(_("idempotency key"), default=uuid.uuid4, unique=True, editable=False)
    state = StateField(_("state"), choices=PayoutState, default=PayoutState.ORDERED)
    # The payout that came back and that this one makes good.
    follows = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="successor", verbose_name=_("in place of")
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("approved by")
    )
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("recorded by")
    )
    external_reference = models.CharField(_("outside reference"), max_length=200, blank=True)
    failure = models.CharField(_("failure"), max_length=500, blank=True)
    ordered_at = models.DateTimeField(_("ordered"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    # A day of the channel's own books (`payments.days`); known once it is paid.
    booked_on = models.DateField(_("day in the channel's books"), null=True, blank=True)
    returned_at = models.DateTimeField(_("came back"), null=True, blank=True)

    # --- What the worker keeps of its tries: null and empty before the first ---
    # Before this moment nobody has handed the key to the channel: whoever tries later looks up first.
    first_sent_at = models.DateTimeField(_("first sent"), null=True, blank=True)
    # How often it has failed for certain. A channel that repeats its old answer to a known key needs it.
    refusals = models.PositiveSmallIntegerField(_("refusals"), default=0)
    # Why the last try brought no answer.
    trouble = models.CharField(_("trouble"), max_length=500, blank=True)
    # False while no worker has it: its channel is not connected, or is the bank.
    is_queued = models.BooleanField(_("given to the worker"), default=False)
    # The worker has tried as often as it ever does: a person takes it up.
    handed_over_at = models.DateTimeField(_("handed to staff"), null=True, blank=True)
    # Nothing more may be tried or recorded: the refund behind it was given up.
    given_up_at = models.DateTimeField(_("given up"), null=True, blank=True)

    objects = PayoutQuerySet.as_manager()

    class Meta:
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        permissions = [
            ("record_payout", _("Can record payouts made outside")),
            ("send_payout", _("Can send payouts")),
        ]
        constraints = [
            known_states(PayoutState, "payout_state_known"),
            CheckConstraint(condition=Q(amount__gt=0), name="payout_amount_positive"),
            CheckConstraint(
                condition=Q(given_up_at=None) | Q(state__in=["failed", "returned"]), name="only_failed_payouts_given_up"
            ),
            CheckConstraint(
                condition=Q(state__in=["paid", "returned"], booked_on__isnull=False)
                | (~Q(state__in=["paid", "returned"]) & Q(booked_on=None)),
                name="paid_payout_has_a_day",
            ),
            CheckConstraint(
                condition=Q(state="returned", returned_at__isnull=False) | (~Q(state="returned") & Q(returned_at=None)),
                name="returned_payout_has_a_time",
            ),
            CheckConstraint(
                condition=Q(handed_over_at=None) | Q(state__in=["ordered", "sent", "unknown"]),
                name="only_payouts_under_way_handed_over",
            ),
            CheckConstraint(
                condition=Q(approved_by=None) | Q(recorded_by=None) | ~Q(approved_by=F("recorded_by")),
                name="approver_never_records_payout",
            ),
            UniqueConstraint(
                fields=["payment", "reference"], condition=~Q(state="returned"), name="one_payout_per_part"
            ),
            UniqueConstraint(
                fields=["channel", "external_reference"],
                condition=~Q(external_reference=""),
                name="payout_recorded_once",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "id"], name="payouts_by_state"),
            models.Index(fields=["channel", "booked_on", "id"], name="payouts_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.reference}/{self.pk}"

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)

    @transition("state", source=arrows(PAYOUT_EDGES, PayoutState.SENT), target=PayoutState.SENT)
    def send(self) -> None:
        """Taken up: the channel is asked next."""

    @transition("state", source=arrows(PAYOUT_EDGES, PayoutState.PAID), target=PayoutState.PAID)
    def pay(self) -> None:
        """The channel has paid."""

    @transition("state", source=arrows(PAYOUT_EDGES, PayoutState.FAILED), target=PayoutState.FAILED)
    def fail(self) -> None:
        """The channel has refused, or a person says that it did."""

    @transition("state", source=arrows(PAYOUT_EDGES, PayoutState.UNKNOWN), target=PayoutState.UNKNOWN)
    def lose_sight(self) -> None:
        """The channel gave no answer: it may have paid or not."""

    @transition("state", source=PayoutState.FAILED, target=PayoutState.ORDERED)
    def order_again(self) -> None:
        """Same record, same key."""

    @transition("state", source=PayoutState.PAID, target=PayoutState.RETURNED)
    def come_back(self) -> None:
        """The channel had paid, and the money came back."""
