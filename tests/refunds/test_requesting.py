"""What happens, and what does not, when a customer asks for a refund."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError

from certificates.exceptions import CannotEnd, CertificateHeld
from certificates.models import Certificate
from certificates.states import CertificateState
from core.business_days import CALENDAR_VERSION
from core.models import User
from payments.models import Payment, Payout
from refunds.exceptions import (
    AlreadyRequested,
    InvalidReason,
    MayNotRequest,
    NotRefundable,
    SummaryChanged,
)
from refunds.models import Decision, RefundRequest
from refunds.rules.assess import Facts
from refunds.rules.facts import facts_of, moment_of
from refunds.rules.policies import Rule
from refunds.rules.situation import situation_of
from refunds.services import cancel_refund, request_refund
from refunds.services.agreed import Summary, summarise
from refunds.states import Reason, RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, anew, everything

SECOND = timedelta(seconds=1)


def shown(certificate: Certificate, at: datetime = NOON) -> Summary:
    return summarise(situation_of(certificate, at))


def ask(certificate: Certificate, by: User, *, at: datetime = NOON, **typed: Any) -> RefundRequest:
    form = {
        "agreed": shown(certificate, at),
        "form_key": uuid4(),
        "reason": Reason.NO_NEED,
        "reason_text": "",
        **typed,
    }
    return request_refund(certificate.pk, by=by, at=at, **form)


# --- The policy's table ------------------------------------------------------------------------


@pytest.mark.parametrize("rule", cases.REFUSED)
def test_what_the_policy_does_not_support_is_refused_and_stores_nothing(customer: User, rule: Rule) -> None:
    certificate = cases.REFUSED[rule](customer)
    before = everything()

    with pytest.raises(NotRefundable) as refused:
        ask(certificate, customer)

    assert refused.value.assessment.rule == rule
    assert everything() == before


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        (Rule.ISSUED_REVOKED, RequestState.UNDER_REVIEW),
        (Rule.UNISSUED_IMMEDIATE, RequestState.APPROVED),
        (Rule.UNISSUED_MANUAL, RequestState.UNDER_REVIEW),
    ],
)
def test_what_the_policy_supports_is_stored_with_its_grounds(customer: User, rule: Rule, state: str) -> None:
    certificate = cases.SUPPORTED[rule](customer)
    facts = facts_of(certificate)

    request = anew(ask(certificate, customer))

    assert (request.state, request.rule) == (state, rule)
    assert (request.policy, request.calendar_version) == ("intl-2021", CALENDAR_VERSION)
    assert (request.amount, request.currency) == (120_000, "CNY")
    assert (request.account, request.requested_by, request.submitted_at) == (customer, customer, NOON)
    assert request.facts_at_submission == facts
    assert anew(certificate).hold == request.reference


def test_a_request_without_review_is_approved_by_the_policy_and_its_money_ordered_at_once(customer: User) -> None:
    request = ask(factories.certificate(customer, payments={"balance": 70_000, "alipay": 50_000}), customer)

    decision = Decision.objects.get(request=request)
    assert (decision.verdict, decision.by, decision.at, decision.effective_at) == ("approve", None, NOON, NOON)
    payouts = Payout.objects.filter(reference=request.reference).order_by("payment_id")
    assert [(payout.channel, payout.amount, payout.approved_by) for payout in payouts] == [
        ("balance", 70_000, None),
        ("alipay", 50_000, None),
    ]


def test_a_request_with_review_moves_no_money(customer: User) -> None:
    request = ask(cases.in_review(customer), customer)

    assert not Payout.objects.exists()
    assert not Decision.objects.exists()
    assert str(request.review_due) == "2026-12-14"


def test_a_voucher_never_comes_back(customer: User) -> None:
    request = ask(factories.certificate(customer, voucher=30_000), customer)

    assert request.amount == 120_000
    assert [payout.amount for payout in Payout.objects.all()] == [120_000]


def test_one_certificate_of_an_order_takes_back_only_its_own_shares(customer: User) -> None:
    first, second = factories.bought_together(customer, [60_000, 90_000], {"balance": 50_000, "alipay": 100_000})

    request = ask(second, customer)

    shares = list(second.shares.values_list("payment", "amount"))
    assert sum(amount for _, amount in shares) == request.amount == 90_000
    assert list(Payout.objects.order_by("payment_id").values_list("payment", "amount")) == shares
    assert list(Payment.objects.order_by("id").values_list("pk", "ordered_back")) == shares
    ask(first, customer)
    assert dict(Payment.objects.values_list("channel", "ordered_back")) == {"balance": 50_000, "alipay": 100_000}


def test_a_payment_that_paid_nothing_for_the_certificate_gets_nothing(customer: User) -> None:
    first, second = factories.bought_together(customer, [1, 99_999], {"balance": 1, "alipay": 99_999})
    assert first.shares.filter(amount=0).exists()

    request = ask(first, customer)

    [payout] = Payout.objects.all()
    assert (payout.amount, payout.reference) == (1, request.reference)
    assert anew(second).hold == ""


# --- Applications under way --------------------------------------------------------------------


def test_an_application_not_handed_on_is_closed_at_once_and_its_draft_kept(customer: User) -> None:
    certificate = factories.certificate(
        customer,
        state=CertificateState.PENDING_VERIFICATION,
        submitted_at=NOON - HOUR,
        domains=("a.example.com", "b.example.com"),
    )

    request = ask(certificate, customer)

    closed = anew(certificate)
    assert (closed.state, closed.submitted_at, closed.closing_since) == ("pending_application", None, None)
    assert [domain.name for domain in closed.domains.all()] == ["a.example.com", "b.example.com"]
    assert Payout.objects.filter(reference=request.reference).count() == 1


def test_the_facts_stored_are_those_before_the_application_was_closed(customer: User) -> None:
    submitted_at = NOON - HOUR
    certificate = factories.certificate(
        customer, state=CertificateState.PENDING_VERIFICATION, submitted_at=submitted_at, bought=6 * DAY
    )

    request = anew(ask(certificate, customer))

    assert request.facts_at_submission.submitted_at == submitted_at
    assert facts_of(anew(certificate)).submitted_at is None


def test_no_money_is_ordered_while_an_authority_may_still_issue(customer: User) -> None:
    certificate = cases.at_authority(customer)

    request = ask(certificate, customer)

    waiting = anew(certificate)
    assert request.state == RequestState.APPROVED
    assert not Payout.objects.exists()
    assert (waiting.state, waiting.closing_since) == ("validating_application", NOON)


def test_an_earlier_closing_still_unanswered_is_the_one_that_is_awaited(customer: User) -> None:
    earlier = NOON - DAY
    certificate = cases.at_authority(customer, closing_since=earlier)

    ask(certificate, customer)

    assert anew(certificate).closing_since == earlier
    assert not Payout.objects.exists()


def test_a_failed_application_leaves_nothing_to_close(customer: User) -> None:
    certificate = factories.certificate(
        customer, state=CertificateState.VALIDATION_FAILED, failure_cause="no TXT record"
    )

    ask(certificate, customer)

    assert (anew(certificate).state, anew(certificate).closing_since) == ("validation_failed", None)
    assert Payout.objects.count() == 1


# --- The same again ----------------------------------------------------------------------------


def test_the_same_form_again_gives_the_first_request(customer: User) -> None:
    certificate, key = factories.certificate(customer), uuid4()
    first = ask(certificate, customer, form_key=key)
    before = everything()

    again = ask(anew(certificate), customer, form_key=key, at=NOON + DAY)

    assert again == first
    assert everything() == before


def test_the_same_form_gives_its_first_request_even_after_that_was_cancelled(customer: User) -> None:
    certificate, key = cases.in_review(customer), uuid4()
    first = ask(certificate, customer, form_key=key)
    cancel_refund(first.pk, by=customer, at=NOON)

    assert ask(anew(certificate), customer, form_key=key) == first
    assert RefundRequest.objects.count() == 1


@pytest.mark.parametrize("build", [factories.certificate, cases.in_review])
def test_another_form_while_one_is_live_is_refused(customer: User, build: Any) -> None:
    certificate = build(customer)
    first = ask(certificate, customer)
    before = everything()

    with pytest.raises(AlreadyRequested) as refused:
        ask(anew(certificate), customer)

    assert refused.value.request == first
    assert everything() == before


def test_a_refunded_certificate_is_never_refunded_again(customer: User) -> None:
    certificate = factories.certificate(customer)
    ask(certificate, customer)
    factories.pay_out()

    with pytest.raises(AlreadyRequested):
        ask(anew(certificate), customer)


def test_the_database_itself_holds_one_live_request_per_certificate(customer: User) -> None:
    first = ask(cases.in_review(customer), customer)
    first.pk, first.reference, first.form_key = None, "RF-another", uuid4()
    first._state.adding = True

    with pytest.raises(IntegrityError):
        first.save(force_insert=True)


# --- What was agreed to ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "issued-revoked"},
        {"review": "manual"},
        {"paid": 1},
        {"voucher": 1},
        {"amount": 120_001},
        {"currency": "USD"},
        {"channels": (("alipay", 120_000),)},
        {"warnings": ("may-not-finish-before-expiry",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whoever_agreed_to_something_else_is_shown_what_is_so_now(customer: User, change: dict[str, Any]) -> None:
    certificate = factories.certificate(customer)
    agreed = Summary(**{**shown(certificate).__dict__, **change})
    before = everything()

    with pytest.raises(SummaryChanged) as refused:
        ask(certificate, customer, agreed=agreed)

    assert refused.value.now == shown(certificate)
    assert everything() == before


def test_a_form_opened_before_midnight_is_judged_after_it(customer: User) -> None:
    midnight = datetime.fromisoformat("2026-11-24T00:00:00+08:00")
    certificate = factories.certificate(customer, bought=5 * DAY)
    opened = shown(certificate, midnight - SECOND)

    with pytest.raises(SummaryChanged) as refused:
        ask(certificate, customer, agreed=opened, at=midnight)

    assert (opened.review, refused.value.now.review) == ("none", "manual")
    assert not RefundRequest.objects.exists()


# --- Who may, and with which words -------------------------------------------------------------


def test_nobody_asks_for_another_accounts_certificate(customer: User, neighbour: User) -> None:
    certificate = factories.certificate(customer)
    admin = factories.UserFactory(username="admin", is_staff=True, is_superuser=True)

    for person in (neighbour, admin):
        with pytest.raises(MayNotRequest):
            ask(certificate, person)
    assert not RefundRequest.objects.exists()


def test_an_account_that_was_closed_may_not_ask(customer: User) -> None:
    certificate = factories.certificate(customer)
    customer.is_active = False
    customer.save()

    with pytest.raises(MayNotRequest):
        ask(certificate, customer)


def test_a_deleted_certificate_cannot_be_asked_for(customer: User) -> None:
    certificate = factories.revoked(customer, deleted_at=NOON - HOUR)

    with pytest.raises(MayNotRequest):
        ask(certificate, customer)


def test_a_certificate_held_for_somebody_else_stays_so(customer: User) -> None:
    certificate = factories.certificate(customer, hold="somebody")
    before = everything()

    with pytest.raises(CertificateHeld):
        ask(certificate, customer)

    assert everything() == before


def test_no_money_is_ordered_for_a_certificate_that_could_never_become_refunded(customer: User) -> None:
    contradictory = factories.certificate(customer, state=CertificateState.ISSUED)  # and no time of issue

    with pytest.raises(CannotEnd):
        ask(contradictory, customer)

    assert not RefundRequest.objects.exists()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("because", ""),
        ("", ""),
        (Reason.OTHER, ""),
        (Reason.OTHER, " \n\t "),
        (Reason.OTHER, "x" * 1001),
    ],
    ids=["unknown", "none", "other-without-text", "other-with-blanks", "1001-characters"],
)
def test_a_reason_that_is_none_is_refused_and_stores_nothing(customer: User, reason: str, text: str) -> None:
    certificate = factories.certificate(customer)
    before = everything()

    with pytest.raises(InvalidReason):
        ask(certificate, customer, reason=reason, reason_text=text)

    assert everything() == before


@pytest.mark.parametrize(
    ("reason", "text", "stored"),
    [
        (Reason.OTHER, "x", "x"),
        (Reason.OTHER, "证" * 1000, "证" * 1000),
        (Reason.OTHER, f"  {'x' * 1000}\n", "x" * 1000),
        (Reason.NO_NEED, "left over from another choice", ""),
        (Reason.STUCK, "x" * 1001, ""),
    ],
    ids=["1-character", "1000-characters", "space-around", "text-without-other", "long-text-without-other"],
)
def test_a_customers_own_words_are_kept_with_other_alone(customer: User, reason: str, text: str, stored: str) -> None:
    request = anew(ask(factories.certificate(customer), customer, reason=reason, reason_text=text))

    assert (request.reason, request.reason_text) == (reason, stored)


# --- Clocks that disagree ----------------------------------------------------------------------


def test_what_was_stored_while_a_submission_waited_for_the_lock_has_happened(customer: User) -> None:
    """The submission's clock was read first, the issue was stored first: no money for an issued certificate."""
    opened = shown(factories.certificate(customer))
    certificate = factories.issued(customer, ago=-SECOND, bought=DAY)

    with pytest.raises(NotRefundable) as refused:
        ask(certificate, customer, agreed=opened)

    assert refused.value.assessment.rule == Rule.REVOKE_FIRST
    assert not Payout.objects.exists()


def test_a_moment_is_its_own_or_that_of_the_newest_event() -> None:
    facts = Facts(
        source="purchased",
        free=False,
        paid=1,
        voucher=0,
        currency="CNY",
        purchased_at=NOON - DAY,
        expires_at=NOON + DAY,
        issued_at=NOON,
    )

    assert moment_of(facts, NOON + SECOND) == NOON + SECOND
    assert moment_of(facts, NOON - SECOND) == NOON
