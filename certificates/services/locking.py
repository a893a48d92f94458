"""Locking a certificate, for whoever changes it."""

from certificates.exceptions import CertificateHeld, NotYourCertificate, WrongState
from certificates.models import Certificate
from core.models import User


def lock(certificate_id: int) -> Certificate:
    """Lock one certificate until the caller's transaction ends, and read it anew."""
    return (
        Certificate.objects.select_for_update(of=("self",))
        .select_related("order", "product", "account")
        .get(pk=certificate_id)
    )


def lock_for_owner(certificate_id: int, *, by: User) -> Certificate:
    """Lock a certificate for an act of its owner.

    Raises NotYourCertificate, and CertificateHeld while a refund or a closing is under way: nothing may be done then.
    """
    certificate = lock(certificate_id)
    if certificate.account_id != by.pk or not by.is_active or certificate.deleted_at:
        raise NotYourCertificate(str(certificate))
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    if certificate.closing_since:
        raise WrongState(certificate)
    return certificate
