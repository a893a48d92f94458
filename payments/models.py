import uuid

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from core.models import AppendOnlyModel
from core.money import format_money
from core.states import StateField, StatefulModel, arrows, known_states
from payments.states import PAYOUT_EDGES, Cause, Channel, LedgerKind, PayoutState


class Payment(models.Model):
    """Money that came in. Amounts are minor units of `currency`; `ordered_back` is what is on its way back or there."""

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    channel = models.CharField(_("channel"), max_length=10, choices=Channel)
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    reference = models.CharField(_("reference"), max_length=200, blank=True)
    paid_at = models.DateTimeField(_("paid"))
    ordered_back = models.BigIntegerField(_("ordered back"), default=0)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_positive"),
            CheckConstraint(
                condition=Q(ordered_back__gte=0) & Q(ordered_back__lte=F("amount")), name="never_more_back_than_paid"
            ),
            CheckConstraint(condition=Q(channel__in=Channel.values), name="payment_channel_known"),
            UniqueConstraint(fields=["channel", "reference"], condition=~Q(reference=""), name="payment_recorded_once"),
        ]

    def __str__(self) -> str:
        return self.reference or f"{self.channel} {self.pk}"


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
    # Nothing more may be tried or recorded: the refund behind it was given up.
    given_up_at = models.DateTimeField(_("given up"), null=True, blank=True)

    class Meta:
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        permissions = [("record_payout", _("Can record payouts made outside"))]
        constraints = [
            known_states(PayoutState, "payout_state_known"),
            CheckConstraint(condition=Q(amount__gt=0), name="payout_amount_positive"),
            CheckConstraint(condition=Q(given_up_at=None) | Q(state="failed"), name="only_failed_payouts_given_up"),
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
        indexes = [models.Index(fields=["state", "id"], name="payouts_by_state")]

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

    @transition("state", source=PayoutState.FAILED, target=PayoutState.ORDERED)
    def order_again(self) -> None:
        """Same record, same key."""


class LedgerAccount(models.Model):
    """One account of the books. `balance` is kept for customers only: a row that each payout wrote would queue them."""

    kind = models.CharField(_("kind"), max_length=10, choices=LedgerKind)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("owner")
    )
    channel = models.CharField(_("channel"), max_length=10, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    balance = models.BigIntegerField(_("balance"), null=True, blank=True)

    class Meta:
        verbose_name = _("ledger account")
        verbose_name_plural = _("ledger accounts")
        permissions = [("credit_balance", _("Can credit account balances"))]
        constraints = [
            UniqueConstraint(
                fields=["kind", "owner", "currency"], condition=Q(owner__isnull=False), name="one_balance_per_customer"
            ),
            UniqueConstraint(
                fields=["kind", "channel", "currency"], condition=Q(owner=None), name="one_account_of_the_house"
            ),
            CheckConstraint(condition=Q(balance__gte=0) | Q(balance=None), name="balance_never_below_zero"),
            CheckConstraint(condition=Q(kind__in=LedgerKind.values), name="ledger_kind_known"),
            CheckConstraint(
                condition=Q(kind="balance", owner__isnull=False, balance__isnull=False)
                | (~Q(kind="balance") & Q(owner=None, balance=None)),
                name="only_customers_keep_a_balance",
            ),
        ]

    def __str__(self) -> str:
        return ":".join(filter(None, [self.kind, self.channel, str(self.owner_id or ""), self.currency]))


class LedgerEntry(AppendOnlyModel):
    """A transfer: `amount` minor units from the debited to the credited account, and why."""

    at = models.DateTimeField(_("when"))
    debit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="debits", verbose_name=_("debit"))
    credit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="credits", verbose_name=_("credit"))
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    cause = models.CharField(_("cause"), max_length=20, choices=Cause)
    payout = models.ForeignKey(
        Payout, models.PROTECT, null=True, blank=True, related_name="entries", verbose_name=_("payout")
    )
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("payment")
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("by")
    )

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            CheckConstraint(condition=Q(amount__gt=0), name="ledger_amount_positive"),
            CheckConstraint(condition=~Q(debit=F("credit")), name="ledger_two_accounts"),
            CheckConstraint(condition=Q(cause__in=Cause.values), name="ledger_cause_known"),
            UniqueConstraint(fields=["payout"], condition=Q(cause="payout_paid"), name="payout_paid_once"),
            UniqueConstraint(fields=["payment"], condition=Q(cause="order_paid"), name="order_paid_once"),
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.amount} {self.currency}"
