"""The outbox: work that must not run inside a transaction, ordered inside one.

A handler named in `settings.JOB_HANDLERS` gets the payload and the moment outside any transaction and may return a
function that settles the result; that function and the job's completion happen in one transaction, or not at all.
Leases run by the database's clock, so that workers on machines whose clocks differ agree. A handler may be called
again after its worker died or its lease ran out: what it does outside must carry a key that makes this harmless.

Done jobs are kept: they are small, and their keys say that the work was done.
"""

import logging
import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string

from core.models import Job

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 12
LONGEST_DELAY = timedelta(hours=1)


EVERYTHING = Q()


class LeaseLost(Exception):
    """Another worker has taken the job over; what this one did must not be stored."""


class UnknownKind(Exception):
    """No handler of this name: a newer console ordered the job, or an older one did. Tried again, then for a person."""


class WorkersDied(Exception):
    """Every worker that took the job up died before it could say how it ended."""


def enqueue(kind: str, *, key: str, payload: dict[str, Any], delay: timedelta = timedelta(0)) -> None:
    """Order work in the caller's transaction. A key that is known already orders nothing more."""
    # A sum with nothing is a text with more digits than Now() on SQLite: it would not be due in the same millisecond.
    run_at = Now() + delay if delay else Now()
    Job.objects.get_or_create(key=f"{kind}:{key}", defaults={"kind": kind, "payload": payload, "run_at": run_at})


def due(lane: Q = EVERYTHING) -> QuerySet[Job]:
    """The jobs of a lane that wait for a worker, the longest due first."""
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=Now())
    return Job.objects.filter(lane, free, state=Job.State.QUEUED, run_at__lte=Now()).order_by("run_at", "id")


def claim(worker: str, *, lease: timedelta = LEASE, lane: Q = EVERYTHING) -> Job | None:
    """Take one due job under a lease of this worker's, or None."""
    # Read first without a transaction: on SQLite every transaction takes the one write lock.
    while due(lane).exists():
        with transaction.atomic():
            job = _lock_first(lane)
            if job is None or job.attempts < MAX_ATTEMPTS:
                return job and _take(job, worker, lease)
            # Only a lease that ran out leads here: a failure would have been noted, and the job given up.
            _put_off(job, WorkersDied(f"{job.attempts} times"))
    return None


def _lock_first(lane: Q) -> Job | None:
    jobs = due(lane)
    if connection.features.has_select_for_update_skip_locked:
        jobs = jobs.select_for_update(skip_locked=True)
    return jobs.first()


def _take(job: Job, worker: str, lease: timedelta) -> Job:
    job.lease = f"{worker}:{uuid.uuid4().hex}"
    job.attempts += 1
    Job.objects.filter(pk=job.pk).update(lease=job.lease, leased_until=Now() + lease, attempts=F("attempts") + 1)
    return job


def run(job: Job, *, at: datetime) -> None:
    """Do a claimed job as of `at`; a failure is noted and tried again later, never raised."""
    try:
        settle = _handler(job.kind)(job.payload, at=at)
        with transaction.atomic():
            if settle is not None:
                settle()
            _complete(job)
    except LeaseLost:
        logger.warning("job %s was taken over by another worker", job)
    except Exception as error:
        # Else a connection that broke meanwhile would leave the job waiting for its lease to run out.
        renew_connection()
        _put_off(job, error)
        logger.exception("job %s failed", job)


def run_due(
    worker: str,
    *,
    clock: Callable[[], datetime] = timezone.now,
    limit: int = 100,
    lease: timedelta = LEASE,
    lane: Q = EVERYTHING,
) -> int:
    """Run due jobs one after another, at most `limit`; return how many were run."""
    for count in range(limit):
        job = claim(worker, lease=lease, lane=lane)
        if job is None:
            return count
        run(job, at=clock())
    return limit


def renew_connection() -> None:
    """Let go of a connection that is broken or has served its time; the next query opens another."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def try_again(job: Job) -> None:
    """Queue a job that was given up once more, from its first attempt."""
    Job.objects.filter(pk=job.pk, state=Job.State.GIVEN_UP).update(
        state=Job.State.QUEUED, attempts=0, run_at=Now(), lease="", leased_until=None
    )


def _handler(kind: str) -> Callable[..., Callable[[], None] | None]:
    if kind not in settings.JOB_HANDLERS:
        raise UnknownKind(kind)
    return import_string(settings.JOB_HANDLERS[kind])


@register()
def check_handlers(**_: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for kind, path in settings.JOB_HANDLERS.items():
        try:
            import_string(path)
        except ImportError as error:
            problems.append(Error(f"The handler of the job {kind} does not resolve. {error}", id="core.E002"))
    return problems


def _held(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.QUEUED)


def _complete(job: Job) -> None:
    if not _held(job).update(state=Job.State.DONE, finished_at=Now(), lease="", leased_until=None):
        raise LeaseLost(job.key)


def _put_off(job: Job, error: Exception) -> None:
    given_up = job.attempts >= MAX_ATTEMPTS
    _held(job).update(
        state=Job.State.GIVEN_UP if given_up else Job.State.QUEUED,
        run_at=Now() + back_off(job.attempts),
        last_error=_words_of(error),
        lease="",
        leased_until=None,
    )
    if given_up:
        logger.error("job %s needs a person: given up after %d attempts", job, job.attempts)


def _words_of(error: Exception) -> str:
    """What went wrong, as every database can store it: without NUL and without halves of characters."""
    words = f"{type(error).__name__}: {error}"[:2000]
    return words.replace("\x00", "").encode("utf-8", "replace").decode()


def back_off(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubling from a second, at most an hour, up to a quarter of jitter."""
    delay = min(timedelta(seconds=2 ** min(attempts - 1, 20)), LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
