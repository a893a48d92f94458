"""What ends a request without anybody deciding it: time, and an authority that issued after all."""

import pytest

from certificates.exceptions import NotAllowed, NothingAwaited
from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from certificates.states import CertificateState
from core.models import User
from payments.models import Payout
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, lapse_overdue, reject_refund, steps
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, anew, everything

pytestmark = pytest.mark.django_db


def issued_unannounced(certificate: Certificate) -> None:
    """Issued by a path that told nobody."""
    rows = Certificate.objects.filter(pk=certificate.pk)
    rows.update(state=CertificateState.VALIDATING_APPLICATION)
    rows.update(state=CertificateState.ISSUED, issued_at=NOON + HOUR, not_after=NOON + 365 * DAY)


# --- The worker's round ------------------------------------------------------------------------


@pytest.mark.parametrize("build", [cases.in_review, factories.revoked], ids=["unissued", "revoked"])
def test_a_request_lapses_when_its_certificate_expires(customer: User, build: cases.Build) -> None:
    certificate = build(customer)
    request = factories.submit(certificate)
    end = certificate.expires_at

    assert lapse_overdue(at=end - cases.HOUR) == 0
    assert lapse_overdue(at=end) == 1

    lapsed = anew(request)
    assert (lapsed.state, lapsed.lapse_cause, lapsed.ended_at) == (RequestState.LAPSED, "expired", end)
    assert (anew(certificate).hold, anew(certificate).state) == ("", certificate.state)


def test_a_request_lapses_when_its_certificate_was_issued_meanwhile(customer: User) -> None:
    certificate = cases.in_review(customer)
    request = factories.submit(certificate)
    issued_unannounced(certificate)

    assert lapse_overdue(at=NOON) == 0
    assert lapse_overdue(at=NOON + HOUR) == 1

    assert (anew(request).state, anew(request).lapse_cause) == (RequestState.LAPSED, "issued")


def test_the_issue_before_a_revocation_lapses_nothing(customer: User) -> None:
    factories.submit(factories.revoked(customer))
    overdue = cases.in_review(customer)
    factories.submit(overdue)
    issued_unannounced(overdue)

    # Nor does it take the place of one that is to lapse.
    assert lapse_overdue(at=NOON + DAY, limit=1) == 1
    assert lapse_overdue(at=NOON + DAY) == 0


def test_only_undecided_requests_lapse(customer: User, reviewer: User) -> None:
    decided, rejected, cancelled = (factories.submit(cases.in_review(customer)) for _ in range(3))
    approve_refund(decided.pk, seen=factories.seen(decided), by=reviewer, at=NOON)
    reject_refund(rejected.pk, answer="No.", seen=factories.seen(rejected), by=reviewer, at=NOON)
    cancel_refund(cancelled.pk, by=customer, at=NOON)
    paid = factories.submit(factories.certificate(customer, payments={"alipay": 1}))
    before = everything()

    assert lapse_overdue(at=NOON + 400 * DAY) == 0

    assert everything() == before
    assert anew(paid).state == RequestState.APPROVED


def test_a_round_ends_at_its_limit_and_the_next_goes_on(customer: User) -> None:
    requests = [factories.submit(cases.in_review(customer)) for _ in range(3)]
    later = NOON + 400 * DAY

    assert lapse_overdue(at=later, limit=2) == 2
    assert [anew(request).state for request in requests] == ["lapsed", "lapsed", "under_review"]
    assert lapse_overdue(at=later, limit=2) == 1
    assert lapse_overdue(at=later, limit=2) == 0


def test_a_request_that_was_decided_while_the_round_went_on_is_left_alone(
    customer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = factories.submit(cases.in_review(customer))
    lock = steps.lock

    def cancelled_just_before(request_id: int) -> tuple[Certificate, RefundRequest]:
        monkeypatch.setattr(steps, "lock", lock)
        cancel_refund(request.pk, by=customer, at=NOON)
        return lock(request_id)

    monkeypatch.setattr(steps, "lock", cancelled_just_before)

    assert lapse_overdue(at=NOON + 400 * DAY) == 0
    assert anew(request).state == RequestState.CANCELLED


def test_after_lapsing_by_issue_the_customer_revokes_and_asks_again(customer: User) -> None:
    certificate = cases.in_review(customer)
    factories.submit(certificate)
    issued_unannounced(certificate)
    lapse_overdue(at=NOON + DAY)
    Certificate.objects.filter(pk=certificate.pk).update(
        state=CertificateState.REVOKED, revocation_requested_at=NOON + DAY, revoked_at=NOON + DAY
    )

    again = factories.submit(certificate, at=NOON + 2 * DAY)

    assert (again.rule, again.state) == ("issued-revoked", "under_review")


# --- An authority's answer ---------------------------------------------------------------------


def test_closed_lets_the_money_of_an_approved_request_go(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer)
    request = factories.submit(certificate)

    record_closed(certificate.pk, by=reviewer, at=NOON + HOUR)

    closed = anew(certificate)
    assert (closed.state, closed.hold, closed.submitted_at, closed.closing_since) == (
        "pending_application",
        request.reference,
        None,
        None,
    )
    [payout] = Payout.objects.all()
    assert (payout.reference, payout.amount, payout.approved_by) == (request.reference, 120_000, None)
    factories.pay_out()
    assert (anew(request).state, anew(certificate).state) == ("refunded", "refunded")


def test_closed_moves_nothing_while_the_request_is_under_review(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, bought=6 * DAY)
    request = factories.submit(certificate)

    record_closed(certificate.pk, by=reviewer, at=NOON + HOUR)

    assert anew(request).state == RequestState.UNDER_REVIEW
    assert not Payout.objects.exists()


@pytest.mark.parametrize("bought", [DAY, 6 * DAY], ids=["approved", "under-review"])
def test_issued_after_all_lapses_the_request_and_moves_no_money(customer: User, reviewer: User, bought: object) -> None:
    certificate = cases.at_authority(customer, bought=bought)
    request = factories.submit(certificate)

    record_issued(certificate.pk, factories.handover(at=NOON + HOUR), by=reviewer, at=NOON + HOUR)

    assert (anew(request).state, anew(request).lapse_cause) == (RequestState.LAPSED, "issued")
    issued = anew(certificate)
    assert (issued.state, issued.hold, issued.closing_since) == ("issued", "", None)
    assert (issued.issued_at, issued.validated_at, issued.not_after) == (
        NOON + HOUR,
        NOON + HOUR,
        NOON + HOUR + 365 * DAY,
    )
    assert not Payout.objects.exists()
    assert "refund_lapsed" in cases.mails(request)


def test_an_approved_request_waits_for_the_answer_beyond_the_certificates_end(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer)
    request = factories.submit(certificate)
    later = certificate.expires_at + DAY

    assert lapse_overdue(at=later) == 0
    record_closed(certificate.pk, by=reviewer, at=later)

    assert Payout.objects.filter(reference=request.reference).count() == 1


def test_an_answer_is_recorded_once(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer)
    factories.submit(certificate)
    record_closed(certificate.pk, by=reviewer, at=NOON)
    before = everything()

    with pytest.raises(NothingAwaited):
        record_closed(certificate.pk, by=reviewer, at=NOON)
    with pytest.raises(NothingAwaited):
        record_issued(certificate.pk, factories.handover(), by=reviewer, at=NOON)

    assert everything() == before


def test_no_answer_is_recorded_that_nobody_asked_for(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer)

    with pytest.raises(NothingAwaited):
        record_closed(certificate.pk, by=reviewer, at=NOON)


@pytest.mark.parametrize("who", ["customer", "cashier", "clerk"])
def test_an_answer_is_recorded_only_with_the_permission(
    customer: User, who: str, request: pytest.FixtureRequest
) -> None:
    certificate = cases.at_authority(customer)
    factories.submit(certificate)
    person = request.getfixturevalue(who)

    with pytest.raises(NotAllowed):
        record_closed(certificate.pk, by=person, at=NOON)
    with pytest.raises(NotAllowed):
        record_issued(certificate.pk, factories.handover(), by=person, at=NOON)


def test_nobody_records_an_answer_for_their_own_certificate() -> None:
    """It would let their own money go."""
    owner = factories.UserFactory(is_staff=True, is_superuser=True)
    certificate = cases.at_authority(owner)
    factories.submit(certificate)

    with pytest.raises(NotAllowed):
        record_closed(certificate.pk, by=owner, at=NOON)
    assert not Payout.objects.exists()
