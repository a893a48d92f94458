"""Wishes to have a certificate revoked."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from certificates.states import REVOCATION_EDGES, RevocationReason, RevocationState
from core.states import StateField, StatefulModel, arrows, known_states


class Revocation(StatefulModel):
    """A customer's wish to have a certificate revoked. That of an OV or EV one is confirmed by email first."""

    EDGES = REVOCATION_EDGES
    INITIAL = {RevocationState.REQUESTED, RevocationState.CONFIRMED}

    certificate = models.ForeignKey(
        "certificates.Certificate", models.PROTECT, related_name="revocations", verbose_name=_("certificate")
    )
    state = StateField(_("state"), choices=RevocationState)
    reason = models.CharField(_("reason"), max_length=30, choices=RevocationReason)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("requested by")
    )
    requested_at = models.DateTimeField(_("requested"))
    # Where the link goes; empty where no confirmation is needed.
    contact_email = models.EmailField(_("contact's email address"), blank=True)
    link_expires_at = models.DateTimeField(_("link expires"), null=True, blank=True)
    # Links sent so far: only the newest one works.
    links_sent = models.PositiveSmallIntegerField(_("links sent"), default=0)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")
        constraints = [
            known_states(RevocationState, "revocation_state_known"),
            CheckConstraint(condition=Q(reason__in=RevocationReason.values), name="revocation_reason_known"),
            UniqueConstraint(
                fields=["certificate"],
                condition=Q(state__in=["requested", "confirmed", "completed"]),
                name="one_revocation_per_certificate",
            ),
        ]
        indexes = [
            models.Index(fields=["link_expires_at"], name="revocation_links", condition=Q(state="requested")),
        ]

    def __str__(self) -> str:
        return f"{self.certificate}/{self.pk}"

    @transition("state", source=RevocationState.REQUESTED, target=RevocationState.CONFIRMED)
    def confirm(self) -> None:
        """The contact has confirmed it: the authority is asked."""

    @transition("state", source=RevocationState.REQUESTED, target=RevocationState.WITHDRAWN)
    def withdraw(self) -> None:
        """The customer has withdrawn it."""

    @transition("state", source=arrows(REVOCATION_EDGES, RevocationState.LAPSED), target=RevocationState.LAPSED)
    def lapse(self) -> None:
        """Its link expired unused, or the certificate did before the authority had revoked it."""

    @transition("state", source=arrows(REVOCATION_EDGES, RevocationState.COMPLETED), target=RevocationState.COMPLETED)
    def complete(self) -> None:
        """The authority has revoked the certificate, when asked or on its own."""
