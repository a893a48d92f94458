"""A certificate for every rule of the policy at NOON, and what is looked at before and after an act."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection

from certificates.models import Certificate
from certificates.states import CertificateState, Source
from core.models import AuditEntry, Job, Notice, User
from payments.models import LedgerEntry, Payment, Payout
from refunds.models import Decision, RefundRequest
from refunds.rules.policies import Rule
from tests import factories
from tests.factories import NOON

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def late(account: User, **fields: Any) -> Certificate:
    """Revoked a day ago, 39 days after its issue."""
    return factories.issued(
        account,
        ago=40 * DAY,
        state=CertificateState.REVOKED,
        revocation_requested_at=NOON - 2 * DAY,
        revoked_at=NOON - DAY,
        **fields,
    )


def revoking(account: User, **fields: Any) -> Certificate:
    return factories.issued(account, state=CertificateState.REVOKING, revocation_requested_at=NOON - HOUR, **fields)


def at_authority(account: User, **fields: Any) -> Certificate:
    """Its application is with the authority, which has not approved it."""
    return factories.certificate(
        account,
        **{"state": CertificateState.VALIDATING_APPLICATION, "submitted_at": NOON - HOUR, **fields},
    )


def in_review(account: User, **fields: Any) -> Certificate:
    """Never applied for, and bought too long ago to be refunded at once."""
    return factories.certificate(account, **{"bought": 6 * DAY, **fields})


Build = Callable[[User], Certificate]

REFUSED: dict[Rule, Build] = {
    Rule.UPLOADED: lambda account: factories.certificate(account, source=Source.UPLOADED),
    Rule.FREE_DV: lambda account: factories.certificate(account, product=factories.ProductFactory(free=True)),
    Rule.NOTHING_PAID: lambda account: factories.certificate(account, payments={}, voucher=120_000),
    Rule.EXPIRED: lambda account: factories.certificate(account, bought=366 * DAY),
    Rule.REVOKED_TOO_LATE: late,
    Rule.ISSUED_TOO_LONG: lambda account: factories.issued(account, ago=29 * DAY),
    Rule.REVOCATION_PENDING: revoking,
    Rule.REVOKE_FIRST: factories.issued,
    Rule.VALIDATED_UNISSUED: lambda account: at_authority(account, validated_at=NOON - HOUR),
    Rule.UNISSUED_TOO_LATE: lambda account: factories.certificate(account, bought=355 * DAY),
}
SUPPORTED: dict[Rule, Build] = {
    Rule.ISSUED_REVOKED: factories.revoked,
    Rule.UNISSUED_IMMEDIATE: factories.certificate,
    Rule.UNISSUED_MANUAL: in_review,
}

WATCHED = (Certificate, RefundRequest, Decision, AuditEntry, Notice, Job, Payment, Payout, LedgerEntry)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that an act may touch: equal before and after means that nothing was done."""
    with connection.cursor() as cursor:
        return {model.__name__: _rows(cursor, model._meta.db_table) for model in WATCHED}


def _rows(cursor: Any, table: str) -> list[tuple[Any, ...]]:
    cursor.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 - a model's own table
    return list(cursor.fetchall())


def anew(thing: Any) -> Any:
    """The same row, read again."""
    return type(thing).objects.get(pk=thing.pk)


def acts(thing: Any) -> list[str]:
    """What the audit trail says was done to it, oldest first."""
    subject = f"{thing._meta.label_lower}:{thing}"
    return list(AuditEntry.objects.filter(subject=subject).order_by("id").values_list("act", flat=True))


def mails(request: RefundRequest) -> list[str]:
    """The mails queued about a request, oldest first."""
    return list(Notice.objects.filter(key__startswith=f"{request}:").order_by("id").values_list("template", flat=True))
