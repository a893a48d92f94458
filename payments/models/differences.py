"""Where a channel's books and ours do not say the same."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from core.money import format_money
from core.states import StateField, StatefulModel, arrows, known_states
from payments.models.payments import Payment
from payments.models.payouts import Payout
from payments.states import CLOSES_REFUND, DIFFERENCE_EDGES, PAID_THERE, Channel, DifferenceKind, DifferenceState


class DifferenceQuerySet(models.QuerySet):
    def closing_refunds(self) -> "DifferenceQuerySet":
        """Money of a payment that its channel says has gone, and we do not: in the way of another refund of it.

        Also where the channel does not say how much.
        """
        is_money = Q(amount=None) | Q(amount__gt=0)
        return self.filter(is_money, kind__in=sorted(PAID_THERE), state__in=sorted(CLOSES_REFUND))

    def found_at_channel(self) -> "DifferenceQuerySet":
        """Refunds that a channel made by itself and that may still become a request's payouts."""
        return self.closing_refunds().filter(kind=DifferenceKind.MISSING_HERE)

    def of_one_certificate(self) -> "DifferenceQuerySet":
        """Those of which a person has said whose they are: what else the payment paid for may be refunded."""
        return self.closing_refunds().filter(state=DifferenceState.KEPT).exclude(assigned_to="")

    def of_nobody_knows_which(self) -> "DifferenceQuerySet":
        return self.closing_refunds().filter(~Q(state=DifferenceState.KEPT) | Q(assigned_to=""))


class Difference(StatefulModel):
    """One thing that reconciliation, or a notification, found. Amounts are minor units of `currency`, times UTC.

    `subject` says what it is about, the same at every run: the channel's reference, or the payout's key where the
    channel has nothing. `amount` is the channel's, `our_amount` ours; null on the side where it is missing.
    """

    EDGES = DIFFERENCE_EDGES
    INITIAL = {DifferenceState.OPEN}

    channel = models.CharField(_("channel"), max_length=10, choices=Channel)
    day = models.DateField(_("day in the channel's books"))
    kind = models.CharField(_("kind"), max_length=20, choices=DifferenceKind)
    subject = models.CharField(_("subject"), max_length=200)
    external_reference = models.CharField(_("outside reference"), max_length=200, blank=True)
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="differences", verbose_name=_("payment")
    )
    payout = models.ForeignKey(
        Payout, models.PROTECT, null=True, blank=True, related_name="differences", verbose_name=_("payout")
    )
    amount = models.BigIntegerField(_("amount there"), null=True, blank=True)
    our_amount = models.BigIntegerField(_("amount here"), null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    # The channel has taken it on and not said yet how it ended.
    is_pending = models.BooleanField(_("pending there"), default=False)
    # The certificate that a person named; `payments` does not know what its payments bought.
    assigned_to = models.CharField(_("assigned to"), max_length=100, blank=True)
    state = StateField(_("state"), choices=DifferenceState, default=DifferenceState.OPEN)
    found_at = models.DateTimeField(_("found"))
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("resolved by")
    )
    note = models.CharField(_("note"), max_length=500, blank=True)

    objects = DifferenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            known_states(DifferenceState, "difference_state_known"),
            CheckConstraint(condition=Q(kind__in=DifferenceKind.values), name="difference_kind_known"),
            UniqueConstraint(fields=["channel", "kind", "subject"], name="one_difference_per_subject"),
            CheckConstraint(
                condition=Q(state__in=["open", "healed"]) | Q(resolved_by__isnull=False),
                name="resolved_difference_has_a_person",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "id"], name="differences_by_state"),
            models.Index(fields=["channel", "external_reference"], name="differences_by_reference"),
        ]

    def __str__(self) -> str:
        return f"DIFF-{self.pk}"

    @property
    def money(self) -> str:
        amount = self.our_amount if self.amount is None else self.amount
        return format_money(amount or 0, self.currency)

    @transition("state", source=arrows(DIFFERENCE_EDGES, DifferenceState.CONFIRMED), target=DifferenceState.CONFIRMED)
    def confirm(self) -> None:
        """A refund made at the channel itself is the payout of a request."""

    @transition("state", source=arrows(DIFFERENCE_EDGES, DifferenceState.KEPT), target=DifferenceState.KEPT)
    def keep(self) -> None:
        """Right, and without a request: it stays unmatched, and no other refund is offered."""

    @transition("state", source=arrows(DIFFERENCE_EDGES, DifferenceState.DISMISSED), target=DifferenceState.DISMISSED)
    def dismiss(self) -> None:
        """Explained by a person; nothing follows from it."""

    @transition("state", source=arrows(DIFFERENCE_EDGES, DifferenceState.HEALED), target=DifferenceState.HEALED)
    def heal(self) -> None:
        """Both books say the same now."""

    @transition("state", source=arrows(DIFFERENCE_EDGES, DifferenceState.OPEN), target=DifferenceState.OPEN)
    def reopen(self) -> None:
        """Found again after both had said the same."""
