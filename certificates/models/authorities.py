"""The books of the authorities themselves: the embedded one's issuers and orders, and our accounts at ACME ones."""

from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _

from certificates.states import RevocationReason
from core.encryption import EncryptedField


class CaIssuer(models.Model):
    """The embedded authority's root and its intermediate; made on first use. Times are UTC."""

    class Kind(models.TextChoices):
        ROOT = "root", _("Root")
        INTERMEDIATE = "intermediate", _("Intermediate")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind, unique=True)
    pem = models.TextField(_("certificate"))
    key = EncryptedField(_("private key"), editable=False)
    created_at = models.DateTimeField(_("made"))

    class Meta:
        verbose_name = _("issuer of the embedded authority")
        verbose_name_plural = _("issuers of the embedded authority")

    def __str__(self) -> str:
        return self.kind


class CaOrder(models.Model):
    """What the embedded authority was asked for under one reference: issued once or closed, then perhaps revoked."""

    reference = models.CharField(_("reference"), max_length=60, unique=True)
    handed_in_at = models.DateTimeField(_("handed in"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    issued_at = models.DateTimeField(_("issued"), null=True, blank=True)
    # Lower-case hex, as everywhere in the console; null until issued.
    serial = models.CharField(_("serial number"), max_length=40, null=True, blank=True, unique=True)
    not_after = models.DateTimeField(_("valid until"), null=True, blank=True)
    pem = models.TextField(_("certificate"), blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    revocation_reason = models.CharField(_("reason"), max_length=30, choices=RevocationReason, blank=True)

    class Meta:
        verbose_name = _("order at the embedded authority")
        verbose_name_plural = _("orders at the embedded authority")
        constraints = [
            CheckConstraint(condition=Q(closed_at=None) | Q(issued_at=None), name="ca_order_closed_or_issued"),
            CheckConstraint(condition=Q(revoked_at=None) | Q(issued_at__isnull=False), name="only_issued_is_revoked"),
            CheckConstraint(
                condition=Q(issued_at=None, serial=None) | Q(issued_at__isnull=False, serial__isnull=False),
                name="ca_order_issued_with_serial",
            ),
        ]
        indexes = [models.Index(fields=["revoked_at"], name="ca_revoked", condition=Q(revoked_at__isnull=False))]

    def __str__(self) -> str:
        return self.reference


class AcmeAccount(models.Model):
    """The console's account at one ACME directory; made on first use."""

    directory = models.URLField(_("directory"))
    address = models.URLField(_("account URL"), blank=True)
    key = EncryptedField(_("private key"), editable=False)

    class Meta:
        verbose_name = _("ACME account")
        verbose_name_plural = _("ACME accounts")
        constraints = [UniqueConstraint(fields=["directory"], name="one_account_per_directory")]

    def __str__(self) -> str:
        return self.directory
