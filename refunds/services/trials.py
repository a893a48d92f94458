"""A trial of a policy over the certificates in the database. Reads them, writes only its own row, moves no money."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from certificates.models import Certificate
from core import jobs
from core.models import Job, User
from refunds.models import PolicyTrial
from refunds.rules.assess import assess
from refunds.rules.facts import facts_of

# Certificates a pass: a second or two, far below a job's lease.
PASS = 10_000
# Certificates kept for each pair of answers, for staff to look at.
EXAMPLES = 10


@transaction.atomic
def start_trial(policy: str, *, by: User, at: datetime) -> PolicyTrial:
    """Start a trial of a known policy as of `at`, an aware moment, or return the one of that policy that is running."""
    trial, is_new = PolicyTrial.objects.get_or_create(
        policy=policy, finished_at=None, defaults={"requested_by": by, "at": at}
    )
    if is_new or not is_running(trial):
        # One that was given up goes on from where it was.
        jobs.enqueue_again("try_policy", key=str(trial.pk), payload={"trial": trial.pk})
    return trial


def is_running(trial: PolicyTrial) -> bool:
    """Whether a worker will carry the trial on."""
    return Job.objects.filter(key=f"try_policy:{trial.pk}", state=Job.State.QUEUED).exists()


def try_policy(payload: dict[str, Any], *, at: datetime) -> Any:
    """Job handler: one pass over the certificates; what it returns stores the pass and asks for the next."""
    trial = PolicyTrial.objects.get(pk=payload["trial"])
    # One moment for all of them; what was bought while the trial runs wasn't there at that moment.
    known = Certificate.objects.filter(pk__gt=trial.cursor, purchased_at__lte=trial.at)
    certificates = known.select_related("order", "product").defer("pem")
    rows = list(certificates.order_by("pk")[:PASS])
    return partial(_store, trial.pk, rows, _answers(rows, trial), is_last=len(rows) < PASS, at=at)


def _answers(certificates: Iterable[Certificate], trial: PolicyTrial) -> list[str]:
    """For each certificate its own policy's answer and the other's, as one key."""
    keys = []
    for certificate in certificates:
        facts = facts_of(certificate)
        own, other = assess(facts, trial.at), assess(replace(facts, policy=trial.policy), trial.at)
        keys.append("|".join(str(part or "") for part in (own.outcome, own.review, other.outcome, other.review)))
    return keys


def _store(trial_id: int, rows: list[Certificate], keys: list[str], *, is_last: bool, at: datetime) -> Any:
    trial = PolicyTrial.objects.select_for_update().get(pk=trial_id)
    trial.counts = dict(Counter(trial.counts) + Counter(keys))
    for certificate, key in zip(rows, keys, strict=True):
        kept = trial.examples.setdefault(key, [])
        if len(kept) < EXAMPLES:
            kept.append(certificate.pk)
    trial.cursor = rows[-1].pk if rows else trial.cursor
    trial.finished_at = at if is_last else None
    trial.save()
    return None if is_last else jobs.Later(jobs.AT_ONCE)
