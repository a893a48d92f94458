"""Holding a certificate for whoever stands above, and letting it go."""

from datetime import datetime

from certificates.exceptions import CannotEnd, CertificateHeld
from certificates.models import Certificate
from certificates.services import enrolling
from certificates.states import APPLICATION_RUNNING, CAN_END


def hold(certificate: Certificate, reference: str, *, at: datetime) -> None:
    """Hold a locked certificate for `reference` and close its running application.

    Raises CertificateHeld, and CannotEnd for one that could never become Refunded.
    """
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    certificate.hold = reference
    if certificate.state in APPLICATION_RUNNING:
        enrolling.ask_to_close(certificate, at=at)
    elif certificate.state not in CAN_END:
        raise CannotEnd(f"{certificate}: {certificate.state}")
    elif enrolling.running_enrollment(certificate):
        # Its application has failed, but its order is not closed yet: until it is, the authority may still issue.
        enrolling.ask_to_close(certificate, at=at)
    certificate.save()


def release(certificate: Certificate) -> None:
    """End the hold of a locked certificate. A closing that is under way goes on."""
    certificate.hold = ""
    certificate.save()


def undo_refund(certificate: Certificate, reference: str) -> None:
    """A locked certificate's money came back to us: it is what it was before, and held until that is made good."""
    certificate.undo_refund()
    certificate.hold = reference
    certificate.save()


def refund(certificate: Certificate) -> None:
    """End a locked certificate whose money is back. Raises TransitionNotAllowed from any other than a final state."""
    certificate.hold = ""
    certificate.refund()
    certificate.save()
