"""Every page on which staff act on one row: what it takes to stand before it, who may act, and what it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate
from certificates.states import CertificateState, Level
from core.models import AuditEntry, User
from payments.models import LedgerEntry, Payout
from payments.services import record_failed, record_paid
from refunds.models import Decision, RefundRequest
from refunds.services import approve_refund
from tests import factories
from tests.factories import NOON
from tests.lifecycle import engine

PARTS = {"alipay": 70_000, "bank": 50_000}


def address(thing: Model, name: str = "change") -> str:
    """The desk's page of a row, or that of an act on it."""
    return reverse(f"admin:{thing._meta.app_label}_{thing._meta.model_name}_{name}", args=[thing.pk])


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def under_review(account: User, **fields: Any) -> RefundRequest:
    """A request that waits for a decision; paid by two channels that staff record."""
    fields = {"payments": PARTS, "bought": timedelta(days=20), **fields}
    return factories.submit(factories.certificate(account, **fields))


def approved(account: User, by: User, **fields: Any) -> RefundRequest:
    request = under_review(account, **fields)
    return approve_refund(request.pk, seen=factories.seen(request), by=by, at=NOON)


def ordered(account: User, by: User, **fields: Any) -> Payout:
    """The first payout of an approved request."""
    return Payout.objects.filter(reference=approved(account, by, **fields).reference).order_by("id")[0]


def failed(account: User, by: User) -> RefundRequest:
    """A request all of whose payouts have failed."""
    request = approved(account, by)
    for payout in Payout.objects.filter(reference=request.reference):
        record_failed(payout.pk, "closed account", by=_other_cashier(), at=NOON)
    return RefundRequest.objects.get(pk=request.pk)


def failed_payout(account: User, by: User) -> Payout:
    """The first payout of a request all of whose payouts have failed."""
    return Payout.objects.filter(reference=failed(account, by).reference).order_by("id")[0]


def paid_outside(account: User, by: User) -> Payout:
    """A payout that was recorded as paid: no channel would say that it came back."""
    return record_paid(ordered(account, by).pk, "2026-0", by=_other_cashier(), at=NOON)


def closing(account: User, by: User) -> Certificate:
    """A certificate whose application an authority is asked to close; its refund is approved."""
    request = approved(
        account, by, state=CertificateState.VALIDATING_APPLICATION, submitted_at=NOON - timedelta(days=1)
    )
    return request.certificate


def to_validate(account: User, by: User) -> Certificate:
    """An OV certificate whose application is handed in and whose domains are proven."""
    certificate = engine.handed_in(account, level=Level.OV)
    enrollment = engine.enrollment_of(certificate)
    enrollment.hand_in()
    engine.enrolling.prove(enrollment, engine.fresh(certificate), at=NOON)
    return engine.fresh(certificate)


def revoking(account: User, by: User) -> Certificate:
    """An imported certificate whose revocation its contact has confirmed: no authority is asked by the console."""
    return factories.issued(
        account,
        state=CertificateState.REVOKING,
        revocation_requested_at=NOON - timedelta(days=1),
        revocation_confirmed_at=NOON - timedelta(hours=1),
    )


def _other_cashier() -> User:
    return User.objects.filter(username="other-cashier").first() or factories.cashier("other-cashier")


@cache
def pem(*names: str, not_after: datetime = NOON + timedelta(days=365)) -> str:
    """A real certificate for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class Page:
    """One acting page. `make(account, approver)` gives a row it can act on."""

    slug: str
    make: Callable[[User, User], Any]
    actor: str  # the fixture of whoever may act
    outsider: str  # staff with another permission
    typed: dict[str, str]
    act: str  # as the audit trail names it
    text: str = ""  # the field that must not be empty

    def __str__(self) -> str:
        return self.slug

    def address(self, thing: Model) -> str:
        return address(thing, self.slug)

    def form(self, client: Client, thing: Model) -> dict[str, str]:
        """What a person sends who has opened the page and filled it in."""
        return {"seen": seen_on(client, self.address(thing)), **self.typed}


REVIEWER, CASHIER = "reviewer", "cashier"
PAID = {"external_reference": "2026-1", "day": "2026-11-23"}
CAUSE = {"cause": "The register names another company."}
ANSWER = {"answer": "The certificate is in use."}
PAGES = [
    Page("approve", lambda who, by: under_review(who), REVIEWER, CASHIER, {"note": "checked"}, "approved"),
    Page("reject", lambda who, by: under_review(who), REVIEWER, CASHIER, ANSWER, "rejected", "answer"),
    Page("fail", failed, CASHIER, REVIEWER, {"reason": "closed account"}, "failed", "reason"),
    Page("try-again", failed_payout, CASHIER, REVIEWER, {}, "sent_again"),
    Page("record-paid", ordered, CASHIER, REVIEWER, PAID, "record_paid", "external_reference"),
    Page("record-failed", ordered, CASHIER, REVIEWER, {"reason": "closed"}, "record_failed", "reason"),
    Page("record-returned", paid_outside, CASHIER, REVIEWER, {"reason": "closed"}, "record_returned", "reason"),
    Page("not-possible", failed_payout, CASHIER, REVIEWER, {"reason": "closed"}, "not_possible", "reason"),
    Page("record-closed", closing, REVIEWER, CASHIER, {}, "application_closed"),
    Page("record-revoked", revoking, REVIEWER, CASHIER, {}, "revoked"),
    Page("approve-application", to_validate, "validator", REVIEWER, {}, "application_approved"),
    Page("refuse-application", to_validate, "validator", REVIEWER, CAUSE, "application_refused", "cause"),
    Page("record-issued", closing, REVIEWER, CASHIER, {"pem": pem("shop.example.com")}, "issued", "pem"),
]


def seen_on(client: Client, address: str) -> str:
    """The token that a page's form carries."""
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.context["form"].initial["seen"]


def page_shown(client: Client, thing: Model) -> dict[str, str]:
    """What a row's form carries of what it shows."""
    [token] = re.findall(r'name="seen" value="([^"]+)"', client.get(address(thing)).content.decode())
    return {"seen": token}


def everything() -> list[Any]:
    """All that an act could change, to compare before and after."""
    return [
        list(RefundRequest.objects.order_by("id").values_list("state", "answer", "ended_at")),
        list(Payout.objects.order_by("id").values_list("state", "external_reference", "failure", "booked_on")),
        list(Certificate.objects.order_by("id").values_list("state", "hold", "closing_since", "pem", "validated_at")),
        [model.objects.count() for model in (Decision, AuditEntry, LogEntry, LedgerEntry)],
    ]
