import secrets
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Case, CheckConstraint, F, Q, UniqueConstraint, When
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from certificates.states import (
    APPLICATION_RUNNING,
    CERTIFICATE_EDGES,
    FIRST_STATES,
    CertificateState,
    DomainType,
    Level,
    Source,
)
from core.states import StateField, StatefulModel, arrows, known_states
from payments.models import Payment

INSTANCE_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_instance_id() -> str:
    """`cas-`, the region of this console, and 12 random characters."""
    tail = "".join(secrets.choice(INSTANCE_ALPHABET) for _ in range(12))
    return f"cas-{settings.INSTANCE_REGION}-{tail}"


class Product(models.Model):
    """What can be bought. The free DV product is one of its own."""

    brand = models.CharField(_("brand"), max_length=50)
    level = models.CharField(_("validation level"), max_length=2, choices=Level)
    domain_type = models.CharField(_("domain type"), max_length=10, choices=DomainType)
    free = models.BooleanField(_("free"), default=False)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            UniqueConstraint(fields=["brand", "level", "domain_type", "free"], name="one_product"),
            CheckConstraint(condition=Q(level__in=Level.values), name="product_level_known"),
            CheckConstraint(condition=Q(domain_type__in=DomainType.values), name="product_type_known"),
        ]

    def __str__(self) -> str:
        return f"{self.brand} {self.level} {self.get_domain_type_display()}"


class Order(models.Model):
    """One purchase of 1 to 10 certificates. Amounts are minor units of `currency`; its policy stays with it."""

    number = models.CharField(_("order number"), max_length=64, unique=True)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    paid_at = models.DateTimeField(_("paid"))
    currency = models.CharField(_("currency"), max_length=3)
    list_amount = models.BigIntegerField(_("list price"))
    voucher_amount = models.BigIntegerField(_("voucher"), default=0)
    paid_amount = models.BigIntegerField(_("paid"))
    policy = models.CharField(_("refund policy"), max_length=30, default="intl-2021")

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


class CertificateQuerySet(models.QuerySet):
    def owned_by(self, account: Any) -> "CertificateQuerySet":
        return self.filter(account=account, deleted_at=None)

    def matching(self, account: Any, text: str) -> "CertificateQuerySet":
        """Of this account: whole instance ids, and beginnings of names and of the labels in them, case-blind."""
        needle = text.strip().lower()
        if not needle:
            return self
        terms = SearchTerm.objects.filter(account=account, text__begins_with=needle).values("certificate_id")
        return self.filter(Q(instance_id=needle) | Q(pk__in=terms))


class Certificate(StatefulModel):
    """One bought right to one certificate, or a certificate bought elsewhere that is kept for its dates.

    Times are UTC, amounts minor units of `currency`. An event's time is null until it has happened.
    """

    EDGES = CERTIFICATE_EDGES
    INITIAL = FIRST_STATES

    instance_id = models.CharField(_("instance ID"), max_length=40, unique=True, default=new_instance_id)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    order = models.ForeignKey(
        Order, models.PROTECT, null=True, blank=True, related_name="certificates", verbose_name=_("order")
    )
    position = models.PositiveSmallIntegerField(_("position in its order"), default=1)
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("product")
    )
    name = models.CharField(_("name"), max_length=253)
    source = models.CharField(_("source"), max_length=10, choices=Source, default=Source.PURCHASED)
    state = StateField(_("state"), choices=CertificateState, default=CertificateState.PENDING_APPLICATION)
    failure_cause = models.CharField(_("cause of failure"), max_length=500, blank=True)

    currency = models.CharField(_("currency"), max_length=3)
    paid_part = models.BigIntegerField(_("paid part"), default=0)
    voucher_part = models.BigIntegerField(_("voucher part"), default=0)

    purchased_at = models.DateTimeField(_("purchased"))
    service_ends_at = models.DateTimeField(_("end of the service period"))
    submitted_at = models.DateTimeField(_("application submitted"), null=True, blank=True)
    validated_at = models.DateTimeField(_("application validated"), null=True, blank=True)
    issued_at = models.DateTimeField(_("issued"), null=True, blank=True)
    revocation_requested_at = models.DateTimeField(_("revocation requested"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    # A closing asked of the authority and not answered yet: until then it may still issue.
    closing_since = models.DateTimeField(_("closing since"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True)

    not_before = models.DateTimeField(_("valid from"), null=True, blank=True)
    not_after = models.DateTimeField(_("valid until"), null=True, blank=True)
    serial = models.CharField(_("serial number"), max_length=64, blank=True)
    fingerprint = models.CharField(_("SHA-256 fingerprint"), max_length=64, blank=True)
    pem = models.TextField(_("certificate"), blank=True)
    expires_at = models.GeneratedField(
        verbose_name=_("expires"),
        expression=Case(When(not_after__isnull=False, then=F("not_after")), default=F("service_ends_at")),
        output_field=models.DateTimeField(),
        db_persist=True,
    )
    # The reference of whoever holds the certificate still; empty when nobody does.
    hold = models.CharField(_("held for"), max_length=100, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        permissions = [("record_authority_answer", _("Can record what an authority answered"))]
        constraints = [
            known_states(CertificateState, "certificate_state_known"),
            UniqueConstraint(fields=["order", "position"], name="one_certificate_per_position"),
            CheckConstraint(condition=Q(paid_part__gte=0, voucher_part__gte=0), name="certificate_parts_not_negative"),
            CheckConstraint(condition=Q(source__in=Source.values), name="certificate_source_known"),
            CheckConstraint(
                condition=Q(source="uploaded") | Q(order__isnull=False, product__isnull=False),
                name="purchased_certificate_has_order",
            ),
            # An imported one may be issued without its X.509 certificate: then the service period's end counts.
            CheckConstraint(
                condition=Q(not_after=None) | Q(issued_at__isnull=False), name="only_issued_certificate_has_end"
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "-purchased_at", "-id"], name="certificates_newest", condition=Q(deleted_at=None)
            ),
            models.Index(
                fields=["account", "state", "expires_at"], name="certificates_by_state", condition=Q(deleted_at=None)
            ),
            models.Index(
                fields=["account", "state", "-purchased_at", "-id"],
                name="certificates_state_newest",
                condition=Q(deleted_at=None),
            ),
            models.Index(fields=["account", "-purchased_at", "-id"], name="certificates_held", condition=~Q(hold="")),
            models.Index(fields=["expires_at"], name="certificates_held_by_end", condition=~Q(hold="")),
            models.Index(fields=["id"], name="certificates_closing", condition=Q(closing_since__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.instance_id

    @property
    def is_issued(self) -> bool:
        return self.issued_at is not None

    @transition("state", source=sorted(APPLICATION_RUNNING), target=CertificateState.PENDING_APPLICATION)
    def cancel_application(self) -> None:
        """The authority holds nothing any more; what was typed stays as a draft."""

    @transition("state", source=CertificateState.VALIDATING_APPLICATION, target=CertificateState.ISSUED)
    def issue(self) -> None:
        """The authority has handed the certificate over."""

    @transition("state", source=arrows(CERTIFICATE_EDGES, CertificateState.REFUNDED), target=CertificateState.REFUNDED)
    def refund(self) -> None:
        """Its money is back."""


class Domain(models.Model):
    """A name the certificate is for, lower-case, IDN in its ASCII form, in the order given."""

    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="domains", verbose_name=_("certificate"))
    position = models.PositiveSmallIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=253)

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")
        ordering = ["position"]
        constraints = [UniqueConstraint(fields=["certificate", "position"], name="one_domain_per_position")]

    def __str__(self) -> str:
        return self.name


class SearchTerm(models.Model):
    """What a search may begin with: each name, and each name from its second, third… label on, lower-case."""

    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="+", verbose_name=_("certificate"))
    # The index below begins with it.
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False, verbose_name=_("account")
    )
    text = models.CharField(_("text"), max_length=253)

    class Meta:
        verbose_name = _("search term")
        verbose_name_plural = _("search terms")
        indexes = [
            models.Index(
                fields=["account", "text"],
                name="search_by_account",
                # PostgreSQL only: lets LIKE 'beginning%' use the index whatever the collation.
                opclasses=["int8_ops", "varchar_pattern_ops"],
            ),
            models.Index(fields=["text"], name="search_by_staff", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.text


class Share(models.Model):
    """What of one payment paid for one certificate, minor units; fixed when the order is stored."""

    certificate = models.ForeignKey(Certificate, models.PROTECT, related_name="shares", verbose_name=_("certificate"))
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
        Certificate, models.CASCADE, primary_key=True, related_name="+", verbose_name=_("certificate")
    )
    row = models.JSONField(_("row"))

    class Meta:
        verbose_name = _("imported row")
        verbose_name_plural = _("imported rows")

    def __str__(self) -> str:
        return str(self.certificate)
