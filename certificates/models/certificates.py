"""Certificates, the names they are for, and what finds them."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Case, CheckConstraint, F, Q, UniqueConstraint, When
from django.utils.translation import gettext_lazy as _
from django_fsm import RETURN_VALUE, transition

from certificates.names import shown
from certificates.states import APPLICATION_RUNNING, CERTIFICATE_EDGES, FIRST_STATES, CertificateState, Source
from core.states import StateField, StatefulModel, arrows, known_states

_S = CertificateState

INSTANCE_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_instance_id() -> str:
    """`cas-`, the region of this console, and 12 random characters."""
    tail = "".join(secrets.choice(INSTANCE_ALPHABET) for _ in range(12))
    return f"cas-{settings.INSTANCE_REGION}-{tail}"


def place_in_list(purchased_at: datetime, position: int) -> datetime:
    """Where a certificate stands in its account's list; the room between an order's is for renewals."""
    return purchased_at + timedelta(microseconds=10 * position)


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
        "certificates.Order",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="certificates",
        verbose_name=_("order"),
    )
    position = models.PositiveSmallIntegerField(_("position in its order"), default=1)
    product = models.ForeignKey(
        "certificates.Product", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("product")
    )
    name = models.CharField(_("name"), max_length=253)
    # How many names were bought; null where nobody recorded it, and the product's type alone decides.
    names_bought = models.PositiveSmallIntegerField(_("names bought"), null=True, blank=True)
    renewal_of = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("renewal of")
    )
    # Its place in the list: by purchase, a renewal just below the one that it renews.
    listed_at = models.DateTimeField(_("place in the list"), editable=False)
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
    # The names are proven to be the account's: by its records, for an authority that is ours, or to the authority.
    proven_at = models.DateTimeField(_("domains proven"), null=True, blank=True)
    # Confirmed by mail, or needing no confirmation: from here on the authority is asked.
    revocation_confirmed_at = models.DateTimeField(_("revocation confirmed"), null=True, blank=True)
    # Its authority was asked and gave no answer; null again with the first answer.
    authority_silent_since = models.DateTimeField(_("authority silent since"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True)
    # What it was when it was refunded; empty while it is not.
    state_before_refund = models.CharField(_("state before its refund"), max_length=30, blank=True)
    # A refund of it was found that the channel made by itself: no other is offered.
    refund_found_at = models.DateTimeField(_("refund found at the channel"), null=True, blank=True)

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
        permissions = [
            ("record_authority_answer", _("Can record what an authority answered")),
            ("validate_application", _("Can approve or refuse applications")),
        ]
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
                fields=["account", "-listed_at", "-id"], name="certificates_newest", condition=Q(deleted_at=None)
            ),
            models.Index(
                fields=["account", "state", "expires_at"], name="certificates_by_state", condition=Q(deleted_at=None)
            ),
            models.Index(
                fields=["account", "state", "-listed_at", "-id"],
                name="certificates_state_newest",
                condition=Q(deleted_at=None),
            ),
            models.Index(fields=["account", "-listed_at", "-id"], name="certificates_held", condition=~Q(hold="")),
            models.Index(fields=["expires_at"], name="certificates_held_by_end", condition=~Q(hold="")),
            models.Index(fields=["id"], name="certificates_closing", condition=Q(closing_since__isnull=False)),
            models.Index(fields=["state", "not_after"], name="certificates_by_own_end", condition=Q(deleted_at=None)),
        ]

    def __str__(self) -> str:
        return self.instance_id

    @property
    def shown_name(self) -> str:
        """Its name for people, an IDN in both forms."""
        return shown(self.name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.listed_at = self.listed_at or place_in_list(self.purchased_at, self.position)
        super().save(*args, **kwargs)

    @transition("state", source=[_S.PENDING_APPLICATION, _S.VALIDATION_FAILED], target=_S.PENDING_VERIFICATION)
    def submit_for_verification(self) -> None:
        """A DV application is handed in: its domains are to be proven first."""

    @transition("state", source=[_S.PENDING_APPLICATION, _S.VALIDATION_FAILED], target=_S.VALIDATING_APPLICATION)
    def submit_for_validation(self) -> None:
        """An OV or EV application is handed in: staff check it."""

    @transition("state", source=_S.PENDING_VERIFICATION, target=_S.VALIDATING_APPLICATION)
    def verify(self) -> None:
        """The domains are proven; the authority may look."""

    @transition("state", source=sorted(APPLICATION_RUNNING), target=_S.VALIDATION_FAILED)
    def fail_validation(self) -> None:
        """Refused with a cause, or not proven in time."""

    @transition("state", source=sorted(APPLICATION_RUNNING), target=_S.PENDING_APPLICATION)
    def cancel_application(self) -> None:
        """The authority holds nothing any more; what was typed stays as a draft."""

    @transition("state", source=_S.VALIDATING_APPLICATION, target=_S.ISSUED)
    def issue(self) -> None:
        """The authority has handed the certificate over."""

    @transition("state", source=_S.ISSUED, target=_S.REVOKING)
    def request_revocation(self) -> None:
        """Asked for; not done yet."""

    @transition("state", source=_S.REVOKING, target=_S.ISSUED)
    def withdraw_revocation(self) -> None:
        """Taken back, or its link expired, before the authority was asked."""

    @transition("state", source=arrows(CERTIFICATE_EDGES, _S.REVOKED), target=_S.REVOKED)
    def revoke(self) -> None:
        """The authority has revoked it."""

    @transition("state", source=arrows(CERTIFICATE_EDGES, _S.REFUNDED), target=_S.REFUNDED)
    def refund(self) -> None:
        """Its money is back."""
        self.state_before_refund = self.state

    @transition("state", source=_S.REFUNDED, target=RETURN_VALUE(*sorted(CERTIFICATE_EDGES[_S.REFUNDED])))
    def undo_refund(self) -> str:
        """Its money came back to us: it is what it was before."""
        state, self.state_before_refund = self.state_before_refund, ""
        return state


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
