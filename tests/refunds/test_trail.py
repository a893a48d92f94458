"""Every act leaves its entry: who, when, what, on which facts, by which rule of which policy. And its mail."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest
from django.contrib.admin.models import LogEntry

from certificates.services import record_closed, record_issued
from core.models import AuditEntry, Job, Notice, User
from payments.models import Payout
from payments.services import record_failed
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, fail_refund, lapse_overdue, reject_refund
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, acts, anew, mails

pytestmark = pytest.mark.django_db

LATER = NOON + HOUR


@dataclass
class Act:
    """One act upon a request: what is done, and the entries and mails that it must leave."""

    name: str
    do: Callable[["Cast", RefundRequest], object]
    entries: list[str]
    mail: list[str]
    by: str | None = None
    at: datetime = LATER
    note: str = ""


@dataclass
class Cast:
    customer: User
    reviewer: User
    cashier: User


@pytest.fixture
def cast(customer: User, reviewer: User, cashier: User) -> Cast:
    return Cast(customer, reviewer, cashier)


def approve(cast: Cast, request: RefundRequest) -> None:
    approve_refund(request.pk, seen=factories.seen(request), by=cast.reviewer, at=LATER, note="fine")


def reject(cast: Cast, request: RefundRequest) -> None:
    reject_refund(request.pk, answer="It is in use.", seen=factories.seen(request), by=cast.reviewer, at=LATER)


def cancel(cast: Cast, request: RefundRequest) -> None:
    cancel_refund(request.pk, by=cast.customer, at=LATER)


def expire(cast: Cast, request: RefundRequest) -> None:
    lapse_overdue(at=request.certificate.expires_at)


END = NOON - 6 * DAY + 365 * DAY

ACTS = [
    Act("approve", approve, ["approved", "money_ordered"], ["refund_approved"], by="reviewer", note="fine"),
    Act("reject", reject, ["rejected"], ["refund_rejected"], by="reviewer", note="It is in use."),
    Act("cancel", cancel, ["cancelled"], ["refund_cancelled"], by="customer"),
    Act("expire", expire, ["lapsed"], ["refund_lapsed"], at=END, note="expired"),
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_an_act_leaves_one_entry_with_who_when_what_and_the_grounds(cast: Cast, act: Act) -> None:
    request = factories.submit(cases.in_review(cast.customer))
    before = AuditEntry.objects.count()

    act.do(cast, request)

    entries = list(AuditEntry.objects.order_by("id")[before:])
    assert [entry.act for entry in entries] == act.entries
    first = entries[0]
    assert (first.by, first.at, first.note) == (getattr(cast, act.by or "", None), act.at, act.note)
    assert first.subject == f"refunds.refundrequest:{request.reference}"
    request = anew(request)
    for entry in entries:
        assert entry.detail == {
            "state": request.state,
            "rule": request.rule,
            "policy": "intl-2021",
            "calendar": request.calendar_version,
            "amount": 120_000,
            "currency": "CNY",
            "facts": request.facts,
        }


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_what_staff_do_stands_once_in_the_admins_history_too(cast: Cast, act: Act) -> None:
    request = factories.submit(cases.in_review(cast.customer))

    act.do(cast, request)

    entries = [(entry.user, entry.object_id, entry.change_message) for entry in LogEntry.objects.all()]
    done = f"{act.entries[0]}: {act.note}"
    assert entries == ([(cast.reviewer, str(request.pk), done)] if act.by == "reviewer" else [])


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_an_act_mails_the_customer_once(cast: Cast, act: Act) -> None:
    request = factories.submit(cases.in_review(cast.customer))
    assert mails(request) == ["refund_received"]

    act.do(cast, request)

    assert mails(request) == ["refund_received", *act.mail]
    notice = Notice.objects.latest("id")
    assert notice.recipient == cast.customer
    assert notice.context["answer"] == (act.note if act.name == "reject" else "")
    assert notice.context["lapse_cause"] == (act.note if act.name == "expire" else "")
    assert Job.objects.filter(kind="send_mail").count() == 2


def test_a_request_leaves_its_entry_with_the_facts_before_it_closed_the_application(cast: Cast) -> None:
    certificate = cases.in_review(cast.customer, state="pending_verification", submitted_at=NOON - HOUR)

    request = factories.submit(certificate)

    [entry] = AuditEntry.objects.all()
    assert (entry.by, entry.at, entry.act, entry.note) == (cast.customer, NOON, "requested", "no_need")
    assert entry.detail["facts"]["submitted_at"] == (NOON - HOUR).isoformat()
    assert entry.detail["rule"] == request.rule


def test_what_the_policy_approves_is_written_down_as_done_by_nobody(cast: Cast) -> None:
    request = factories.submit(factories.certificate(cast.customer))
    factories.pay_out(at=LATER)

    entries = AuditEntry.objects.order_by("id").values_list("act", "by", "at")
    assert list(entries) == [
        ("requested", cast.customer.pk, NOON),
        ("approved", None, NOON),
        ("money_ordered", None, NOON),
        ("paying", None, LATER),
        ("refunded", None, LATER),
    ]
    assert mails(request) == ["refund_refunded"]
    assert not LogEntry.objects.exists()


def test_giving_up_leaves_its_entries_and_mail(cast: Cast) -> None:
    request = factories.submit(factories.certificate(cast.customer, payments={"alipay": 120_000}))
    payout = Payout.objects.get()
    record_failed(payout.pk, "account closed", by=cast.cashier, at=LATER)

    fail_refund(request.pk, reason="account closed", by=cast.cashier, at=LATER)

    assert acts(request) == ["requested", "approved", "money_ordered", "paying", "payment_failed", "failed"]
    assert acts(payout) == ["record_failed"]
    last = AuditEntry.objects.latest("id")
    assert (last.by, last.at, last.note, last.detail["policy"]) == (cast.cashier, LATER, "account closed", "intl-2021")
    assert mails(request) == ["refund_failed"]
    assert [str(entry.content_type.model) for entry in LogEntry.objects.order_by("id")] == ["payout", "refundrequest"]


@pytest.mark.parametrize("answer", ["closed", "issued"])
def test_an_authoritys_answer_leaves_an_entry_of_the_certificate_and_one_of_the_request(
    cast: Cast, answer: str
) -> None:
    certificate = cases.at_authority(cast.customer)
    request = factories.submit(certificate)

    if answer == "closed":
        record_closed(certificate.pk, by=cast.reviewer, at=LATER)
    else:
        record_issued(certificate.pk, factories.handover(), by=cast.reviewer, at=LATER)

    assert acts(certificate) == ["application_closed" if answer == "closed" else "issued"]
    assert acts(request)[2:] == ["money_ordered" if answer == "closed" else "lapsed"]
    assert LogEntry.objects.get().user == cast.reviewer


def test_a_customer_without_an_address_is_mailed_nothing(cast: Cast) -> None:
    cast.customer.email = ""
    cast.customer.save()

    factories.submit(cases.in_review(cast.customer))

    assert not Notice.objects.exists()
    assert not Job.objects.filter(kind="send_mail").exists()
