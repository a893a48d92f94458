"""Certificates that can be revoked, wishes to have them revoked, and the links that confirm these."""

import re
from datetime import datetime
from typing import Any

from django.core import mail

from certificates import links
from certificates.models import Application, Certificate, Enrollment, Revocation
from certificates.services import revocations
from certificates.states import AuthorityName, CertificateState, EnrollmentState, Level, RevocationReason, Verification
from core import jobs
from core.models import Job, User
from tests import factories
from tests.factories import NOON

CONTACT = "it@shop.example.com"
LEVELS = {"dv": Level.DV, "ov": Level.OV, "ev": Level.EV}


def dv(customer: User, **fields: Any) -> Certificate:
    """Issued three days ago by an authority that the console asks."""
    return _enrolled(factories.issued(customer, **fields))


def ov(customer: User, *, contact: str = CONTACT, level: Level = Level.OV, **fields: Any) -> Certificate:
    """The same, but its contact must confirm a revocation."""
    product = factories.ProductFactory(level=level)
    certificate = _enrolled(factories.issued(customer, product=product, **fields))
    Application.objects.create(certificate=certificate, contact_name="Ida", contact_email=contact)
    return certificate


def imported(customer: User, *, level: Level = Level.DV, **fields: Any) -> Certificate:
    """Issued by an authority that the console does not speak with."""
    return factories.issued(customer, product=factories.ProductFactory(level=level), **fields)


def _enrolled(certificate: Certificate) -> Certificate:
    Enrollment.objects.create(
        certificate=certificate,
        reference=f"{certificate.instance_id}-1",
        authority=AuthorityName.EMBEDDED,
        state=EnrollmentState.ISSUED,
        names=[certificate.name],
        verification=Verification.DNS,
        csr="csr",
        ordered_at=certificate.submitted_at,
        issued_at=certificate.issued_at,
        not_after=certificate.not_after,
    )
    return certificate


def requested(certificate: Certificate, *, at: datetime = NOON, typed: str | None = None) -> Revocation:
    """The wish, as the panel stores it."""
    return revocations.request_revocation(
        certificate.pk,
        reason=RevocationReason.SUPERSEDED,
        typed=certificate.name if typed is None else typed,
        by=certificate.account,
        at=at,
    )


def confirmed(certificate: Certificate, *, at: datetime = NOON) -> Revocation:
    return revocations.confirm_revocation(link_of(requested(certificate, at=at)), at=at)


def link_of(revocation: Revocation) -> links.Link:
    """The newest one."""
    return links.Link(revocation.pk, Revocation.objects.get(pk=revocation.pk).links_sent)


def page_of(link: links.Link) -> str:
    return f"/revocations/{links.token_of(link)}/"


def send_mails(*, at: datetime = NOON) -> list[Any]:
    """Let the worker send what is queued; the messages that went out, oldest first."""
    mail.outbox.clear()
    for job in Job.objects.filter(kind="send_mail", state=Job.State.QUEUED).order_by("id"):
        job.lease = "worker:test"
        job.save()
        jobs.run(job, at=at)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.last_error
    return list(mail.outbox)


def link_in(message: Any) -> str:
    """The path of the link in a mail's text."""
    found = re.search(r"http://localhost:8000(/revocations/\S+/)", message.body)
    assert found, message.body
    return found[1]


def state_of(certificate: Certificate) -> CertificateState:
    return CertificateState(Certificate.objects.values_list("state", flat=True).get(pk=certificate.pk))


def panel_of(certificate: Certificate, name: str) -> str:
    return f"/certificates/{certificate.instance_id}/{name}/"
