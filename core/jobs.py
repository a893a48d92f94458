"""The outbox: work that must not run inside a transaction, ordered inside one.

A handler named in `settings.JOB_HANDLERS` gets the payload and the moment outside any transaction and may return a
function that settles the result; that function and the job's completion happen in one transaction, or not at all. It
may say that the job is not done: TryAgain counts as a failure, Later does not. What has failed too often goes to
`settings.JOB_GIVEN_UP`, where that names somebody for its kind, and in any case to the desk.
Leases run by the database's clock, so that workers on machines whose clocks differ agree. A handler may be called
again after its worker died or its lease ran out: what it does outside must carry a key that makes this harmless.

Done jobs are kept: they are small, and their keys say that the work was done.
"""

import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string

from core.models import Job

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
# Some eight hours, as the delays below go.
MAX_ATTEMPTS = 20
LONGEST_DELAY = timedelta(hours=1)


EVERYTHING = Q()
AT_ONCE = timedelta(0)


class LeaseLost(Exception):
    """Another worker has taken the job over; what this one did must not be stored."""


@dataclass(frozen=True)
class TryAgain:
    """A settled failure: the job is put off by its back-off, and given up after as many as the limit allows."""

    error: Exception


@dataclass(frozen=True)
class Later:
    """Nothing has failed, there is only nothing to be done yet."""

    delay: timedelta


class UnknownKind(Exception):
    """No handler of this name: a newer console ordered the job, or an older one did. Tried again, then for a person."""


class GivenUp(Exception):
    """What a job was given up for, in words that every database stores."""


class WorkersDied(Exception):
    """Every worker that took the job up died before it could say how it ended."""


def enqueue(kind: str, *, key: str, payload: dict[str, Any], delay: timedelta = timedelta(0)) -> bool:
    """Order work in the caller's transaction; a key that is known already orders nothing more. Say if it was new."""
    # A sum with nothing is a text with more digits than Now() on SQLite: it would not be due in the same millisecond.
    run_at = Now() + delay if delay else Now()
    defaults = {"kind": kind, "payload": payload, "run_at": run_at}
    _, is_new = Job.objects.get_or_create(key=f"{kind}:{key}", defaults=defaults)
    return is_new


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
            if job is None:
                return None
            died = job.attempts if job.attempts >= MAX_ATTEMPTS else 0
            _take(job, worker, lease)
        if not died:
            return job
        # Only a lease that ran out leads here: a failure would have been noted, and the job given up. Not under the
        # claim's lock: whoever takes it on is told first, see `_put_off`.
        _note_failure(job, WorkersDied(f"Every worker that took it up died, {died} times."))
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
            _end(job, settle() if settle is not None else None)
    except LeaseLost:
        _tell_of_takeover(job)
    except Exception as error:
        # Else a connection that broke meanwhile would leave the job waiting for its lease to run out.
        renew_connection()
        logger.exception("job %s failed", job)
        _note_failure(job, error)


def _note_failure(job: Job, error: Exception) -> None:
    try:
        _put_off(job, error)
    except LeaseLost:
        _tell_of_takeover(job)


def _tell_of_takeover(job: Job) -> None:
    logger.warning("job %s was taken over by another worker", job)


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


def enqueue_again(kind: str, *, key: str, payload: dict[str, Any]) -> None:
    """Order work whose key may be known, in the caller's transaction: the job begins anew.

    A worker that has it in hand loses it: what it saw is older than this order, and might end the job that it needs.
    """
    if not enqueue(kind, key=key, payload=payload):
        _begin_anew(Job.objects.filter(key=f"{kind}:{key}"))


def try_again(job: Job) -> None:
    """Queue a job that was given up once more, from its first attempt."""
    _begin_anew(Job.objects.filter(pk=job.pk, state=Job.State.GIVEN_UP))


def _begin_anew(jobs: QuerySet[Job]) -> None:
    jobs.update(state=Job.State.QUEUED, attempts=0, run_at=Now(), lease="", leased_until=None, finished_at=None)


def _handler(kind: str) -> Callable[..., Callable[[], TryAgain | Later | None] | None]:
    if kind not in settings.JOB_HANDLERS:
        raise UnknownKind(kind)
    return import_string(settings.JOB_HANDLERS[kind])


@register()
def check_handlers(**_: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for kind, path in [*settings.JOB_HANDLERS.items(), *settings.JOB_GIVEN_UP.items()]:
        try:
            import_string(path)
        except ImportError as error:
            problems.append(Error(f"The handler of the job {kind} does not resolve. {error}", id="core.E002"))
    return problems


def _held(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.QUEUED)


def _end(job: Job, answer: TryAgain | Later | None) -> None:
    if isinstance(answer, TryAgain):
        _put_off(job, answer.error)
    elif isinstance(answer, Later):
        _wait(job, answer.delay)
    else:
        _complete(job)


def _wait(job: Job, delay: timedelta) -> None:
    if not _held(job).update(run_at=Now() + delay, attempts=0, lease="", leased_until=None):
        raise LeaseLost(job.key)


def _complete(job: Job) -> None:
    if not _held(job).update(state=Job.State.DONE, finished_at=Now(), lease="", leased_until=None):
        raise LeaseLost(job.key)


@transaction.atomic
def _put_off(job: Job, error: Exception) -> None:
    given_up = job.attempts >= MAX_ATTEMPTS
    if given_up:
        # Before the job itself: whoever orders it again has locked what it is about first.
        _tell_of_giving_up(job, error)
    is_held = _held(job).update(
        state=Job.State.GIVEN_UP if given_up else Job.State.QUEUED,
        run_at=Now() + back_off(job.attempts),
        last_error=_words_of(error),
        lease="",
        leased_until=None,
    )
    if not is_held:
        raise LeaseLost(job.key)
    if given_up:
        logger.error("job %s needs a person: given up after %d attempts", job, job.attempts)


def _tell_of_giving_up(job: Job, error: Exception) -> None:
    """Tell who takes it on. What breaks there is logged: a job that could not be given up would come back for ever."""
    if job.kind not in settings.JOB_GIVEN_UP:
        return
    try:
        with transaction.atomic():
            import_string(settings.JOB_GIVEN_UP[job.kind])(job.payload, GivenUp(_storable(str(error))))
    except (InterfaceError, OperationalError):  # the database is away: the job is given up when it is back
        raise
    except Exception:
        logger.exception("nobody has taken on job %s", job)


def _words_of(error: Exception) -> str:
    return _storable(f"{type(error).__name__}: {error}")[:2000]


def _storable(words: str) -> str:
    """As every database can store it: without NUL and without halves of characters."""
    return words.replace("\x00", "").encode("utf-8", "replace").decode()


def back_off(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubling from a second, at most an hour, up to a quarter of jitter."""
    delay = min(timedelta(seconds=2 ** min(attempts - 1, 20)), LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
