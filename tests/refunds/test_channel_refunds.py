"""A refund that the channel made by itself: what it closes, and how a person makes it a request's payout."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from certificates.states import CertificateState
from core.models import AuditEntry, Notice, User
from payments.channels import ChannelRefund, Outcome
from payments.exceptions import MoreThanPaid, NotYours, RefundFound
from payments.models import Difference, Payment, Payout
from payments.services import (
    DifferenceMoved,
    confirm_difference,
    dismiss_difference,
    keep_difference,
    order_payouts,
    record_paid,
    take_in,
    try_again,
)
from payments.services.already_refunded import hand_over_refunded
from payments.services.ordering import Part
from refunds.exceptions import RefundedOutside, RequestMoved
from refunds.for_certificates import prospects_of
from refunds.models import Decision, RefundRequest
from refunds.rules import table
from refunds.rules.assess import Assessment
from refunds.rules.offer import Offer, offer
from refunds.rules.policies import Rule
from refunds.services import approve_refund, cancel_refund, candidates_of, lapse_overdue, reject_refund
from refunds.services.preview import APPROVE, REFUND_KEPT, REFUNDED_OUTSIDE, preview_approval
from refunds.states import RequestState
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.races.running import together
from tests.races.test_lock_order import Locks, locks
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, acts, anew

pytestmark = pytest.mark.django_db

__all__ = ["locks"]

LATER = NOON + HOUR
CARD = {"card": 120_000}


def found_at_channel(
    certificate: Certificate,
    *,
    channel: str = "card",
    amount: int | None = None,
    reference: str = "re_1",
    **fields: Any,
) -> Difference:
    """The channel gave the certificate's share of a payment back by itself, or `amount` of it."""
    share = certificate.shares.select_related("payment").get(payment__channel=channel)
    known = {"outcome": Outcome.PAID, "currency": "CNY", "at": NOON, "payment_reference": share.payment.reference}
    refund = ChannelRefund(reference, amount=share.amount if amount is None else amount, **{**known, **fields})
    with transaction.atomic():
        difference = take_in(channel, refund, at=NOON)
    assert difference is not None
    return difference


def reviewed(account: User, **fields: Any) -> RefundRequest:
    """A request under review."""
    return factories.submit(cases.in_review(account, **{"payments": CARD, **fields}))


def approve(request: RefundRequest, by: User) -> RefundRequest:
    return approve_refund(request.pk, seen=factories.seen(request), by=by, at=LATER)


def confirm(difference: Difference, request: RefundRequest, by: User) -> Difference:
    return confirm_difference(difference.pk, request.reference, by=by, at=LATER)


# --- Offered no more ---------------------------------------------------------------------------


def test_a_refund_made_outside_leaves_nothing_to_offer_and_a_request_to_cancel() -> None:
    rule = Assessment(Rule.UNISSUED_MANUAL, table.Outcome.YES, table.Stage.UNISSUED, "CNY", table.Review.MANUAL)
    asked: Callable[..., Offer] = lambda state: offer(rule, "revoked", state, is_refunded_outside=True)  # noqa: E731
    assert [
        asked(None),
        asked(RequestState.REJECTED),
        asked(RequestState.UNDER_REVIEW),
        asked(RequestState.PAYING),
    ] == [
        Offer.NONE,
        Offer.NONE,
        Offer.CANCEL,
        Offer.UNDER_WAY,
    ]


def test_customer_reads_in_row_details_and_panel_why_refund_is_gone(
    customer: User, as_customer: Client, frozen: Any
) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    found_at_channel(certificate)
    assert 'refund/">Refund</a>' not in as_customer.get(reverse("overview")).content.decode()
    for address in (
        reverse("overview"),
        reverse("details", args=[certificate.instance_id]),
        reverse("request_refund", args=[certificate.instance_id]),
    ):
        page = as_customer.get(address)
        assert page.status_code == 200
        assert page.context.get("offer") in {None, Offer.NONE}
        assert "The payment channel has already made a refund of this certificate" in page.content.decode()
        assert "2026-11-23 12:00" in page.content.decode()


def test_customer_may_refund_again_once_it_is_explained(
    customer: User, as_customer: Client, cashier: User, frozen: Any
) -> None:
    difference = found_at_channel(certificate := cases.in_review(customer, payments=CARD))
    dismiss_difference(difference.pk, "a test", by=cashier, at=LATER)
    page = as_customer.get(reverse("request_refund", args=[certificate.instance_id])).content.decode()
    assert "payment channel itself" not in page
    assert factories.submit(certificate).state == RequestState.UNDER_REVIEW


def test_customer_may_not_refund_a_certificate_kept_as_unmatched(customer: User, cashier: User) -> None:
    difference = found_at_channel(certificate := cases.in_review(customer, payments=CARD))
    keep_difference(difference.pk, by=cashier, at=LATER)
    with pytest.raises(RefundedOutside):
        factories.submit(certificate)


@pytest.mark.parametrize("bought", [1, 6])
def test_a_request_is_refused_under_its_lock_and_leaves_nothing(customer: User, bought: int) -> None:
    certificate = factories.certificate(customer, bought=bought * DAY, payments=CARD)
    found_at_channel(certificate)
    before = cases.everything()
    with pytest.raises(RefundedOutside):
        factories.submit(certificate)
    assert cases.everything() == before


def test_customer_who_submits_meanwhile_reads_why_and_loses_nothing(
    customer: User, as_customer: Client, frozen: Any
) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    address = reverse("request_refund", args=[certificate.instance_id])
    typed = {"reason": "other", "reason_text": "We have moved."}
    first = as_customer.get(address).context["token"]
    second = as_customer.post(address, {**typed, "form": first, "step": "next"}).context["token"]
    found_at_channel(certificate)
    answer = as_customer.post(address, {**typed, "form": second, "step": "submit"})
    assert answer.status_code == 409
    assert "The payment channel has already made a refund of this certificate" in answer.content.decode()
    assert "We have moved." in answer.content.decode()
    assert not RefundRequest.objects.exists()


def test_policy_approves_nothing_while_a_refund_of_the_same_order_is_unexplained(
    customer: User, as_customer: Client, cashier: User, frozen: Any
) -> None:
    """Whoever bought the other one may ask; only the money has to wait."""
    first, second = factories.bought_together(customer, [70_000, 50_000], CARD)
    difference = found_at_channel(first)
    assert [anew(first).refund_found_at, anew(second).refund_found_at] == [NOON, None]
    address = reverse("request_refund", args=[second.instance_id])
    typed = {"reason": "no_need"}
    token = as_customer.get(address).context["token"]
    token = as_customer.post(address, {**typed, "form": token, "step": "next"}).context["token"]
    before = cases.everything()
    answer = as_customer.post(address, {**typed, "form": token, "step": "submit"})
    assert answer.status_code == 409
    assert "The payment channel has already refunded part of the same order" in answer.content.decode()
    assert cases.everything() == before
    dismiss_difference(difference.pk, "a test", by=cashier, at=LATER)
    assert factories.submit(second).state == RequestState.APPROVED


def test_prospects_say_that_it_is_back_already(customer: User) -> None:
    certificate = factories.issued(customer, payments=CARD)
    found_at_channel(certificate)
    told = prospects_of(anew(certificate), at=LATER)
    assert told.possible_until is None
    assert "payment channel has already made a refund" in told.sentences[0]


def test_overview_asks_no_more_queries_for_it(
    customer: User, as_customer: Client, frozen: Any, django_assert_num_queries: Any
) -> None:
    for number in range(3):
        found_at_channel(cases.in_review(customer, payments=CARD), reference=f"re_{number}")
    with django_assert_num_queries(6):
        as_customer.get(reverse("overview"))


def test_recording_it_as_a_payout_frees_the_other_certificate_of_the_order(
    customer: User, cashier: User, django_capture_on_commit_callbacks: Any
) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], {"alipay": 120_000})
    payout = Payout.objects.get(reference=factories.submit(first).reference)
    difference = found_at_channel(first, channel="alipay", reference="2026-1")
    assert anew(second).refund_found_at == NOON
    with django_capture_on_commit_callbacks(execute=True):
        record_paid(payout.pk, "2026-1", by=cashier, at=LATER)
    assert Difference.objects.get(pk=difference.pk).state == "healed"
    assert anew(second).refund_found_at is None


# --- Approved no more --------------------------------------------------------------------------


def test_reviewer_may_not_approve_while_it_is_unexplained(customer: User, reviewer: User) -> None:
    request = reviewed(customer)
    found_at_channel(request.certificate)
    assert preview_approval(anew(request), by=reviewer, at=LATER) == REFUNDED_OUTSIDE
    before = cases.everything()
    with pytest.raises(RefundedOutside):
        approve(request, reviewer)
    assert cases.everything() == before


def test_reviewer_may_not_approve_where_the_money_would_only_be_ordered_later(customer: User, reviewer: User) -> None:
    request = factories.submit(cases.at_authority(customer, bought=6 * DAY, payments=CARD))
    assert anew(request.certificate).closing_since
    found_at_channel(request.certificate)
    with pytest.raises(RefundedOutside):
        approve(request, reviewer)


def test_reviewer_may_approve_once_it_is_explained(customer: User, reviewer: User, cashier: User) -> None:
    request = reviewed(customer)
    dismiss_difference(found_at_channel(request.certificate).pk, "a test", by=cashier, at=LATER)
    assert preview_approval(anew(request), by=reviewer, at=LATER) == APPROVE
    assert approve(request, reviewer).state == RequestState.APPROVED


def test_reviewer_reads_on_the_page_and_on_the_approval_what_stands_in_the_way(
    customer: User, reviewer: User, frozen: Any
) -> None:
    request, client = reviewed(customer), signed_in(reviewer)
    address = reverse("admin:refunds_refundrequest_approve", args=[request.pk])
    form = {"seen": client.get(address).context["form"].initial["seen"], "note": ""}
    found_at_channel(request.certificate)
    page = client.get(reverse("admin:refunds_refundrequest_change", args=[request.pk])).content.decode()
    assert "nobody has decided on it yet" in page
    assert address not in page
    assert reverse("admin:refunds_refundrequest_reject", args=[request.pk]) not in page
    answer = client.post(address, form, follow=True)
    [told] = answer.context["messages"]
    assert str(told).startswith("Nothing was done. A refund of the same payment was made directly")
    assert anew(request).state == RequestState.UNDER_REVIEW


def test_reviewer_of_several_reads_which_was_skipped_and_why(customer: User, reviewer: User, frozen: Any) -> None:
    free, closed = reviewed(customer), reviewed(customer)
    tickets = [f"{each.pk}:{factories.seen(each)}" for each in (free, closed)]
    found_at_channel(closed.certificate)
    client = signed_in(reviewer)
    listed = client.post(
        reverse("admin:refunds_refundrequest_changelist"),
        {"action": "approve_selected", "_selected_action": [free.pk, closed.pk]},
    )
    assert [line.preview for line in listed.context["lines"]] == [APPROVE, REFUNDED_OUTSIDE]
    answer = client.post(reverse("admin:refunds_refundrequest_approve_selected"), {"request": tickets})
    assert "a refund made directly at the channel must be decided on first" in answer.content.decode()
    assert [anew(free).state, anew(closed).state] == [RequestState.APPROVED, RequestState.UNDER_REVIEW]


def test_reviewer_may_not_reject_while_it_is_undecided(customer: User, reviewer: User) -> None:
    """The customer would read "rejected" while holding the money."""
    request = reviewed(customer)
    seen = factories.seen(request)
    found_at_channel(request.certificate)
    before = cases.everything()
    with pytest.raises(RefundedOutside):
        reject_refund(request.pk, answer="No.", seen=seen, by=reviewer, at=LATER)
    assert cases.everything() == before


@pytest.mark.parametrize("decide", ["confirm", "keep", "explain"])
def test_reviewer_may_reject_once_it_is_decided_that_it_is_another(
    customer: User, reviewer: User, cashier: User, decide: str
) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    if decide == "confirm":
        # Unless it is this very request's.
        confirm(difference, request, cashier)
        with pytest.raises(RequestMoved):
            reject_refund(request.pk, answer="No.", seen=factories.seen(anew(request)), by=reviewer, at=LATER)
        assert anew(request).state == RequestState.REFUNDED
        return
    decided = {
        "keep": lambda: keep_difference(difference.pk, by=cashier, at=LATER),
        "explain": lambda: dismiss_difference(difference.pk, "a test", by=cashier, at=LATER),
    }
    decided[decide]()
    rejected = reject_refund(request.pk, answer="No.", seen=factories.seen(anew(request)), by=reviewer, at=LATER)
    assert rejected.state == RequestState.REJECTED


def test_reviewer_reads_that_a_kept_one_lets_the_request_be_rejected_and_not_approved(
    customer: User, reviewer: User, cashier: User, frozen: Any
) -> None:
    request = reviewed(customer)
    keep_difference(found_at_channel(request.certificate).pk, by=cashier, at=LATER)
    assert preview_approval(anew(request), by=reviewer, at=LATER) == REFUND_KEPT
    with pytest.raises(RefundedOutside):
        approve(request, reviewer)
    page = signed_in(reviewer).get(reverse("admin:refunds_refundrequest_change", args=[request.pk])).content.decode()
    assert "kept as unmatched" in page
    assert reverse("admin:refunds_refundrequest_reject", args=[request.pk]) in page


def test_reviewer_finds_the_difference_on_the_page_and_reads_who_decides_on_it(
    customer: User, reviewer: User, cashier: User, frozen: Any
) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    where = reverse("admin:payments_difference_change", args=[difference.pk])
    reviewer.user_permissions.add(Permission.objects.get(codename="view_difference"))
    page = signed_in(reviewer).get(reverse("admin:refunds_refundrequest_change", args=[request.pk])).content.decode()
    assert f'<a href="{where}">{difference}</a> (' in page
    assert "re_1" in page
    assert "Can record payouts made outside" in page
    cashier.user_permissions.add(*Permission.objects.filter(codename__in=["view_refundrequest", "view_difference"]))
    page = signed_in(cashier).get(reverse("admin:refunds_refundrequest_change", args=[request.pk])).content.decode()
    assert "You can decide on it" in page


def test_customer_may_not_cancel_while_it_is_undecided(customer: User, as_customer: Client, frozen: Any) -> None:
    request = reviewed(customer)
    found_at_channel(request.certificate)
    before, address = cases.everything(), reverse("cancel_refund", args=[request.certificate.instance_id])
    for answer, status in (
        (as_customer.get(address), 200),
        (as_customer.post(address, {"reference": request.reference}), 409),
    ):
        assert answer.status_code == status
        text = answer.content.decode()
        assert "This request can't be cancelled now." in text
        assert "our staff are checking it" in text
    assert cases.everything() == before
    with pytest.raises(RefundedOutside):
        cancel_refund(request.pk, by=customer, at=LATER)


def test_customer_may_cancel_once_it_is_decided(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    keep_difference(found_at_channel(request.certificate).pk, by=cashier, at=LATER)
    assert cancel_refund(request.pk, by=customer, at=LATER).state == RequestState.CANCELLED


def test_customer_reads_that_staff_are_checking_a_refund_that_was_made(
    customer: User, as_customer: Client, cashier: User, frozen: Any
) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    record, records = reverse("refund_record", args=[request.reference]), reverse("refund_records")
    details = reverse("details", args=[request.certificate.instance_id])
    assert "our staff are checking it" in as_customer.get(record).content.decode()
    for address in (records, details):
        assert "Our staff are checking a refund that was already made." in as_customer.get(address).content.decode()
    assert "a refund was already made by the payment channel" in as_customer.get(reverse("overview")).content.decode()
    dismiss_difference(difference.pk, "a test", by=cashier, at=LATER)
    for address in (record, records, details):
        assert "staff are checking" not in as_customer.get(address).content.decode()


def test_page_of_the_record_hears_that_it_is_decided(
    customer: User, as_customer: Client, cashier: User, frozen: Any
) -> None:
    request = reviewed(customer)
    address = reverse("refund_record", args=[request.reference])
    before = as_customer.get(address).context["version"]
    difference = found_at_channel(request.certificate)
    during = as_customer.get(address).context["version"]
    dismiss_difference(difference.pk, "a test", by=cashier, at=LATER)
    assert as_customer.get(address).context["version"] == before != during


# --- While it is undecided, nothing lapses -----------------------------------------------------

MUCH_LATER = NOON + 400 * DAY


def test_request_whose_certificate_expires_meanwhile_waits_for_the_decision(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    assert lapse_overdue(at=MUCH_LATER) == 0
    assert anew(request).state == RequestState.UNDER_REVIEW
    confirm_difference(difference.pk, request.reference, by=cashier, at=MUCH_LATER)
    assert anew(request).state == RequestState.REFUNDED


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_decision_does_not_lapse_an_expired_request_meanwhile(customer: User, reviewer: User, act: str) -> None:
    request = reviewed(customer)
    seen = factories.seen(request)
    found_at_channel(request.certificate)
    assert preview_approval(anew(request), by=reviewer, at=MUCH_LATER) == REFUNDED_OUTSIDE
    with pytest.raises(RefundedOutside):
        if act == "approve":
            approve_refund(request.pk, seen=seen, by=reviewer, at=MUCH_LATER)
        else:
            reject_refund(request.pk, answer="No.", seen=seen, by=reviewer, at=MUCH_LATER)
    assert anew(request).state == RequestState.UNDER_REVIEW


def test_expired_request_lapses_once_it_is_decided_that_it_is_another(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    dismiss_difference(difference.pk, "a test", by=cashier, at=MUCH_LATER)
    assert lapse_overdue(at=MUCH_LATER) == 1
    assert anew(request).state == RequestState.LAPSED


def test_those_that_wait_keep_no_other_from_lapsing(customer: User) -> None:
    found_at_channel(reviewed(customer).certificate)
    other = reviewed(customer)
    assert lapse_overdue(at=MUCH_LATER, limit=1) == 1
    assert anew(other).state == RequestState.LAPSED


def test_approved_request_of_a_certificate_issued_meanwhile_lapses_once_it_is_decided(
    customer: User, reviewer: User, cashier: User
) -> None:
    request = factories.submit(cases.at_authority(customer, bought=20 * DAY, payments=CARD))
    approve(request, reviewer)
    difference = found_at_channel(request.certificate)
    record_issued(request.certificate_id, factories.handover(), by=reviewer, at=LATER)
    assert anew(request).state == RequestState.APPROVED
    assert lapse_overdue(at=LATER) == 0
    dismiss_difference(difference.pk, "a test", by=cashier, at=LATER)
    assert lapse_overdue(at=LATER) == 1
    assert (anew(request).state, Payout.objects.count()) == (RequestState.LAPSED, 0)


# --- What it may belong to ---------------------------------------------------------------------


def names(difference: Difference) -> list[tuple[str, bool]]:
    return [(each.id, each.is_request) for each in candidates_of(Difference.objects.get(pk=difference.pk))]


def test_candidates_are_the_request_of_that_amount_and_certificates_without_one(customer: User) -> None:
    first, second, third = factories.bought_together(customer, [50_000, 50_000, 20_000], CARD, bought=6 * DAY)
    request, other = factories.submit(first), factories.submit(third)
    difference = found_at_channel(first)
    assert names(difference) == [(request.reference, True), (second.instance_id, False)]
    assert other.reference not in dict(names(difference))


def test_a_request_of_another_amount_is_no_candidate(customer: User) -> None:
    request = reviewed(customer)
    assert names(found_at_channel(request.certificate, amount=119_999)) == []


def test_a_request_in_another_currency_is_no_candidate(customer: User) -> None:
    request = reviewed(customer)
    assert names(found_at_channel(request.certificate, currency="USD")) == []


def test_a_decided_request_is_no_candidate(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    assert names(difference) == [(request.reference, True)]
    keep_difference(difference.pk, by=cashier, at=LATER)
    cancel_refund(request.pk, by=customer, at=LATER)
    assert names(difference) == [(request.certificate.instance_id, False)]


def test_a_request_whose_application_is_still_being_closed_is_no_candidate(customer: User) -> None:
    request = factories.submit(cases.at_authority(customer, bought=6 * DAY, payments=CARD))
    assert names(found_at_channel(request.certificate)) == []


def test_a_request_paid_twice_over_is_a_candidate_once_both_parts_were_found(customer: User) -> None:
    request = reviewed(customer, payments={"card": 70_000, "alipay": 50_000})
    card = found_at_channel(request.certificate)
    assert names(card) == []
    alipay = found_at_channel(request.certificate, channel="alipay", reference="2026-1")
    assert names(card) == names(alipay) == [(request.reference, True)]


def test_a_refund_that_was_assigned_is_no_candidate_of_another(customer: User, cashier: User) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD, bought=6 * DAY)
    difference = found_at_channel(first)
    keep_difference(difference.pk, assigned_to=second.instance_id, by=cashier, at=LATER)
    request = factories.submit(first)
    assert names(difference) == [(second.instance_id, False)]
    assert request.state == RequestState.UNDER_REVIEW


# --- Confirmed ---------------------------------------------------------------------------------


def test_cashier_makes_the_channels_refund_the_payout_of_the_request(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = confirm(found_at_channel(request.certificate), request, cashier)
    payout = Payout.objects.get(reference=request.reference)
    assert (anew(request).state, anew(request).ended_at) == (RequestState.REFUNDED, LATER)
    assert (payout.state, payout.external_reference, payout.amount) == ("paid", "re_1", 120_000)
    assert (payout.booked_on, payout.recorded_by, payout.approved_by) == (date(2026, 11, 23), cashier, None)
    assert (difference.state, difference.payout, difference.resolved_by) == ("confirmed", payout, cashier)
    assert payout.payment.ordered_back == 120_000
    certificate = anew(request.certificate)
    assert (certificate.state, certificate.hold, certificate.refund_found_at) == (CertificateState.REFUNDED, "", None)
    assert [cause.removeprefix("payout_") for cause in payout.entries.values_list("cause", flat=True)] == [
        "ordered",
        "paid",
    ]


def test_it_is_decided_recorded_and_told(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    confirm(found_at_channel(request.certificate), request, cashier)
    decision = Decision.objects.get(request=request)
    assert (decision.verdict, decision.by, decision.at, decision.note) == ("confirm", cashier, LATER, "re_1")
    assert acts(request) == ["requested", "confirmed"]
    entry = AuditEntry.objects.get(act="confirmed", subject__startswith="refunds")
    assert (entry.by, entry.note, entry.detail["state"]) == (cashier, "re_1", RequestState.REFUNDED)
    assert Notice.objects.filter(key=f"{request.reference}:refunded").exists()


def test_customer_reads_that_the_channel_gave_it_back(
    customer: User, as_customer: Client, cashier: User, frozen: Any
) -> None:
    request = reviewed(customer)
    confirm(found_at_channel(request.certificate), request, cashier)
    record = as_customer.get(reverse("refund_record", args=[request.reference])).content.decode()
    assert "The money had gone back to you already" in record
    assert cashier.username not in record


def test_each_part_becomes_a_payout_of_its_own(customer: User, cashier: User) -> None:
    request = reviewed(customer, payments={"card": 70_000, "alipay": 50_000})
    card = found_at_channel(request.certificate)
    alipay = found_at_channel(request.certificate, channel="alipay", reference="2026-1")
    confirm(alipay, request, cashier)
    payouts = Payout.objects.filter(reference=request.reference).order_by("amount")
    assert [(each.channel, each.amount, each.external_reference, each.state) for each in payouts] == [
        ("alipay", 50_000, "2026-1", "paid"),
        ("card", 70_000, "re_1", "paid"),
    ]
    assert {each.state for each in Difference.objects.filter(pk__in=[card.pk, alipay.pk])} == {"confirmed"}
    assert anew(request).state == RequestState.REFUNDED


def test_it_is_not_confirmed_while_a_part_is_missing(customer: User, cashier: User) -> None:
    request = reviewed(customer, payments={"card": 70_000, "alipay": 50_000})
    card = found_at_channel(request.certificate)
    before = cases.everything()
    with pytest.raises(DifferenceMoved):
        confirm(card, request, cashier)
    assert cases.everything() == before


def test_the_one_confirmed_is_used_and_another_of_the_same_amount_stays(customer: User, cashier: User) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD, bought=6 * DAY)
    requests = [factories.submit(each) for each in (first, second)]
    differences = [found_at_channel(first, reference="re_1"), found_at_channel(first, reference="re_2")]
    confirm(differences[1], requests[0], cashier)
    assert Payout.objects.get(reference=requests[0].reference).external_reference == "re_2"
    assert [anew(first).refund_found_at, anew(second).refund_found_at] == [NOON, NOON]
    confirm(differences[0], requests[1], cashier)
    assert [anew(each).refund_found_at for each in (first, second)] == [None, None]
    assert {anew(each).state for each in requests} == {RequestState.REFUNDED}


def test_a_kept_one_can_still_be_confirmed(customer: User, cashier: User) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD, bought=6 * DAY)
    request = factories.submit(first)
    difference = found_at_channel(first)
    keep_difference(difference.pk, by=cashier, at=LATER)
    assert confirm(difference, request, cashier).state == "confirmed"
    assert anew(second).refund_found_at is None


def test_it_is_confirmed_once(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    confirm(difference, request, cashier)
    before = cases.everything()
    with pytest.raises(DifferenceMoved):
        confirm(difference, request, cashier)
    assert cases.everything() == before


@pytest.mark.parametrize("candidate", ["RF-20261123-AAAAAAAA", "", "cas-sg-000000000000"])
def test_it_is_not_confirmed_as_what_is_no_request(customer: User, cashier: User, candidate: str) -> None:
    difference = found_at_channel(cases.in_review(customer, payments=CARD))
    with pytest.raises(DifferenceMoved):
        confirm_difference(difference.pk, candidate, by=cashier, at=LATER)


def test_it_is_not_confirmed_as_a_request_that_was_cancelled(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    keep_difference(difference.pk, by=cashier, at=LATER)
    cancel_refund(request.pk, by=customer, at=LATER)
    before = cases.everything()
    with pytest.raises(DifferenceMoved):
        confirm(difference, request, cashier)
    assert cases.everything() == before


def test_more_than_was_paid_is_never_confirmed(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    payment = request.certificate.shares.get().payment
    Payment.objects.filter(pk=payment.pk).update(ordered_back=1)
    difference = found_at_channel(request.certificate)
    with pytest.raises(MoreThanPaid):
        confirm(difference, request, cashier)
    Payment.objects.filter(pk=payment.pk).update(ordered_back=0)
    assert anew(request).state == RequestState.UNDER_REVIEW


@pytest.mark.parametrize("superuser", [False, True])
def test_receiver_may_not_confirm(customer: User, superuser: bool) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    insider = factories.cashier("insider")
    User.objects.filter(pk=insider.pk).update(is_superuser=superuser)
    RefundRequest.objects.filter(pk=request.pk).update(requested_by=insider)
    before = cases.everything()
    with pytest.raises(NotYours):
        confirm(difference, request, User.objects.get(pk=insider.pk))
    assert cases.everything() == before


def test_reviewer_may_not_confirm(customer: User, reviewer: User) -> None:
    request = reviewed(customer)
    with pytest.raises(NotYours):
        confirm(found_at_channel(request.certificate), request, reviewer)


def test_no_other_money_of_the_payment_is_ordered_meanwhile(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    confirm(found_at_channel(request.certificate), request, cashier)
    payment_id = request.certificate.shares.get().payment_id
    with pytest.raises(MoreThanPaid), transaction.atomic():
        order_payouts("RF-X", [Part(payment_id, 1)], approved_by=None, at=LATER)


def test_the_channels_own_list_agrees_afterwards(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    confirm(found_at_channel(request.certificate), request, cashier)
    payment = request.certificate.shares.get().payment
    refund = ChannelRefund("re_1", Outcome.PAID, 120_000, "CNY", NOON, payment_reference=payment.reference)
    with transaction.atomic():
        assert take_in("card", refund, at=LATER) is None


def test_a_confirmed_refund_that_comes_back_is_to_be_made_good(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    confirm(found_at_channel(request.certificate), request, cashier)
    payment = request.certificate.shares.get().payment
    back = ChannelRefund("re_1", Outcome.FAILED, 120_000, "CNY", NOON, payment_reference=payment.reference)
    with transaction.atomic():
        take_in("card", back, at=LATER + timedelta(days=3))
    assert anew(request).state == RequestState.PAYMENT_FAILED
    assert Payout.objects.get(reference=request.reference).state == "returned"
    assert anew(request.certificate).hold == request.reference
    afterwards = LATER + timedelta(days=4)
    # Who confirmed it has granted it, and so does not send it anew.
    second, first = factories.cashier("second"), Payout.objects.get(reference=request.reference)
    sent = try_again(first.pk, by=second, at=afterwards)
    assert sent.approved_by == first.recorded_by
    with pytest.raises(NotYours):
        record_paid(sent.pk, "re_2", by=first.recorded_by, at=afterwards)
    record_paid(sent.pk, "re_2", by=second, at=afterwards)


def test_refund_found_between_approval_and_closing_is_looked_at_by_staff(
    customer: User, reviewer: User, cashier: User, django_capture_on_commit_callbacks: Any
) -> None:
    request = factories.submit(cases.at_authority(customer, bought=20 * DAY, payments=CARD))
    approve(request, reviewer)
    found_at_channel(request.certificate)
    record_closed(request.certificate_id, by=reviewer, at=LATER)
    payout = Payout.objects.get(reference=request.reference)
    assert (payout.state, payout.is_queued, payout.handed_over_at) == ("ordered", False, LATER)
    with pytest.raises(RefundFound):
        try_again(payout.pk, by=cashier, at=LATER)
    with django_capture_on_commit_callbacks(execute=True):
        record_paid(payout.pk, "re_1", by=cashier, at=LATER)
    assert (anew(request).state, Difference.objects.get().state) == ("refunded", "healed")


# --- At once, and in the one order of locks ----------------------------------------------------


def file_it(certificate: Certificate, request: RefundRequest, by: User) -> Callable[[], Any]:
    return lambda: found_at_channel(certificate, reference="re_new")


def take_it_back(certificate: Certificate, request: RefundRequest, by: User) -> Callable[[], Any]:
    confirm_it(certificate, request, by)()
    payment = certificate.shares.get(payment__channel="card").payment
    back = ChannelRefund("re_1", Outcome.FAILED, 35_000, "CNY", NOON, payment_reference=payment.reference)

    @transaction.atomic
    def act() -> None:
        take_in("card", back, at=LATER)

    return act


def confirm_it(certificate: Certificate, request: RefundRequest, by: User) -> Callable[[], Any]:
    alipay = found_at_channel(certificate, channel="alipay", reference="2026-1")
    found_at_channel(certificate)
    return lambda: confirm(alipay, request, by)


def keep_it(certificate: Certificate, request: RefundRequest, by: User) -> Callable[[], Any]:
    difference = found_at_channel(certificate)
    return lambda: keep_difference(difference.pk, by=by, at=LATER)


def explain_it(certificate: Certificate, request: RefundRequest, by: User) -> Callable[[], Any]:
    difference = found_at_channel(certificate)
    return lambda: dismiss_difference(difference.pk, "a test", by=by, at=LATER)


def of_an_order_of_two(account: User) -> tuple[Certificate, RefundRequest]:
    """The second certificate of an order paid by two payments, and the request for it."""
    _, second = factories.bought_together(account, [60_000, 60_000], {"alipay": 50_000, "card": 70_000}, bought=6 * DAY)
    return second, factories.submit(second)


@pytest.mark.parametrize("prepare", [file_it, take_it_back, confirm_it, keep_it, explain_it])
def test_an_act_takes_its_locks_in_the_one_order(
    customer: User, cashier: User, locks: Locks, prepare: Callable[..., Callable[[], Any]]
) -> None:
    act = prepare(*of_an_order_of_two(customer), cashier)
    locks.clear()
    act()
    assert locks.models().count(Certificate) == 2
    assert locks == sorted(locks)


@pytest.mark.parametrize("is_known", [False, True])
def test_handing_a_refused_payout_over_takes_its_locks_in_the_one_order(
    customer: User, locks: Locks, is_known: bool
) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD)
    payout = Payout.objects.get(reference=factories.submit(second).reference)
    payment = first.shares.get().payment
    refund = ChannelRefund("re_9", Outcome.PAID, 60_000, "CNY", NOON, payment_reference=payment.reference)
    if is_known:
        pending = found_at_channel(first, reference="re_9", outcome=Outcome.PENDING)
        assert pending.is_pending
    locks.clear()
    with transaction.atomic():
        hand_over_refunded(payout.pk, [refund], "already refunded", at=LATER)
    assert anew(payout).handed_over_at == LATER
    assert locks.models().count(Certificate) == 2
    assert locks == sorted(locks)


@pytest.mark.django_db(transaction=True)
def test_the_same_refund_told_by_four_at_once_is_filed_once(customer: User) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    outcomes = together(*[lambda: found_at_channel(certificate)] * 4)
    assert [type(outcome) for outcome in outcomes] == [Difference] * 4
    assert Difference.objects.get().state == "open"
    assert anew(certificate).refund_found_at == NOON


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_decide_at_once_one_wins(customer: User, cashier: User) -> None:
    request = reviewed(customer)
    difference = found_at_channel(request.certificate)
    outcomes = together(
        lambda: confirm(difference, request, cashier),
        lambda: dismiss_difference(difference.pk, "a test", by=cashier, at=LATER),
    )
    assert [type(outcome) for outcome in outcomes].count(DifferenceMoved) == 1
    is_confirmed = Difference.objects.get().state == "confirmed"
    assert (anew(request).state == RequestState.REFUNDED) == is_confirmed
    assert Payout.objects.count() == is_confirmed


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_a_refund_told_at_once_leave_no_money_ordered_after_it(customer: User, reviewer: User) -> None:
    """Either the approval was first, or it finds what was filed."""
    request = reviewed(customer)
    seen = factories.seen(request)
    outcomes = together(
        lambda: found_at_channel(request.certificate),
        lambda: approve_refund(request.pk, seen=seen, by=reviewer, at=LATER),
    )
    assert isinstance(outcomes[0], Difference)
    assert type(outcomes[1]) in {RefundRequest, RefundedOutside}
    assert Payout.objects.count() == isinstance(outcomes[1], RefundRequest)
