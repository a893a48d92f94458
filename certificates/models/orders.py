"""Purchases: orders, and what of each payment paid for which certificate."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _

from payments.models import Payment


class Order(models.Model):
    """One purchase of 1 to 10 certificates. Amounts are minor units of `currency`; its policy stays with it."""

    number = models.CharField(_("order number"), max_length=64, unique=True)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    paid_at = models.DateTimeField(_("paid"))
    currency = models.CharField(_("currency"), max_length=3)
    list_amount = models.BigIntegerField(_("list price"))
    voucher_amount = models.BigIntegerField(_("voucher"), default=0)
    paid_amount = models.BigIntegerField(_("paid"))
    policy = models.CharField(_("refund policy"), max_length=30)
    # Of the form it was bought with: the same form again buys nothing more.
    form_key = models.UUIDField(_("form key"), null=True, blank=True, unique=True, editable=False)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [
            CheckConstraint(
                condition=Q(list_amount__gte=0, voucher_amount__gte=0, paid_amount__gte=0),
                name="order_amounts_not_negative",
            )
        ]

    def __str__(self) -> str:
        return self.number


class OrderPayment(models.Model):
    """A payment belongs to one order. Stands here, since `payments` does not know what was paid for."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="order_payments", verbose_name=_("order"))
    payment = models.OneToOneField(Payment, models.PROTECT, related_name="+", verbose_name=_("payment"))

    class Meta:
        verbose_name = _("payment of an order")
        verbose_name_plural = _("payments of orders")

    def __str__(self) -> str:
        return str(self.payment)


class Share(models.Model):
    """What of one payment paid for one certificate, minor units; fixed when the order is stored."""

    certificate = models.ForeignKey(
        "certificates.Certificate", models.PROTECT, related_name="shares", verbose_name=_("certificate")
    )
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="+", verbose_name=_("payment"))
    amount = models.BigIntegerField(_("amount"))

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        ordering = ["payment_id"]
        constraints = [
            UniqueConstraint(fields=["certificate", "payment"], name="one_share"),
            CheckConstraint(condition=Q(amount__gte=0), name="share_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.certificate_id}/{self.payment_id}"


class ImportedRow(models.Model):
    """The row a certificate was imported from, as it was read: the same again changes nothing, another is refused."""

    certificate = models.OneToOneField(
        "certificates.Certificate", models.CASCADE, primary_key=True, related_name="+", verbose_name=_("certificate")
    )
    row = models.JSONField(_("row"))

    class Meta:
        verbose_name = _("imported row")
        verbose_name_plural = _("imported rows")

    def __str__(self) -> str:
        return str(self.certificate)
