"""The books: accounts, and transfers between two of them. Amounts are minor units, times UTC."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _

from core.models import AppendOnlyModel
from payments.models.payments import Payment
from payments.models.payouts import Payout
from payments.states import Cause, LedgerKind


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
