"""What staff record of an authority's answer about a closing that was asked of it."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.admin.marks import application_facts, certificate_chip, challenges_of
from certificates.exceptions import NotAllowed, NothingAwaited, NotProven, WrongState
from certificates.models import Application, Certificate
from certificates.pem import holds_private_key
from certificates.services import may_record_answer, record_closed, record_issued, record_revoked
from certificates.services.answers import awaits_record, awaits_revocation, closing_token, revocation_token
from certificates.services.validating import (
    LONGEST_CAUSE,
    application_token,
    approve_application,
    may_validate,
    refuse_application,
    undecided,
)
from certificates.x509 import Handover, HoldsPrivateKey, UnreadableCertificate, read_certificate
from core.desk.acts import Act, ActForm, Outcome, long_text

LONGEST_PEM = 50_000


class Answer(Act):
    """An answer about a closing that is awaited. Its page carries since when."""

    template = "admin/certificates/certificate/act.html"
    forbidden = (NotAllowed,)
    refusals = (NothingAwaited,)
    thing: Certificate
    # What follows from the answer.
    consequence: ClassVar[Any] = ""

    def may(self) -> bool:
        return may_record_answer(self.by) and self.by.pk != self.thing.account_id

    def is_possible(self) -> bool:
        return awaits_record(self.thing)

    def seen(self) -> str:
        return closing_token(self.thing)

    def why_not(self) -> str:
        told = {"certificate": self.thing, "state": self.thing.get_state_display()}
        return (
            gettext("Nothing was recorded: no answer is awaited for %(certificate)s, which reads “%(state)s”.") % told
        )

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        self.thing = Certificate.objects.get(pk=self.thing.pk)
        return super().explain(error, form)

    def page(self) -> dict[str, Any]:
        domains = [domain.name for domain in self.thing.domains.all()]
        return {"chip": certificate_chip(self.thing, self.at), "domains": domains}


class RecordClosed(Answer):
    slug = "record-closed"
    title = _("The authority has closed the application")
    button = _("Authority has closed it")
    submit = _("Record as closed")
    consequence = _("If its refund is approved already, the payouts are ordered at once.")

    def do(self, form: ActForm) -> Outcome:
        certificate = record_closed(self.thing.pk, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        told = {"certificate": certificate}
        return Outcome(gettext("Recorded: the authority has closed the application of %(certificate)s.") % told)


class IssuedForm(ActForm):
    as_sent = frozenset(["pem"])

    pem = forms.CharField(
        label=_("Certificate"),
        max_length=LONGEST_PEM,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_(
            "In PEM, as the authority handed it over, from BEGIN CERTIFICATE to END CERTIFICATE. No private key."
        ),
        error_messages={"required": _("Paste the certificate that the authority handed over.")},
    )

    def clean_pem(self) -> Handover:
        text = self.cleaned_data["pem"]
        try:
            return read_certificate(text)
        except HoldsPrivateKey:
            raise ValidationError(
                _("This holds a private key. Paste the certificate alone; tell its owner to replace the key.")
            ) from None
        except UnreadableCertificate as error:
            raise ValidationError(error.sentence) from None

    def clean(self) -> dict[str, Any]:
        """A private key is not shown again, whatever else is wrong with the field."""
        field = self.add_prefix("pem")
        if holds_private_key(self.data.get(field, "")):
            # Widgets take what they show from here.
            self.data = {**self.data, field: ""}
        return self.cleaned_data


class RecordIssued(Answer):
    slug = "record-issued"
    title = _("The authority issued the certificate")
    button = _("Authority issued it…")
    submit = _("Record as issued")
    consequence = _("An open refund request of it lapses, and no money goes back.")
    is_danger = True
    form_class = IssuedForm

    def attempt(self, form: ActForm) -> Outcome | None:
        if self.is_possible() and (fault := fault_of(form.cleaned_data["pem"], self.thing, self.at)):
            form.add_error("pem", fault)
            return None
        return super().attempt(form)

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        certificate = record_issued(self.thing.pk, typed["pem"], by=self.by, at=self.at, seen=typed["seen"])
        told = {"certificate": certificate}
        return Outcome(gettext("Recorded: %(certificate)s is issued. An open refund request of it has lapsed.") % told)


class RecordRevoked(Answer):
    slug = "record-revoked"
    title = _("The authority has revoked the certificate")
    button = _("Authority has revoked it…")
    submit = _("Record as revoked")
    consequence = _("The day of this record is the day of the revocation, by which a refund is judged.")
    is_danger = True

    def is_possible(self) -> bool:
        return awaits_revocation(self.thing, at=self.at)

    def seen(self) -> str:
        return revocation_token(self.thing)

    def do(self, form: ActForm) -> Outcome:
        certificate = record_revoked(self.thing.pk, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        return Outcome(gettext("Recorded: %(certificate)s is revoked.") % {"certificate": certificate})


class Validation(Act):
    """A decision about an application for an OV or EV certificate."""

    template = "admin/certificates/certificate/validate.html"
    forbidden = (NotAllowed,)
    refusals = (WrongState, NotProven)
    thing: Certificate

    def may(self) -> bool:
        return may_validate(self.thing, self.by)

    def is_possible(self) -> bool:
        return undecided(self.thing) is not None

    def seen(self) -> str:
        return application_token(self.thing)

    def why_not(self) -> str:
        told = {"certificate": self.thing, "state": self.thing.get_state_display()}
        return (
            gettext("Nothing was done: the application of %(certificate)s, “%(state)s”, is not to be decided.") % told
        )

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        if isinstance(error, NotProven):
            form.add_error(None, gettext("The domains are not proven yet. Wait until they are, or refuse it."))
            return None
        self.thing = Certificate.objects.select_related("product").get(pk=self.thing.pk)
        return super().explain(error, form)

    def page(self) -> dict[str, Any]:
        chip = certificate_chip(self.thing, self.at)
        return {"chip": chip, "facts": application_facts(self.thing), "challenges": challenges_of(self.thing)}


class ApproveApplication(Validation):
    slug = "approve-application"
    title = _("Approve the application")
    button = _("Approve application…")
    submit = _("Approve")

    def do(self, form: ActForm) -> Outcome:
        certificate = approve_application(self.thing.pk, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        told = {"certificate": certificate}
        return Outcome(gettext("Approved: the authority issues %(certificate)s next.") % told)


class CauseForm(ActForm):
    cause = long_text(
        _("Cause"),
        limit=LONGEST_CAUSE,
        help_text=_("The customer reads it, corrects the application and hands it in again."),
        missing=_("Say what is wrong and what to do about it."),
    )


class RefuseApplication(Validation):
    slug = "refuse-application"
    title = _("Refuse the application")
    button = _("Refuse application…")
    submit = _("Refuse")
    is_danger = True
    form_class = CauseForm

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        certificate = refuse_application(
            self.thing.pk, cause=typed["cause"], by=self.by, at=self.at, seen=typed["seen"]
        )
        return Outcome(
            gettext("Refused: the customer of %(certificate)s reads the cause.") % {"certificate": certificate}
        )


def fault_of(handover: Handover, certificate: Certificate, at: datetime) -> str:
    """Why this can't be the certificate that was applied for; empty when it can."""
    if handover.not_after <= at:
        return gettext("This certificate has expired already.")
    ordered, named = {domain.name for domain in certificate.domains.all()}, set(handover.names)
    if missing := sorted(ordered - named):
        return gettext("It is not for %(names)s, which was applied for.") % {"names": ", ".join(missing)}
    if foreign := sorted(name for name in named - ordered if not _comes_along(name, ordered)):
        return gettext("It is also for %(names)s, which nobody applied for.") % {"names": ", ".join(foreign)}
    if not _holds_the_key(handover, certificate):
        return gettext("It is for another key than the one that was applied with.")
    return ""


def _holds_the_key(handover: Handover, certificate: Certificate) -> bool:
    """Whether it is for the application's key, where that is known: what came by import has none."""
    applied = Application.objects.filter(pk=certificate.pk).exclude(key_fingerprint="").first()
    return applied is None or applied.key_fingerprint == handover.key_fingerprint


def _comes_along(name: str, ordered: set[str]) -> bool:
    """Authorities add `www.` to a domain, and to a wildcard or a `www.` the domain itself, without being asked."""
    if not ordered:
        return True
    return bool(ordered & {f"www.{name}", f"*.{name}", name.removeprefix("www.")})
