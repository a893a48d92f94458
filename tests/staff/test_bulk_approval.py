"""Approving several requests: a page that says what will be done to each and why, then each on its own."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from certificates.models import Certificate
from core import audit
from core.models import User
from refunds.admin import bulk
from refunds.exceptions import RefundsError
from refunds.models import RefundRequest
from refunds.rules.policies import Rule
from refunds.services import approve_refund, cancel_refund, preview
from refunds.services.preview import Check, Effect, preview_approval
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import everything, list_of, under_review

pytestmark = pytest.mark.django_db

LIST = list_of(RefundRequest)
ACT = reverse("admin:refunds_refundrequest_approve_selected")


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    return signed_in(reviewer)


def selected(client: Client, *requests: RefundRequest, **more: str) -> list[bulk.Line]:
    """The lines of the page that asks about these requests."""
    form = {"action": "approve_selected", "_selected_action": [request.pk for request in requests], **more}
    answer = client.post(f"{LIST}?state=all", form)
    assert answer.status_code == 200
    return answer.context["lines"]


def results(client: Client, tickets: list[str]) -> dict[str, str]:
    """What the page after it says came of each."""
    answer = client.post(ACT, {"request": tickets})
    assert answer.status_code == 200
    return {str(each.request): strip_tags(each.mark).strip() for each in answer.context["results"]}


def expired(account: User) -> RefundRequest:
    request = under_review(account)
    Certificate.objects.filter(pk=request.certificate_id).update(service_ends_at=NOON - timedelta(hours=1))
    return request


def issued(account: User) -> RefundRequest:
    request = under_review(account)
    Certificate.objects.filter(pk=request.certificate_id).update(issued_at=NOON)
    return request


def changed(account: User) -> RefundRequest:
    request = under_review(account)
    Certificate.objects.filter(pk=request.certificate_id).update(revocation_requested_at=NOON)
    return request


def unsupported(account: User) -> RefundRequest:
    request = under_review(account)
    facts = {**request.facts, "free": True}
    RefundRequest.objects.filter(pk=request.pk).update(facts=facts, rule=Rule.FREE_DV)
    return request


def cancelled(account: User) -> RefundRequest:
    request = under_review(account)
    return cancel_refund(request.pk, by=account, at=NOON)


CASES = {
    preview.APPROVE: under_review,
    preview.EXPIRED: expired,
    preview.ISSUED: issued,
    preview.CHANGED: changed,
    preview.NOT_SUPPORTED: unsupported,
    preview.MOVED: cancelled,
}
OUTCOMES = {
    preview.APPROVE: ("approved", "Approved."),
    preview.EXPIRED: ("lapsed", "Lapsed (The certificate expired) on 2026-11-23 12:00."),
    preview.ISSUED: ("lapsed", "Lapsed (The certificate was issued) on 2026-11-23 12:00."),
    preview.CHANGED: ("under_review", "Skipped: the certificate has changed since the page was opened."),
    preview.NOT_SUPPORTED: ("under_review", "Skipped: the policy does not support it on the facts of its submission."),
    preview.MOVED: ("cancelled", "Skipped: Cancelled by the customer by customer on 2026-11-23 12:00."),
}


def test_page_says_of_each_request_what_will_be_done_and_why(as_reviewer: Client, customer: User) -> None:
    requests = {each: make(customer) for each, make in CASES.items()}
    before = everything()
    lines = {line.request.pk: line for line in selected(as_reviewer, *requests.values())}
    assert {each: lines[request.pk].preview for each, request in requests.items()} == {each: each for each in CASES}
    assert everything() == before


def test_one_decided_while_the_list_was_open_is_named_as_skipped(as_reviewer: Client, customer: User) -> None:
    """The list that it was ticked in shows those under review, which it no longer is."""
    request = cancelled(customer)
    form = {"action": "approve_selected", "_selected_action": [request.pk]}
    [line] = as_reviewer.post(LIST, form).context["lines"]
    assert (line.request, line.preview) == (request, preview.MOVED)


@pytest.mark.parametrize("case", CASES, ids=lambda check: str(check.in_list))
def test_what_was_said_is_what_comes_of_it(as_reviewer: Client, reviewer: User, customer: User, case: Check) -> None:
    request = CASES[case](customer)
    assert preview_approval(RefundRequest.objects.get(pk=request.pk), by=reviewer, at=NOON) == case
    came = results(as_reviewer, [f"{request.pk}:{factories.seen(request)}"])
    request.refresh_from_db()
    assert (request.state, came[request.reference]) == OUTCOMES[case]


def test_own_request_is_skipped_and_refused_when_crafted_into_the_form(
    as_reviewer: Client, reviewer: User, customer: User
) -> None:
    own, other = under_review(reviewer), under_review(customer)
    lines = {line.request.pk: line for line in selected(as_reviewer, own, other)}
    assert lines[own.pk].preview == preview.OWN
    page = as_reviewer.post(f"{LIST}?state=all", {"action": "approve_selected", "_selected_action": [own.pk, other.pk]})
    assert lines[own.pk].ticket not in page.content.decode()
    came = results(as_reviewer, [lines[own.pk].ticket, lines[other.pk].ticket])
    assert "for your own account" in came[own.reference]
    assert came[other.reference] == "Approved."
    own.refresh_from_db()
    assert own.state == "under_review"


def test_one_that_changed_meanwhile_stops_none_of_the_others(as_reviewer: Client, customer: User) -> None:
    first, second, third = (under_review(customer) for _each in range(3))
    tickets = [line.ticket for line in selected(as_reviewer, first, second, third)]
    Certificate.objects.filter(pk=second.certificate_id).update(submitted_at=NOON)
    came = results(as_reviewer, tickets)
    assert came[first.reference] == came[third.reference] == "Approved."
    assert came[second.reference] == "Skipped: the certificate has changed since the page was opened."


@pytest.mark.broken_books
def test_one_that_would_give_back_too_much_stops_none_of_the_others(as_reviewer: Client, customer: User) -> None:
    first, second = under_review(customer), under_review(customer)
    share = first.certificate.shares.first()
    type(share.payment).objects.filter(pk=share.payment_id).update(ordered_back=1)
    came = results(as_reviewer, [f"{each.pk}:{factories.seen(each)}" for each in (first, second)])
    assert came[first.reference] == "Skipped: more would go back than was paid in."
    assert came[second.reference] == "Approved."


def test_form_sent_twice_approves_once(as_reviewer: Client, customer: User) -> None:
    request = under_review(customer)
    [line] = selected(as_reviewer, request)
    results(as_reviewer, [line.ticket])
    once = everything()
    assert results(as_reviewer, [line.ticket, line.ticket])[request.reference].startswith("Skipped: ")
    assert everything() == once


def test_each_approval_stands_in_both_histories(as_reviewer: Client, reviewer: User, customer: User) -> None:
    requests = [under_review(customer), under_review(customer)]
    results(as_reviewer, [line.ticket for line in selected(as_reviewer, *requests)])
    for request in requests:
        [entry] = audit.history(request).filter(act="approved")
        assert entry.by == reviewer
        assert LogEntry.objects.filter(user=reviewer, object_id=str(request.pk)).count() == 1


def test_total_is_said_per_currency(as_reviewer: Client, customer: User) -> None:
    requests = [under_review(customer), under_review(customer), under_review(customer, currency="USD")]
    form = {"action": "approve_selected", "_selected_action": [request.pk for request in requests]}
    page = as_reviewer.post(LIST, form).content.decode().replace("\xa0", " ")
    assert "Approve 3 requests, CNY 2,400.00, USD 1,200.00" in page


def test_more_than_the_limit_are_cut_and_it_is_said(
    as_reviewer: Client, customer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("refunds.admin.bulk", "refunds.admin.requests"):
        monkeypatch.setattr(f"{module}.LIMIT", 2)
    requests = [under_review(customer) for _each in range(3)]
    form = {"action": "approve_selected", "_selected_action": [requests[0].pk], "select_across": "1"}
    answer = as_reviewer.post(LIST, form)
    assert len(answer.context["lines"]) == 2
    assert "More than 2 requests were selected" in answer.content.decode()
    assert len(results(as_reviewer, [f"{each.pk}:{factories.seen(each)}" for each in requests])) == 2


@pytest.mark.parametrize(
    "ticket", ["", "x", "1", ":", "1:", "-1:x", "²:x", "987654:x", f"{'9' * 40}:x", f"{'9' * 18}:x"]
)
def test_crafted_tickets_do_nothing(as_reviewer: Client, customer: User, ticket: str) -> None:
    under_review(customer)
    before = everything()
    assert as_reviewer.post(ACT, {"request": [ticket]}).status_code == 200
    assert everything() == before


def test_nothing_selected_does_nothing(as_reviewer: Client) -> None:
    assert "nothing was done" in as_reviewer.post(ACT).content.decode()
    assert as_reviewer.get(ACT).status_code == 302


@pytest.mark.parametrize("who", ["clerk", "cashier"])
def test_staff_who_may_not_decide_are_refused(who: str, customer: User, request: pytest.FixtureRequest) -> None:
    client, wanted = signed_in(request.getfixturevalue(who)), under_review(customer)
    before = everything()
    assert client.post(ACT, {"request": f"{wanted.pk}:{factories.seen(wanted)}"}).status_code == 403
    assert client.post(LIST, {"action": "approve_selected", "_selected_action": [wanted.pk]}).status_code == 403
    assert "approve_selected" not in client.get(LIST).content.decode()
    assert everything() == before


def test_customer_and_stranger_are_refused(customer: User) -> None:
    wanted = under_review(customer)
    before, form = everything(), {"request": f"{wanted.pk}:{factories.seen(wanted)}"}
    assert signed_in(customer).post(ACT, form, follow=True).status_code == 403
    assert Client().post(ACT, form).status_code == 302
    assert everything() == before


def test_form_of_another_site_is_refused(reviewer: User, customer: User) -> None:
    wanted, client = under_review(customer), Client(enforce_csrf_checks=True)
    client.force_login(reviewer)
    assert client.post(ACT, {"request": f"{wanted.pk}:{factories.seen(wanted)}"}).status_code == 403
    wanted.refresh_from_db()
    assert wanted.state == "under_review"


def test_a_new_check_is_one_entry_for_the_act_the_list_and_the_page(
    as_reviewer: Client, reviewer: User, customer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_moon = Check(
        Effect.ONLY_REJECT,
        lambda asked: True,
        "Skipped: not at full moon.",
        "Nothing is approved at full moon.",
        refusal=lambda request: RefundsError("full moon"),
    )
    request = under_review(customer)
    monkeypatch.setattr(preview, "CHECKS", (*preview.CHECKS[:-1], full_moon, preview.APPROVE))
    [line] = selected(as_reviewer, request)
    assert (strip_tags(line.mark).strip(), line.is_acted_on) == ("Skipped: not at full moon.", False)
    assert results(as_reviewer, [line.ticket]) == {request.reference: "Skipped: not at full moon."}
    page = as_reviewer.get(reverse("admin:refunds_refundrequest_change", args=[request.pk])).content.decode()
    assert "Nothing is approved at full moon." in page
    assert reverse("admin:refunds_refundrequest_approve", args=[request.pk]) not in page
    assert reverse("admin:refunds_refundrequest_reject", args=[request.pk]) in page
    with pytest.raises(RefundsError, match="full moon"):
        approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON)


def test_every_check_that_stands_in_the_way_has_a_refusal_and_words(customer: User) -> None:
    request = under_review(customer)
    for check in preview.CHECKS:
        is_refused = check.effect in {Effect.ONLY_REJECT, Effect.UNDECIDABLE}
        assert (check.refusal is not None, check.lapse_cause is not None) == (is_refused, check.effect == Effect.LAPSES)
        assert check.in_list and (check.on_page or check in {preview.MOVED, preview.APPROVE})
        assert check.refusal is None or isinstance(check.refusal(request), RefundsError)
