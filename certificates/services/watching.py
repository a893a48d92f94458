"""Noticing what an authority has revoked by itself.

Once a day the worker asks about every certificate that is in use. The questions of a day are a chain of short jobs
with a pause after each: any number of workers ask once, go on after a kill where they were, and have time for others.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from certificates.authority import authority_of
from certificates.authority.base import AuthorityUnavailable
from certificates.models import Certificate, Enrollment
from certificates.services.authority_answers import end_as_revoked
from certificates.services.authority_job import enrolled
from certificates.services.enrolling import revoke_at_authority, to_end
from certificates.services.locking import lock
from certificates.states import CertificateState, EnrollmentState
from certificates.x509 import read_certificate
from core import audit, jobs
from core.clock import service_day
from core.models import Job

logger = logging.getLogger(__name__)

KIND = "notice_revocations"
IN_USE = (CertificateState.ISSUED, CertificateState.REVOKING)
PER_JOB = 100
# Seconds after which a job asks about no further certificate.
JOB_TAKES = 5.0
PAUSE = timedelta(seconds=1)


def order_watch(*, at: datetime) -> None:
    """Let the worker ask about all of them, unless it did so this day of the service, or is still at it."""
    day = service_day(at).isoformat()
    with transaction.atomic():
        if not Job.objects.filter(kind=KIND, state=Job.State.QUEUED).exists():
            _enqueue(day, 0)


def notice_revocations(payload: dict[str, Any], *, at: datetime) -> Callable[[], None]:
    """Job handler: ask about the next certificates after one; returns what orders those after them."""
    last = watch(at=at, after=payload["after"], limit=PER_JOB)
    return partial(_go_on, payload["day"], last)


def watch(*, at: datetime, after: int = 0, limit: int = 100) -> int | None:
    """Ask about at most `limit` issues, those after an Enrollment's id, for some seconds; what is revoked is stored.

    Returns the id to go on after, None once there is none. One that gets no answer keeps no other from being asked.
    """
    began = time.monotonic()
    in_use = _in_use(at).filter(pk__gt=after).order_by("pk")
    for enrollment in in_use.select_related("certificate__product")[:limit]:
        _ask(enrollment, at=at)
        after = enrollment.pk
        if time.monotonic() - began > JOB_TAKES:
            break
    return after if in_use.filter(pk__gt=after).exists() else None


def _in_use(at: datetime) -> QuerySet[Enrollment]:
    return Enrollment.objects.filter(
        state=EnrollmentState.ISSUED, not_after__gt=at, certificate__state__in=sorted(IN_USE)
    )


def _enqueue(day: str, after: int, *, delay: timedelta = timedelta(0)) -> None:
    jobs.enqueue(KIND, key=f"{day}:{after}", payload={"day": day, "after": after}, delay=delay)


def _go_on(day: str, last: int | None) -> None:
    if last is not None:
        _enqueue(day, last, delay=PAUSE)


def _ask(enrollment: Enrollment, *, at: datetime) -> None:
    try:
        authority = authority_of(enrollment.authority)
        moment = authority.poll_revocation(enrolled(enrollment), enrollment.pem, at=at)
        if moment:
            _store(enrollment.pk, moment, at=at)
    except AuthorityUnavailable as trouble:
        logger.info("authority %s: nothing heard about %s: %s", enrollment.authority, enrollment, trouble)
    except (InterfaceError, OperationalError):  # the database is away: nothing can be stored about any other either
        raise
    except Exception:
        logger.exception("nothing could be learnt about %s", enrollment)


@transaction.atomic
def _store(enrollment_id: int, moment: datetime, *, at: datetime) -> None:
    certificate = lock(Enrollment.objects.values_list("certificate_id", flat=True).get(pk=enrollment_id))
    enrollment = Enrollment.objects.select_for_update().get(pk=enrollment_id)
    if enrollment.state != EnrollmentState.ISSUED or certificate.state not in IN_USE:
        return
    # Authorities date back, and clocks differ: it was good when it was issued, and is revoked by now.
    moment = min(max(moment, enrollment.issued_at or moment), at)
    enrollment.revoke()
    enrollment.revoked_at = moment
    # A job that is just about to revoke it has nothing to do any more.
    enrollment.step += 1
    enrollment.save()
    detail = {"reference": enrollment.reference, "revoked_at": moment.isoformat()}
    audit.record(certificate, "revocation_noticed", by=None, at=at, detail=detail)
    if _ends(enrollment, certificate, at):
        _end(certificate, moment, at=at)


def _ends(enrollment: Enrollment, certificate: Certificate, at: datetime) -> bool:
    """Whether a certificate whose one issue is revoked is at its end: an earlier issue, replaced since, ends nothing.

    One that is being revoked as its owner asked ends with the last of its issues.
    """
    if certificate.state == CertificateState.REVOKING and certificate.revocation_confirmed_at:
        return not to_end(certificate, at=at)
    return read_certificate(enrollment.pem).fingerprint == certificate.fingerprint


def _end(certificate: Certificate, moment: datetime, *, at: datetime) -> None:
    end_as_revoked(certificate, revoked_at=moment, at=at)
    # A re-issue that is under way is wanted no more.
    revoke_at_authority(certificate)
