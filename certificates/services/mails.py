"""The mails about a certificate: to its owner, and to the contact who confirms a revocation.

Each is queued in its caller's transaction, on a locked certificate.
"""

from datetime import datetime
from typing import Any

from certificates import hooks
from certificates.models import Application, Certificate, Revocation
from core.mail import notify


def tell_issued(certificate: Certificate, *, at: datetime) -> None:
    """Tell the owner that the certificate is issued, and can be downloaded."""
    assert certificate.not_after is not None  # noqa: S101 - it is issued
    context = {**_facts(certificate), "not_after": certificate.not_after.isoformat()}
    notify(certificate.account, "certificate_issued", key=f"{certificate}:issued", context=context, at=at)


def tell_application_failed(certificate: Certificate, reference: str, *, at: datetime) -> None:
    """Tell the owner why the application, which the authority knows under `reference`, failed."""
    context = {**_facts(certificate), "cause": certificate.failure_cause}
    notify(certificate.account, "application_failed", key=f"{reference}:failed", context=context, at=at)


def key_of_link(revocation: Revocation, number: int) -> str:
    """The key of the mail that brings a revocation's link of this number."""
    return f"{keys_of_links(revocation)}{number}"


def keys_of_links(revocation: Revocation) -> str:
    """What the keys of a revocation's links begin with. It comes with its certificate."""
    return f"{revocation.certificate}:revocation-{revocation.pk}:link-"


def send_link(revocation: Revocation, certificate: Certificate, *, at: datetime) -> None:
    """Mail the newest link to the contact. The row of the mail holds no link: see `certificates.links`."""
    number, expires_at = revocation.links_sent, revocation.link_expires_at
    assert expires_at is not None  # noqa: S101 - set together with the number of the link
    contact = Application.objects.filter(pk=certificate.pk).values_list("contact_name", flat=True).first()
    context = {
        "revocation": revocation.pk,
        "link": number,
        "contact": contact or "",
        "owner": str(certificate.account),
        "expires_at": expires_at.isoformat(),
    }
    notify(
        certificate.account,
        "revocation_link",
        key=key_of_link(revocation, number),
        context={**_facts(certificate), **context},
        at=at,
        address=revocation.contact_email,
    )


def tell_lapsed(revocation: Revocation, certificate: Certificate, *, at: datetime) -> None:
    """Tell the owner that the contact has not confirmed in time."""
    notify(
        certificate.account,
        "revocation_lapsed",
        key=f"{certificate}:revocation-{revocation.pk}:lapsed",
        context={**_facts(certificate), "address": revocation.contact_email},
        at=at,
    )


def tell_revoked(certificate: Certificate, *, at: datetime) -> None:
    """Tell the owner that the certificate is revoked and, where it is so, what comes back and until when to ask for it.

    The certificate is stored as revoked already, and comes with its order and product.
    """
    if certificate.deleted_at:
        return
    prospects = hooks.refund_prospects(certificate, at=at)
    until = None if prospects.is_open else prospects.possible_until
    refund = {
        "refund_until": until.isoformat() if until else "",
        "amount": prospects.amount if until else None,
        "currency": prospects.currency,
        **({} if prospects.is_open or _cost_nothing(certificate) else prospects.explained),
    }
    was_asked_for = Revocation.objects.filter(certificate=certificate, confirmed_at__isnull=False).exists()
    notify(
        certificate.account,
        "revocation_done",
        key=f"{certificate}:revoked",
        context={**_facts(certificate), **refund, "was_asked_for": was_asked_for},
        at=at,
    )


def _cost_nothing(certificate: Certificate) -> bool:
    """Whether there's nothing to explain, since no money could come back."""
    return not certificate.paid_part or (certificate.product is not None and certificate.product.free)


def _facts(certificate: Certificate) -> dict[str, Any]:
    return {"certificate": certificate.shown_name, "instance_id": certificate.instance_id}
