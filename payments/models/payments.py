"""Money that came in, and where a bank payment goes back to."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _

from core.encryption import EncryptedField
from payments.states import Channel


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


class BankAccount(models.Model):
    """The account a bank payment came from, and so goes back to: holder and number as `core.encryption` keeps secrets.

    Shown masked everywhere; only the file for the bank has them whole.
    """

    payment = models.OneToOneField(Payment, models.PROTECT, related_name="bank_account", verbose_name=_("payment"))
    holder = EncryptedField(_("account holder"))
    number = EncryptedField(_("account number"))
    # Null where the import brought it.
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("recorded by")
    )
    recorded_at = models.DateTimeField(_("recorded"))

    class Meta:
        verbose_name = _("bank account of a payer")
        verbose_name_plural = _("bank accounts of payers")

    def __str__(self) -> str:
        return str(self.payment)
