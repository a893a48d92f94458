"""The audit trail, and Django's own history beside it for what staff do."""

from datetime import datetime
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet

from core.models import AuditEntry, User


def subject_of(thing: Model) -> str:
    """The name under which a thing stands in the audit trail: its model and its readable reference."""
    # Two people may bear one name, and their user names differ.
    name = thing.username if isinstance(thing, User) else str(thing)
    return f"{thing._meta.label_lower}:{name}"[: AuditEntry._meta.get_field("subject").max_length]


def record(
    thing: Model, act: str, *, by: User | None, at: datetime, note: str = "", detail: dict[str, Any] | None = None
) -> AuditEntry:
    """Write what was done to `thing`, in the caller's transaction. `by` is None where the console itself acted."""
    if by is not None and by.is_staff:
        _note_in_admin_history(thing, act, by=by, note=note)
    return AuditEntry.objects.create(at=at, by=by, act=act, subject=subject_of(thing), note=note, detail=detail or {})


def history(thing: Model) -> QuerySet[AuditEntry]:
    """What was done to `thing`, oldest first."""
    return AuditEntry.objects.filter(subject=subject_of(thing)).select_related("by").order_by("id")


def _note_in_admin_history(thing: Model, act: str, *, by: User, note: str) -> None:
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(thing),
        object_id=str(thing.pk),
        object_repr=str(thing)[:200],
        action_flag=CHANGE,
        change_message=f"{act}: {note}" if note else act,
    )
