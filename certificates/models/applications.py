"""What a customer hands in, and what the authority was asked for."""

from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from certificates.states import (
    ENROLLMENT_EDGES,
    AuthorityName,
    EnrollmentState,
    KeyType,
    Verification,
)
from core.encryption import EncryptedField
from core.states import StateField, StatefulModel, arrows, known_states


class Application(models.Model):
    """What was typed to get a certificate: a draft until it is handed in, and again once that was cancelled."""

    certificate = models.OneToOneField(
        "certificates.Certificate",
        models.CASCADE,
        primary_key=True,
        related_name="application",
        verbose_name=_("certificate"),
    )
    # As typed, one name a line; the names handed in are the certificate's domains.
    domains = models.TextField(_("domains"), blank=True)
    verification = models.CharField(_("verification"), max_length=10, choices=Verification, default=Verification.DNS)
    contact_name = models.CharField(_("contact"), max_length=100, blank=True)
    contact_email = models.EmailField(_("contact's email address"), blank=True)
    contact_phone = models.CharField(_("contact's telephone"), max_length=40, blank=True)
    # OV and EV only.
    company_name = models.CharField(_("company"), max_length=200, blank=True)
    company_number = models.CharField(_("registration number"), max_length=60, blank=True)
    company_country = models.CharField(_("country"), max_length=2, blank=True)
    company_city = models.CharField(_("city"), max_length=100, blank=True)
    company_address = models.CharField(_("address"), max_length=200, blank=True)
    key_type = models.CharField(_("key"), max_length=10, choices=KeyType, default=KeyType.RSA_2048)
    # PEM. What the customer pasted (key type "pasted"), or what the console made from the key below.
    csr = models.TextField(_("certificate signing request"), blank=True)
    key = EncryptedField(_("private key"), blank=True, editable=False)
    # SHA-256 of the public key (SubjectPublicKeyInfo), hex: a key serves one instance alone.
    key_fingerprint = models.CharField(_("fingerprint of the key"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        constraints = [
            CheckConstraint(condition=Q(verification__in=Verification.values), name="verification_known"),
            CheckConstraint(condition=Q(key_type__in=KeyType.values), name="key_type_known"),
            UniqueConstraint(fields=["key_fingerprint"], condition=~Q(key_fingerprint=""), name="one_instance_per_key"),
        ]

    def __str__(self) -> str:
        return str(self.certificate_id)


class Enrollment(StatefulModel):
    """What an authority was asked for: the first issue of an application, or a later one of the same year.

    The one step that is due for it is a job; `step` counts them, and a job of an earlier step does nothing.
    """

    EDGES = ENROLLMENT_EDGES
    # A certificate of the demo comes issued.
    INITIAL = {EnrollmentState.ORDERED, EnrollmentState.ISSUED, EnrollmentState.REVOKED}

    certificate = models.ForeignKey(
        "certificates.Certificate", models.PROTECT, related_name="enrollments", verbose_name=_("certificate")
    )
    # The instance id and a number: the authority knows the order under it, whoever asks and how often.
    reference = models.CharField(_("reference"), max_length=60, unique=True)
    authority = models.CharField(_("certificate authority"), max_length=10, choices=AuthorityName)
    is_reissue = models.BooleanField(_("re-issue"), default=False)
    state = StateField(_("state"), choices=EnrollmentState, default=EnrollmentState.ORDERED)
    step = models.PositiveIntegerField(_("step"), default=0)
    tries = models.PositiveIntegerField(_("tries of this step"), default=0)
    trouble = models.CharField(_("last trouble"), max_length=500, blank=True)
    names = models.JSONField(_("names"), default=list)
    verification = models.CharField(_("verification"), max_length=10, choices=Verification)
    csr = models.TextField(_("certificate signing request"))
    # The authority's own: what it must be told again to find the order (addresses, tokens).
    data = models.JSONField(_("data"), default=dict)
    # [{"name", "place", "value"}]: what must be published, see `authority.base.Challenge`.
    challenges = models.JSONField(_("challenges"), default=list)
    ordered_at = models.DateTimeField(_("ordered"))
    proven_at = models.DateTimeField(_("domains proven"), null=True, blank=True)
    looks = models.PositiveIntegerField(_("looks"), default=0)
    issued_at = models.DateTimeField(_("issued"), null=True, blank=True)
    not_after = models.DateTimeField(_("valid until"), null=True, blank=True)
    pem = models.TextField(_("certificate"), blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("enrollment")
        verbose_name_plural = _("enrollments")
        constraints = [
            known_states(EnrollmentState, "enrollment_state_known"),
            UniqueConstraint(
                fields=["certificate"],
                condition=Q(state__in=["ordered", "pending", "ready"]),
                name="one_running_enrollment",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @transition("state", source=EnrollmentState.ORDERED, target=EnrollmentState.PENDING)
    def hand_in(self) -> None:
        """The authority knows the order and has said what must be published."""

    @transition("state", source=EnrollmentState.PENDING, target=EnrollmentState.READY)
    def make_ready(self) -> None:
        """The authority may look, and issue."""

    @transition("state", source=EnrollmentState.READY, target=EnrollmentState.ISSUED)
    def issue(self) -> None:
        """The authority has handed a certificate over."""

    @transition("state", source=arrows(ENROLLMENT_EDGES, EnrollmentState.CLOSED), target=EnrollmentState.CLOSED)
    def close(self) -> None:
        """The authority will not issue any more."""

    @transition("state", source=arrows(ENROLLMENT_EDGES, EnrollmentState.REFUSED), target=EnrollmentState.REFUSED)
    def refuse(self) -> None:
        """The authority has refused it."""

    @transition("state", source=EnrollmentState.ISSUED, target=EnrollmentState.REVOKED)
    def revoke(self) -> None:
        """The authority has revoked what it issued."""
