"""Re-issues: an authority's certificates may be shorter than the year bought, and are replaced before they end.

The new one comes by an enrollment like any other. The first issue counts for the refund; when the certificate ends is
moved on by the engine, once the new one is there.
"""

import logging
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from certificates.models import Application, Certificate, Enrollment
from certificates.services.enrolling import order_enrollment
from certificates.services.locking import lock
from certificates.states import NEAR_EXPIRATION, RUNNING, AuthorityName, CertificateState, EnrollmentState
from core import audit
from core.mail import notify
from core.one_by_one import one_by_one

logger = logging.getLogger(__name__)

# After one that came to nothing.
TRY_AGAIN_AFTER = timedelta(days=1)


def reissue_due(*, at: datetime, limit: int = 200) -> int:
    """Order what ends within 30 days of `at`, before the year bought does; return how many.

    One that cannot be ordered is logged and keeps no other from it.
    """
    certificate_ids = list(_due(at).order_by("not_after").values_list("id", flat=True)[:limit])
    failed = "certificate %d could not be re-issued"
    return one_by_one(partial(_reissue, at=at), certificate_ids, logger=logger, failed=failed)


def _due(at: datetime) -> QuerySet[Certificate]:
    of_it = Enrollment.objects.filter(certificate=OuterRef("pk"))
    return Certificate.objects.filter(
        Exists(Application.objects.filter(certificate=OuterRef("pk"))),
        ~Exists(of_it.filter(state__in=sorted(RUNNING))),
        ~Exists(of_it.filter(is_reissue=True, ordered_at__gt=at - TRY_AGAIN_AFTER)),
        state=CertificateState.ISSUED,
        deleted_at=None,
        hold="",
        closing_since=None,
        product__authority=AuthorityName.ACME,
        not_after__lte=at + NEAR_EXPIRATION,
        # After its own end too: the year bought goes on.
        service_ends_at__gt=F("not_after"),
    ).filter(service_ends_at__gt=at)


@transaction.atomic
def _reissue(certificate_id: int, *, at: datetime) -> bool:
    certificate = lock(certificate_id)
    # Another worker may have been quicker, and its owner too.
    if not _due(at).filter(pk=certificate_id).exists():
        return False
    application = Application.objects.get(certificate=certificate)
    names = list(certificate.domains.values_list("name", flat=True))
    enrollment = order_enrollment(certificate, application, names, at=at, is_reissue=True)
    detail = {"reference": enrollment.reference, "not_after": _iso(certificate.not_after)}
    audit.record(certificate, "reissue_ordered", by=None, at=at, detail=detail)
    return True


def tell_of_proofs(*, at: datetime) -> int:
    """Mail the owners what to publish for re-issues that wait for it, once each; return how many are waiting."""
    waiting = Enrollment.objects.filter(is_reissue=True, state=EnrollmentState.PENDING, proven_at=None)
    for enrollment in waiting.select_related("certificate__account"):
        _tell_of_proof(enrollment, at=at)
    return len(waiting)


@transaction.atomic
def _tell_of_proof(enrollment: Enrollment, *, at: datetime) -> None:
    certificate = enrollment.certificate
    notify(
        certificate.account,
        "reissue_proof",
        key=f"{enrollment.reference}:proof",
        context={
            "certificate": certificate.name,
            "instance_id": certificate.instance_id,
            "not_after": _iso(certificate.not_after),
            "verification": enrollment.verification,
            "challenges": enrollment.challenges,
        },
        at=at,
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
