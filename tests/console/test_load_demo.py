"""The demo: complete on any day, made by the services alone, and never over anybody's real data."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command
from django.db import models
from pytest_django import Settings

from certificates.models import Certificate, Domain
from certificates.services import may_record_answer
from certificates.states import CertificateState, DomainType, ShownState, Source, shown_state
from certificates.x509 import read_certificate
from console.demo import loading
from console.demo.loading import load_demo
from console.demo.people import PASSWORD
from console.demo.stories import STORIES, StoryWentWrong
from core.guards import missing_guards
from core.models import AuditEntry, Job, User
from core.money import plain_amount
from payments.models import BankBatch, Difference, LedgerEntry, Payment, Payout
from payments.services import may_record, may_send
from payments.states import Channel, PayoutState
from refunds.models import RefundRequest
from refunds.rules.assess import EVENTS, Facts, Warning, assess
from refunds.rules.assess_lines import read_line
from refunds.rules.facts import facts_of
from refunds.rules.policies import POLICIES
from refunds.services import candidates_of, lapse_overdue, may_decide
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON

ACCOUNTS = ["customer", "neighbour", "reviewer", "cashier", "clerk", "admin"]

# Written in the service's zone.
MOMENTS = [
    "2026-11-23T12:00:00",
    "2027-01-01T00:00:00",
    "2026-02-10T08:00:00",  # Spring Festival ahead, with make-up workdays
    "2026-02-24T00:00:01",
    "2027-02-28T23:30:00",
    "2028-02-29T12:00:00",
    "2026-10-08T06:00:00",  # after National Day week
]


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


def certificates_of(name: str) -> list[Certificate]:
    return list(Certificate.objects.filter(account__username=name).select_related("order", "product"))


def told(**options: object) -> str:
    output = StringIO()
    call_command("load_demo", stdout=output, **options)
    return output.getvalue()


# --- Whatever the day ----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("moment", MOMENTS)
def test_customer_has_every_rule_state_and_warning_on_any_day(moment: str):
    at = shanghai(moment)
    load_demo(at=at)
    own = certificates_of("customer")
    assessments = [assess(facts_of(certificate), at) for certificate in own]
    assert {assessment.rule for assessment in assessments} == {
        row.rule for row in POLICIES[project.REFUND_POLICY].table.rows
    }
    assert {warning for assessment in assessments for warning in assessment.warnings} == set(Warning)
    assert {certificate.state for certificate in own} == set(CertificateState)
    assert {shown_state(each.state, each.expires_at, at) for each in own} == set(ShownState)
    assert {request.state for request in RefundRequest.objects.filter(account__username="customer")} == {
        RequestState.UNDER_REVIEW,
        RequestState.APPROVED,
        RequestState.PAYING,
        RequestState.PAYMENT_FAILED,
        RequestState.REFUNDED,
        RequestState.REJECTED,
        RequestState.CANCELLED,
        RequestState.LAPSED,
        RequestState.FAILED,
    }
    assert lapse_overdue(at=at) == 0
    assert not times_after(at)


def times_after(at: datetime) -> list[str]:
    """Everything that happened later than the demo was loaded, but for the ends of periods."""
    ends = {"service_ends_at", "not_after", "expires_at"}
    found = []
    for model in (Certificate, Payment, RefundRequest, LedgerEntry, AuditEntry):
        for field in model._meta.concrete_fields:
            if isinstance(field, models.DateTimeField) and field.name not in ends:
                late = model.objects.filter(**{f"{field.name}__gt": at}).count()
                found += [f"{model.__name__}.{field.name}: {late}"] * bool(late)
    return found


def as_line(facts: Facts, at: datetime) -> bytes:
    moments = {name: getattr(facts, name) for name in ("purchased_at", "expires_at", *EVENTS)}
    values = {
        "at": at.isoformat(),
        "source": facts.source,
        "free": facts.free,
        "paid": plain_amount(facts.paid, facts.currency),
        "voucher": plain_amount(facts.voucher, facts.currency),
        "currency": facts.currency,
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
    }
    return json.dumps(values).encode()


# --- On one day ----------------------------------------------------------------------------------


@pytest.fixture
def demo(db: None) -> None:
    load_demo(at=NOON)


@pytest.mark.usefixtures("demo")
def test_customer_owns_45_certificates_or_more_and_neighbour_a_handful():
    assert len(certificates_of("customer")) >= 45
    assert 5 <= len(certificates_of("neighbour")) <= 10


@pytest.mark.usefixtures("demo")
def test_facts_of_every_certificate_are_possible():
    for certificate in Certificate.objects.select_related("order", "product"):
        facts = facts_of(certificate)
        assert read_line(as_line(facts, NOON)) == (facts, NOON)


@pytest.mark.usefixtures("demo")
def test_every_issued_certificate_is_a_real_one_for_its_domains():
    issued = Certificate.objects.exclude(issued_at=None).prefetch_related("domains")
    assert len(issued) >= 25
    for certificate in issued:
        handover = read_certificate(certificate.pem)
        assert [domain.name for domain in certificate.domains.all()] == list(handover.names)
        assert (certificate.not_before, certificate.not_after) == (handover.not_before, handover.not_after)
        assert (certificate.serial, certificate.fingerprint) == (handover.serial, handover.fingerprint)


@pytest.mark.usefixtures("demo")
def test_the_demo_shows_all_kinds_of_orders():
    assert {payment.channel for payment in Payment.objects.all()} == set(Channel)
    assert {
        certificate.product.domain_type for certificate in certificates_of("customer") if certificate.product
    } == set(DomainType)
    orders = {certificate.order for certificate in certificates_of("customer") if certificate.order}
    assert max(order.certificates.count() for order in orders) >= 4
    assert max(order.order_payments.count() for order in orders) >= 2
    assert any(0 < order.voucher_amount < order.list_amount for order in orders)
    assert len({order.currency for order in orders}) > 1
    assert Certificate.objects.filter(source=Source.UPLOADED).count() >= 3
    assert Domain.objects.filter(position__gte=6).exists()


@pytest.mark.usefixtures("demo")
def test_every_domain_is_of_the_names_kept_for_examples():
    for name in Domain.objects.values_list("name", flat=True):
        assert name.endswith(("example.com", "example.net", "example.org"))
        assert name.isascii()
        assert name == name.lower()


@pytest.mark.usefixtures("demo")
def test_requests_were_made_by_the_services():
    for request in RefundRequest.objects.all():
        acts = list(AuditEntry.objects.filter(subject=f"refunds.refundrequest:{request}").order_by("id"))
        assert acts[0].act == "requested"
        assert [act.at for act in acts] == sorted(act.at for act in acts)
        assert acts[-1].detail["state"] == request.state


@pytest.mark.usefixtures("demo")
def test_no_payout_waits_for_the_worker():
    assert not Job.objects.filter(kind="pay_payout", state=Job.State.QUEUED).exists()


@pytest.mark.usefixtures("demo")
def test_the_payments_desk_has_something_of_everything():
    assert set(Payout.objects.values_list("state", flat=True)) == set(PayoutState)
    assert Payout.objects.get(state=PayoutState.UNKNOWN).handed_over_at is not None
    assert BankBatch.objects.get().lines.count() == 1
    found = Difference.objects.order_by("id")
    assert [any(candidate.is_request for candidate in candidates_of(each)) for each in found] == [False, True]


@pytest.mark.usefixtures("demo")
def test_every_account_signs_in_with_the_password_of_the_demo():
    people = User.objects.order_by("id")
    assert [user.username for user in people] == ACCOUNTS
    assert all(user.is_demo and user.is_active and user.check_password(PASSWORD) for user in people)


@pytest.mark.usefixtures("demo")
def test_each_member_of_staff_may_do_their_own_part():
    people = {user.username: user for user in User.objects.all()}
    request = RefundRequest.objects.filter(account=people["neighbour"]).latest("id")
    payout = Payout.objects.select_related("payment").get(state=PayoutState.SENT, channel=Channel.BANK)
    assert [name for name in ACCOUNTS if may_decide(request, people[name])] == ["reviewer", "admin"]
    assert [name for name in ACCOUNTS if may_record(payout, people[name])] == ["cashier", "admin"]
    assert [name for name in ACCOUNTS if may_send(payout, people[name])] == ["cashier", "admin"]
    assert [name for name in ACCOUNTS if people[name].has_perm("payments.record_payout")] == ["cashier", "admin"]
    assert [name for name in ACCOUNTS if may_record_answer(people[name])] == ["reviewer", "admin"]
    assert [name for name in ACCOUNTS if people[name].is_staff] == ["reviewer", "cashier", "clerk", "admin"]
    assert [name for name in ACCOUNTS if people[name].is_superuser] == ["admin"]
    for name in ("reviewer", "cashier", "clerk"):
        assert people[name].has_perms(["refunds.view_refundrequest", "payments.view_payout", "core.view_auditentry"])
        assert not people[name].has_perm("refunds.change_refundrequest")
    assert all(
        permission.rpartition(".")[2].startswith("view_") for permission in people["clerk"].get_all_permissions()
    )


# --- Where it may be loaded ------------------------------------------------------------------------


def test_load_refuses_outside_the_demo(db: None, settings: Settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="DEMO=1"):
        told()
    assert not User.objects.exists()


@pytest.mark.parametrize("reset", [False, True])
def test_load_refuses_a_database_with_an_account_of_its_own(reset: bool, customer: User):
    with pytest.raises(CommandError, match="customer"):
        told(reset=reset)
    assert User.objects.get() == customer
    assert not Certificate.objects.exists()


def test_a_second_load_says_so_and_changes_nothing(db: None):
    assert "is loaded: 6 accounts" in told()
    before = snapshot()
    assert "already" in told()
    assert snapshot() == before


def test_load_says_nothing_when_told_to_be_quiet(db: None):
    assert told(verbosity=0) == ""
    assert told(verbosity=0) == ""


def snapshot() -> list[object]:
    return [
        list(model.objects.order_by("pk").values()) for model in (User, Certificate, RefundRequest, AuditEntry, Job)
    ]


def test_a_load_that_goes_wrong_leaves_nothing(db: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "play", stop)
    with pytest.raises(RuntimeError):
        load_demo(at=NOON)
    assert not User.objects.exists()
    assert not Certificate.objects.exists()


def stop(*_: object) -> None:
    raise RuntimeError


def test_a_story_that_ends_otherwise_is_noticed(db: None, monkeypatch: pytest.MonkeyPatch):
    wrong = replace(STORIES["cancelled"], ends_as=RequestState.REJECTED)
    monkeypatch.setattr("console.demo.stories.STORIES", {"cancelled": wrong})
    with pytest.raises(StoryWentWrong, match="cancelled"):
        load_demo(at=NOON)
    assert not User.objects.exists()


# --- Rebuilding ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_reset_rebuilds_the_demo_and_leaves_the_guards_in_place():
    load_demo(at=NOON - timedelta(days=400))
    before = set(Certificate.objects.values_list("instance_id", flat=True))
    load_demo(at=NOON, reset=True)
    after = set(Certificate.objects.values_list("instance_id", flat=True))
    assert len(after) == len(before)
    assert not before & after
    assert missing_guards() == []
    # The permissions were made anew, and are the right people's.
    assert User.objects.get(username="reviewer").has_perm("refunds.review_refund")


@pytest.mark.django_db(transaction=True)
def test_reset_fills_an_empty_database():
    assert "is loaded" in told(reset=True)
    assert len(certificates_of("customer")) >= 45


@pytest.mark.django_db(transaction=True)
def test_reset_refuses_once_somebody_real_has_come_and_leaves_all_as_it_was():
    load_demo(at=NOON)
    factories.UserFactory(username="somebody")
    before = snapshot()
    with pytest.raises(CommandError, match="somebody"):
        told(reset=True)
    assert snapshot() == before


@pytest.mark.django_db(transaction=True)
def test_a_reset_that_goes_wrong_keeps_the_old_demo(monkeypatch: pytest.MonkeyPatch):
    load_demo(at=NOON)
    before = snapshot()
    monkeypatch.setattr(loading, "play", stop)
    with pytest.raises(RuntimeError):
        load_demo(at=NOON, reset=True)
    assert snapshot() == before
    assert missing_guards() == []
