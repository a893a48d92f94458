"""Rows that staff themselves write on the desk, each act in the audit trail."""

import json
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from core import audit
from core.desk.lists import SafeLists


class AuditedChanges(SafeLists):
    """Rows that whoever has the model's own permissions adds and changes; nobody deletes what others refer to."""

    is_audited = True
    actions: Any = None

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Locked for a change: what is judged must be what is stored."""
        found = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST" or not connection.in_atomic_block:
            return found
        return self.model._default_manager.select_for_update().get(pk=found.pk)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._record(request, obj, "added", message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._record(request, obj, "changed", message)

    def _record(self, request: HttpRequest, obj: Any, act: str, message: Any) -> Any:
        """In the audit trail, and through it in Django's history, which the stock methods write alone."""
        words = message if isinstance(message, str) else json.dumps(message)
        note = LogEntry(change_message=words).get_change_message()
        detail = self.detail_of(obj)
        return audit.record(obj, act, by=request.user, at=timezone.now(), note=note, detail=detail)  # type: ignore[arg-type]

    def detail_of(self, obj: Any) -> dict[str, Any]:
        """What the row holds after the change."""
        return {}
