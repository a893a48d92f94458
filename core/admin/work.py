"""Jobs and mails: what the console does later, and what it told people."""

import json
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template import TemplateDoesNotExist
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from core import audit, jobs, mail
from core.desk.lists import ListFilter, Waiting, accounts_named
from core.desk.marks import EMPTY, Fact, facts, mono, time_mark
from core.desk.pages import Desk, staff_of
from core.email_addresses import shown_email
from core.models import Job, Notice, User
from core.templatetags.console_format import chip

JOB_MARKS = {
    Job.State.QUEUED: ("busy", "clock"),
    Job.State.DONE: ("ok", "circle-check"),
    Job.State.GIVEN_UP: ("bad", "triangle-alert"),
}


def job_chip(job: Job) -> Any:
    return chip(job.get_state_display(), JOB_MARKS[Job.State(job.state)])


class JobStateFilter(ListFilter):
    title = _("state")
    parameter_name = "state"

    def known(self) -> list[tuple[str, Any]]:
        return list(Job.State.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(state=value)


class JobAdmin(Desk):
    list_display = ("name", "kind", "state_chip", "attempts", "runs", "error")
    list_filter = (JobStateFilter,)
    ordering = ("-id",)
    actions = ["try_again"]
    act_words = {"try_again": _("Tried again")}
    search_help_text = _("The beginning of a job's key.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        return queryset.filter(key__begins_with=needle)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.has_perm("core.change_job")

    @admin.action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Queue what was given up once more. Whatever is queued or done is left alone."""
        by, at = staff_of(request), timezone.now()
        count = sum(_try_again(pk, by=by, at=at) for pk in queryset.values_list("pk", flat=True)[:1000])
        sentence = ngettext("%(count)s job is tried again.", "%(count)s jobs are tried again.", count) % {
            "count": count
        }
        if not count:
            sentence = gettext("None of these jobs was given up, so none is tried again.")
        self.message_user(request, sentence, messages.SUCCESS if count else messages.WARNING)

    def waiting(self) -> list[Waiting]:
        given_up = Job.objects.filter(state=Job.State.GIVEN_UP)
        return [Waiting(_("Jobs that need a person"), given_up, f"?state={Job.State.GIVEN_UP}")]

    @admin.display(description=_("job"))
    def name(self, job: Job) -> Any:
        return mono(job.key)

    @admin.display(description=_("state"))
    def state_chip(self, job: Job) -> Any:
        return job_chip(job)

    @admin.display(description=_("run at"))
    def runs(self, job: Job) -> Any:
        return time_mark(job.finished_at or job.run_at)

    @admin.display(description=_("last error"))
    def error(self, job: Job) -> str:
        return job.last_error[:120] or EMPTY

    def page(self, thing: Job, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "chip": job_chip(thing),
            "facts": facts(thing, by, "kind", "key", "attempts", "created_at", "run_at", "leased_until", "finished_at"),
            "texts": [
                (gettext("Payload"), json.dumps(thing.payload, indent=2, sort_keys=True, ensure_ascii=False)),
                *([(gettext("Last error"), thing.last_error)] if thing.last_error else []),
            ],
        }


@transaction.atomic
def _try_again(pk: int, *, by: User, at: datetime) -> bool:
    job = Job.objects.select_for_update().filter(pk=pk).first()
    if job is None or job.state != Job.State.GIVEN_UP:  # gone, since done jobs of some kinds are removed after a week
        return False
    jobs.try_again(job)
    audit.record(job, "try_again", by=by, at=at, note=job.last_error[:500], detail={"attempts": job.attempts})
    return True


class SentFilter(ListFilter):
    title = _("sent")
    parameter_name = "sent"

    def known(self) -> list[tuple[str, Any]]:
        return [("no", _("Not yet")), ("yes", _("Sent"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(sent_at__isnull=value == "no")


class NoticeAdmin(Desk):
    list_display = ("name", "to", "template", "created", "state_chip")
    list_filter = (SentFilter,)
    list_read_along = ("recipient",)
    page_select_related = ("recipient",)
    ordering = ("-id",)
    search_help_text = _("The beginning of a key (it begins with the refund's reference), or a user name.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if needle.upper().startswith("RF-"):
            return queryset.filter(key__begins_with=needle.upper())
        return queryset.filter(recipient__in=accounts_named(needle))

    @admin.display(description=_("mail"))
    def name(self, notice: Notice) -> Any:
        return mono(notice.key)

    @admin.display(description=_("recipient"))
    def to(self, notice: Notice) -> str:
        return str(notice.recipient)

    @admin.display(description=_("created"))
    def created(self, notice: Notice) -> Any:
        return time_mark(notice.created_at)

    @admin.display(description=_("state"))
    def state_chip(self, notice: Notice) -> Any:
        return notice_chip(notice)

    def page(self, thing: Notice, *, by: User, at: datetime) -> dict[str, Any]:
        subject, text = _words_of(thing)
        return {
            "title": subject,
            "chip": notice_chip(thing),
            "facts": [
                *facts(thing, by, "recipient"),
                Fact(gettext("Address"), shown_email(thing.address or thing.recipient.email) or EMPTY),
                *facts(thing, by, "template", "key", "message_id", "created_at", "sent_at"),
            ],
            "texts": [(gettext("Text"), text)],
        }


def notice_chip(notice: Notice) -> Any:
    return chip(_("Sent"), ("ok", "circle-check")) if notice.sent_at else chip(_("Not sent yet"), ("busy", "clock"))


def _words_of(notice: Notice) -> tuple[str, str]:
    """Subject and whole text as the recipient gets them, in their language."""
    try:
        message = mail.compose(notice)
    except TemplateDoesNotExist:
        return notice.key, gettext("The template of this mail is no longer there.")
    return str(message.subject), str(message.body)
