"""Money that came back after it was paid: what follows for request, certificate and customer, in every order."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from certificates.models import Certificate
from certificates.states import CertificateState
from core import audit
from core.models import AuditEntry, Notice, User
from payments.exceptions import PayoutMoved
from payments.models import Payment, Payout
from payments.services import not_possible, record_failed, record_paid, record_returned, try_again
from refunds.exceptions import RequestMoved
from refunds.models import RefundRequest
from refunds.services import approve_refund, lapse_overdue, payout_settled
from refunds.states import RequestState
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, acts, anew, everything, mails

pytestmark = pytest.mark.django_db

LATER = NOON + 3 * DAY


@pytest.fixture(autouse=True)
def nothing_is_broken(db: None) -> Iterator[None]:
    yield
    assert broken() == {}


def ordered(account: User, **payments: int) -> tuple[RefundRequest, dict[str, Payout]]:
    """A request approved by the policy, and its payouts by channel."""
    request = factories.submit(factories.certificate(account, payments=payments or {"alipay": 120_000}))
    return request, {payout.channel: payout for payout in Payout.objects.filter(reference=request.reference)}


def soon() -> datetime:
    """An hour after the last thing that happened."""
    return AuditEntry.objects.latest("at").at + HOUR


def paid(payout: Payout, by: User) -> Payout:
    """Paid for the first time, or made good."""
    return record_paid(payout.pk, f"outside-{payout.pk}-{payout.state}", by=by, at=soon())


def back(payout: Payout, by: User, at: datetime | None = None) -> Payout:
    return record_returned(payout.pk, "no such account", by=by, at=at or soon())


def stands(request: RefundRequest) -> tuple[str, str, str]:
    """The request's state, its certificate's, and what holds that."""
    certificate = anew(request.certificate)
    return anew(request).state, certificate.state, certificate.hold


# --- What it was before ------------------------------------------------------------------------

BEFORE: dict[str, cases.Build] = {
    CertificateState.PENDING_APPLICATION: lambda account: cases.in_review(account, payments={"alipay": 120_000}),
    CertificateState.VALIDATION_FAILED: lambda account: cases.in_review(
        account, payments={"alipay": 120_000}, state="validation_failed", failure_cause="the CSR is broken"
    ),
    CertificateState.REVOKED: lambda account: factories.revoked(account, payments={"alipay": 120_000}),
}


@pytest.mark.parametrize("state", BEFORE)
def test_certificate_is_what_it_was_and_held_until_the_money_is_made_good(
    customer: User, reviewer: User, cashier: User, state: str
) -> None:
    request = factories.submit(BEFORE[state](customer))
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON)
    payout = paid(Payout.objects.get(), cashier)
    assert stands(request) == ("refunded", "refunded", "")

    back(payout, cashier)

    assert stands(request) == ("payment_failed", state, request.reference)
    assert anew(request).ended_at is None
    assert Payment.objects.get().ordered_back == 0
    again = paid(anew(payout), cashier)
    assert (again.follows, again.approved_by) == (payout, reviewer)
    assert stands(request) == ("refunded", "refunded", "")
    assert Payment.objects.get().ordered_back == 120_000
    assert anew(request.certificate).state_before_refund == state


def test_certificate_that_has_expired_meanwhile_is_refunded_all_the_same(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = paid(payouts["alipay"], cashier)
    end = request.certificate.expires_at + DAY

    record_returned(payout.pk, "no such account", by=cashier, at=end)

    assert lapse_overdue(at=end + DAY) == 0
    assert stands(request) == ("payment_failed", "pending_application", request.reference)
    record_paid(payout.pk, "once more", by=cashier, at=end + DAY)
    assert stands(request) == ("refunded", "refunded", "")


# --- While the other part… ---------------------------------------------------------------------


def test_one_part_comes_back_while_the_other_is_under_way(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    returned = paid(payouts["alipay"], cashier)
    assert anew(request).state == RequestState.PAYING

    back(returned, cashier)
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(payouts["bank"], cashier)
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(anew(returned), cashier)

    assert stands(request) == ("refunded", "refunded", "")
    assert acts(request)[3:] == ["paying", "returned", "paying", "refunded"]


def test_one_part_comes_back_while_the_other_has_failed(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    returned = paid(payouts["alipay"], cashier)
    record_failed(payouts["bank"].pk, "account closed", by=cashier, at=NOON)
    assert anew(request).state == RequestState.PAYMENT_FAILED

    back(returned, cashier)
    assert acts(request)[3:] == ["paying", "payment_failed", "returned"]
    try_again(returned.pk, by=cashier, at=soon())
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(anew(payouts["bank"]), cashier)

    assert anew(request).state == RequestState.PAYING
    paid(Payout.objects.get(follows=returned), cashier)
    assert stands(request) == ("refunded", "refunded", "")


def test_one_part_comes_back_after_both_were_paid(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    for payout in payouts.values():
        paid(payout, cashier)

    back(anew(payouts["bank"]), cashier)

    assert stands(request) == ("payment_failed", "pending_application", request.reference)
    assert sorted(Payment.objects.values_list("channel", "ordered_back")) == [("alipay", 70_000), ("bank", 0)]


def test_both_parts_come_back_one_after_the_other(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    for payout in payouts.values():
        paid(payout, cashier)

    for payout in payouts.values():
        back(payout, cashier)

    assert stands(request) == ("payment_failed", "pending_application", request.reference)
    assert acts(request).count("returned") == 2
    for payout in payouts.values():
        paid(anew(payout), cashier)
    assert stands(request) == ("refunded", "refunded", "")


def test_what_was_made_good_comes_back_again(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = paid(payouts["alipay"], cashier)
    for _ in range(3):
        back(payout, cashier)
        assert stands(request) == ("payment_failed", "pending_application", request.reference)
        payout = paid(anew(payout), cashier)
        assert stands(request) == ("refunded", "refunded", "")

    assert [each.state for each in Payout.objects.order_by("id")] == ["returned"] * 3 + ["paid"]
    assert [each.pk for each in Payout.objects.current()] == [payout.pk]
    assert Payment.objects.get().ordered_back == 120_000


def test_successor_fails_and_is_sent_again_under_its_own_key(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    returned = back(paid(payouts["alipay"], cashier), cashier)
    successor = try_again(returned.pk, by=cashier, at=soon())
    assert anew(request).state == RequestState.PAYING

    record_failed(successor.pk, "account closed", by=cashier, at=soon())
    assert anew(request).state == RequestState.PAYMENT_FAILED
    paid(anew(successor), cashier)

    assert stands(request) == ("refunded", "refunded", "")
    assert Payout.objects.count() == 2


def test_nothing_came_back_of_a_request_that_awaits_no_money(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = back(paid(payouts["alipay"], cashier), cashier)
    not_possible(payout.pk, "no way", by=cashier, at=LATER)
    before = everything()

    with pytest.raises(RequestMoved):
        payout_settled(anew(payout), at=LATER)

    assert everything() == before
    assert anew(request).state == RequestState.FAILED


# --- Not possible ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", BEFORE)
def test_what_cannot_be_made_good_fails_and_frees_the_certificate(
    customer: User, reviewer: User, cashier: User, state: str
) -> None:
    request = factories.submit(BEFORE[state](customer))
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON)
    payout = back(paid(Payout.objects.get(), cashier), cashier)

    not_possible(payout.pk, "no account any more", by=cashier, at=LATER)

    assert stands(request) == ("failed", state, "")
    assert anew(request).ended_at == LATER
    assert Payment.objects.get().ordered_back == 0
    with pytest.raises(PayoutMoved):
        paid(anew(payout), cashier)
    with pytest.raises(PayoutMoved):
        try_again(payout.pk, by=cashier, at=LATER)


def test_after_that_the_customer_asks_again_and_is_paid(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = back(paid(payouts["alipay"], cashier), cashier)
    not_possible(payout.pk, "no account any more", by=cashier, at=LATER)

    again = factories.submit(request.certificate, at=LATER)
    paid(Payout.objects.get(reference=again.reference), cashier)

    assert (anew(request).state, *stands(again)) == ("failed", "refunded", "refunded", "")


@pytest.mark.parametrize("other", ["paid", "ordered"])
def test_it_is_not_impossible_while_another_part_is_paid_or_under_way(
    customer: User, cashier: User, other: str
) -> None:
    _, payouts = ordered(customer, alipay=70_000, bank=50_000)
    returned = paid(payouts["alipay"], cashier)
    if other == "paid":
        paid(payouts["bank"], cashier)
    back(returned, cashier)
    before = everything()

    with pytest.raises(PayoutMoved):
        not_possible(returned.pk, "no way", by=cashier, at=LATER)

    assert everything() == before


def test_one_that_came_back_and_one_that_failed_are_given_up_together(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    back(paid(payouts["alipay"], cashier), cashier)
    record_failed(payouts["bank"].pk, "account closed", by=cashier, at=soon())
    end = soon()

    not_possible(payouts["bank"].pk, "no way", by=cashier, at=end)

    assert stands(request) == ("failed", "pending_application", "")
    assert set(Payout.objects.values_list("given_up_at", flat=True)) == {end}


# --- What is written down, and told ------------------------------------------------------------


def test_it_leaves_an_entry_with_the_part_and_the_channels_words(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    back(paid(payouts["alipay"], cashier), cashier, at=LATER)

    entry = audit.history(request).last()
    assert (entry.act, entry.by, entry.at, entry.note) == ("returned", None, LATER, "no such account")
    assert entry.detail["part"] == {"amount": 120_000, "currency": "CNY", "channel": "alipay"}
    assert (entry.detail["state"], entry.detail["policy"]) == ("payment_failed", "intl-2021")
    assert acts(request) == ["requested", "approved", "money_ordered", "paying", "refunded", "returned"]


def test_each_return_is_mailed_once_and_so_is_each_making_good(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer, alipay=70_000, bank=50_000)
    for payout in payouts.values():
        paid(payout, cashier)
    for payout in payouts.values():
        back(payout, cashier)
    for payout in payouts.values():
        paid(anew(payout), cashier)
    again = Payout.objects.get(follows=payouts["bank"])
    back(again, cashier)
    paid(anew(again), cashier)

    assert mails(request) == [
        "refund_refunded",
        "refund_returned",
        "refund_returned",
        "refund_refunded",
        "refund_returned",
        "refund_refunded",
    ]
    told = Notice.objects.filter(template="refund_returned").order_by("id").values_list("context", flat=True)
    assert [context["part"]["amount"] for context in told] == [70_000, 50_000, 50_000]
    assert [notice.context["has_come_back"] for notice in Notice.objects.filter(template="refund_refunded")] == [
        False,
        True,
        True,
    ]


def test_who_gets_nothing_any_more_is_told_so(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = back(paid(payouts["alipay"], cashier), cashier)

    not_possible(payout.pk, "no account any more", by=cashier, at=LATER)

    assert mails(request) == ["refund_refunded", "refund_returned", "refund_failed"]
    context = Notice.objects.latest("id").context
    assert (context["has_come_back"], context["has_expired"]) == (True, False)


def test_who_cannot_ask_again_since_the_certificate_has_expired_is_told_so(customer: User, cashier: User) -> None:
    request, payouts = ordered(customer)
    payout = back(paid(payouts["alipay"], cashier), cashier)

    not_possible(payout.pk, "no account any more", by=cashier, at=request.certificate.expires_at)

    assert Notice.objects.latest("id").context["has_expired"] is True
    assert Certificate.objects.get().state == CertificateState.PENDING_APPLICATION


def test_other_mails_know_of_no_return(customer: User, cashier: User) -> None:
    _, payouts = ordered(customer)
    record_failed(payouts["alipay"].pk, "account closed", by=cashier, at=NOON)
    not_possible(payouts["alipay"].pk, "no way", by=cashier, at=NOON + timedelta(minutes=1))
    assert Notice.objects.get().context["has_come_back"] is False
