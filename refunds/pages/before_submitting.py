"""The terms of a refund as its customer reads them before submitting: when the money comes, what happens meanwhile."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from certificates.models import Certificate
from certificates.states import APPLICATION_RUNNING, AT_AUTHORITY, CertificateState
from refunds.pages.payments_back import Part
from refunds.rules.assess import Assessment
from refunds.rules.explain import review_in_words
from refunds.rules.policies import Policy
from refunds.rules.table import Review


def review_of(assessment: Assessment, policy: Policy) -> str:
    """Whether somebody looks at the request first, and how long that takes."""
    return review_in_words(policy) if assessment.review == Review.MANUAL else _("No review is needed.")


def when_in_words(assessment: Assessment, certificate: Certificate, parts: Sequence[Part]) -> str:
    """What must have happened before the money goes; the parts follow."""
    is_reviewed = assessment.review == Review.MANUAL
    if is_at_authority(certificate) and is_reviewed:
        return _("Once it is approved and the certificate authority has confirmed that the application is closed:")
    if is_at_authority(certificate):
        return _("Once the certificate authority has confirmed that the application is closed:")
    if is_reviewed:
        return _("Once it is approved:")
    return _("At once:") if all(part.is_connected for part in parts) else _("Ordered at once:")


def is_at_authority(certificate: Certificate) -> bool:
    """Whether the authority has to answer before money may go."""
    return certificate.closing_since is not None or certificate.state in AT_AUTHORITY


def meanwhile(assessment: Assessment, certificate: Certificate) -> list[str]:
    """What happens to the certificate from Submit on, and how it ends."""
    if assessment.review == Review.NONE:
        return [*_application(certificate), *_at_once(certificate)]
    return [_on_hold(), *_application(certificate), _if_cancelled(), _if_rejected(certificate)]


def _on_hold() -> str:
    return _(
        "The certificate is on hold until the request has ended: "
        "it cannot be applied for, issued, revoked, downloaded, deleted or renewed."
    )


def _application(certificate: Certificate) -> list[str]:
    if is_at_authority(certificate):
        words = _(
            "The running application is closed at the certificate authority; what you entered is kept as a draft. "
            "Should the authority issue the certificate first, the request lapses and you can use the certificate."
        )
    elif certificate.state in APPLICATION_RUNNING:
        words = _("The running application is closed; what you entered is kept as a draft.")
    else:
        return []
    return [words]


def _at_once(certificate: Certificate) -> list[str]:
    return [
        _("From then on you can't use the certificate. Once the money is back, its state is Refunded permanently."),
        _("A refund without a review can't be cancelled."),
    ]


def _if_cancelled() -> str:
    return _(
        "Until the request is decided, you can cancel it with Cancel Refund. Then the certificate is no longer on hold."
    )


def _if_rejected(certificate: Certificate) -> str:
    if certificate.state == CertificateState.REVOKED:
        return _("If the request is rejected, you'll see the reason, and the certificate stays revoked.")
    return _("If the request is rejected, you'll see the reason and can go on using the certificate.")
