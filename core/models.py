"""Accounts, and what every floor stands on: the audit trail, jobs for the worker, and emails that wait to be sent."""

import zoneinfo
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from core.email_fields import EmailModelField
from core.guards import AppendOnly
from core.states import StateField, StatefulModel, arrows, known_states
from core.text import isolated


def zone_names() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(zoneinfo.available_timezones()) if name != "localtime"]


def language_names() -> list[tuple[str, Any]]:
    return settings.LANGUAGES


class AccountManager(UserManager["User"]):
    use_in_migrations = False

    def require_free_email(self, email: str, account: "User | None" = None) -> str:
        """The address, unless another account than this one has it. Raises ValidationError."""
        others = self.exclude(pk=account.pk) if account and account.pk else self.all()
        if email and others.filter(email=email).exists():
            raise ValidationError(_("Another account has this address already."))
        return email

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **fields: Any
    ) -> "User":
        """Raises ValidationError for a bad or taken email address, which `createsuperuser` shows as a sentence."""
        return super().create_superuser(username, self.require_free_email(email or ""), password, **fields)


class User(AbstractUser):
    """One person and one account: a customer who buys certificates, or a member of staff."""

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    name = models.CharField(_("name"), max_length=150, blank=True)
    email = EmailModelField(_("email address"), blank=True)
    # An address the account may not use until staff settle it: another account has it, or it isn't valid. As stored
    # before addresses had one form. See `manage.py unsettled_emails`.
    unsettled_email = models.CharField(
        _("address to settle"), max_length=254, blank=True, default="", db_default="", editable=False
    )
    language = models.CharField(_("language"), max_length=10, default="en", choices=language_names)
    time_zone = models.CharField(_("time zone"), max_length=50, default="Asia/Shanghai", choices=zone_names)
    # Set by `load_demo` alone: only a database all of whose accounts it made may be rebuilt.
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta(AbstractUser.Meta):
        constraints = [
            UniqueConstraint(fields=["email"], condition=~Q(email=""), name="one_account_per_email"),
            CheckConstraint(condition=Q(email=Lower("email")), name="email_is_lower_case"),
        ]
        indexes = [models.Index(fields=["id"], name="accounts_to_settle", condition=~Q(unsettled_email=""))]

    objects: ClassVar[AccountManager] = AccountManager()

    def __str__(self) -> str:
        """The name as it's shown, in the middle of sentences too; `name` is what was typed."""
        return isolated(self.name or self.username)

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)


def display_name(user: User) -> str:
    return str(user)


class EmailChangeState(models.TextChoices):
    REQUESTED = "requested", _("waiting for confirmation")
    DONE = "done", _("in effect")
    WITHDRAWN = "withdrawn", _("withdrawn")
    RESTORED = "restored", _("undone from the old address")
    OVERRULED = "overruled", _("ended by staff or by restoring an earlier address")


_C = EmailChangeState
EMAIL_CHANGE_EDGES: dict[str, set[str]] = {
    _C.REQUESTED: {_C.DONE, _C.WITHDRAWN, _C.RESTORED, _C.OVERRULED},
    # A withdrawn request can still be undone: an intruder may withdraw it to look harmless.
    _C.WITHDRAWN: {_C.RESTORED, _C.OVERRULED},
    _C.DONE: {_C.RESTORED, _C.OVERRULED},
    _C.RESTORED: set(),
    _C.OVERRULED: set(),
}


class EmailChange(StatefulModel):
    """An account's own change of its email address. `core.email_changes` moves it; its links are never stored."""

    EDGES = EMAIL_CHANGE_EDGES
    INITIAL = {EmailChangeState.REQUESTED}

    account = models.ForeignKey(User, models.PROTECT, related_name="email_changes", verbose_name=_("account"))
    state = StateField(_("state"), choices=EmailChangeState, default=EmailChangeState.REQUESTED)
    # Empty if the account had none: then nobody can restore it.
    old_email = EmailModelField(_("old address"), blank=True)
    new_email = EmailModelField(_("new address"))
    requested_at = models.DateTimeField(_("requested"))
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("change of email address")
        verbose_name_plural = _("changes of email addresses")
        constraints = [
            known_states(EmailChangeState, "email_change_state_known"),
            UniqueConstraint(
                fields=["account"], condition=Q(state="requested"), name="one_requested_email_change_per_account"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account.username}/{self.pk}"

    @transition("state", source=_C.REQUESTED, target=_C.DONE)
    def confirm(self) -> None:
        """The link in the mail to the new address was used: that address is the account's."""

    @transition("state", source=_C.REQUESTED, target=_C.WITHDRAWN)
    def withdraw(self) -> None:
        """The account has taken the request back or made another."""

    @transition("state", source=arrows(EMAIL_CHANGE_EDGES, _C.RESTORED), target=_C.RESTORED)
    def restore(self) -> None:
        """The link in a mail to the old address was used: that address is the account's again."""

    @transition("state", source=arrows(EMAIL_CHANGE_EDGES, _C.OVERRULED), target=_C.OVERRULED)
    def overrule(self) -> None:
        """Staff set an address, or an earlier one was restored: the links of this change no longer work."""


class AppendOnlyError(Exception):
    """A row of an append-only table was to be changed or removed."""


class AppendOnlyQuerySet(models.QuerySet):
    def update(self, **_: Any) -> int:
        raise AppendOnlyError(self.model.__name__)

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AppendOnlyError(self.model.__name__)


class AppendOnlyModel(models.Model):
    """A table whose rows stay as written. Triggers hold it in the database; this class says it sooner."""

    database_guards = (AppendOnly(),)
    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(type(self).__name__)
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> tuple[int, dict[str, int]]:
        raise AppendOnlyError(type(self).__name__)


class AuditEntry(AppendOnlyModel):
    """What was done: who, when, to what, and on which facts. `by` is null where the console itself acted."""

    at = models.DateTimeField(_("when"))
    by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("who"))
    act = models.CharField(_("what"), max_length=50)
    subject = models.CharField(_("of what"), max_length=100)
    note = models.TextField(_("note"), blank=True)
    detail = models.JSONField(_("detail"), default=dict)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["subject", "id"], name="audit_by_subject")]

    def __str__(self) -> str:
        return f"{self.act} {self.subject}"


class Job(models.Model):
    """Work to be done outside the transaction that ordered it. All its times are the database's clock, UTC."""

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        DONE = "done", _("done")
        GIVEN_UP = "given_up", _("needs a person")

    kind = models.CharField(_("kind"), max_length=50)
    key = models.CharField(_("key"), max_length=200, unique=True)
    payload = models.JSONField(_("payload"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    run_at = models.DateTimeField(_("run at"), db_default=Now())
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    lease = models.CharField(_("lease"), max_length=100, blank=True)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        constraints = [CheckConstraint(condition=Q(state__in=["queued", "done", "given_up"]), name="job_state_known")]
        indexes = [
            models.Index(fields=["run_at", "id"], name="jobs_due", condition=Q(state="queued")),
            models.Index(fields=["id"], name="jobs_given_up", condition=Q(state="given_up")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Notice(models.Model):
    """One mail to one person. The key makes it one, the fixed Message-ID lets a mailbox drop a second copy."""

    key = models.CharField(_("key"), max_length=200, unique=True)
    recipient = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("recipient"))
    # Where it goes instead of the recipient's own address: to somebody who has no account.
    address = models.EmailField(_("address"), blank=True)
    template = models.CharField(_("template"), max_length=50)
    context = models.JSONField(_("context"), default=dict)
    message_id = models.CharField(_("Message-ID"), max_length=200, unique=True)
    created_at = models.DateTimeField(_("created"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [models.Index(fields=["id"], name="notices_unsent", condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return self.key
