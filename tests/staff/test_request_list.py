"""The list of refund requests: what it opens on, what narrows it, and that nothing in it grows with the table."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from certificates.models import SearchTerm
from core.models import User
from refunds.models import RefundRequest
from refunds.services import cancel_refund
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import approved, list_of, under_review

pytestmark = pytest.mark.django_db

LIST = list_of(RefundRequest)


@pytest.fixture
def as_clerk(clerk: User) -> Client:
    return signed_in(clerk)


def shown(client: Client, **query: str) -> list[str]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200, answer
    return [request.reference for request in answer.context["cl"].result_list]


def test_list_opens_on_what_waits_for_a_decision_the_most_urgent_first(
    as_clerk: Client, customer: User, neighbour: User, approver: User
) -> None:
    newer = under_review(customer)
    older = under_review(neighbour, at=NOON - timedelta(days=7), bought=timedelta(days=20))
    RefundRequest.objects.filter(pk=older.pk).update(review_due=NOON.date())
    approved(customer, approver)
    assert shown(as_clerk) == [older.reference, newer.reference]


def test_list_says_of_each_request_whose_what_how_much_why_and_until_when(as_clerk: Client, customer: User) -> None:
    customer.name = "Mei Chen"
    customer.save()
    request = under_review(customer, domains=("shop.example.com", "a.example.com", "b.example.com"))
    page = as_clerk.get(LIST).content.decode().replace("\xa0", " ")
    for text in (
        request.reference,
        "Mei Chen",
        "shop.example.com",
        "a.example.com",
        "+1",
        "CNY 1,200.00",
        "Not issued, with review",
        "2026-11-23 12:00",
        str(request.review_due),
        "Under review",
    ):
        assert text in page


@pytest.mark.parametrize(
    ("days", "words"), [(-2, "2 days late"), (-1, "1 day late"), (0, "today"), (3, "in 3 days"), (4, None)]
)
def test_near_and_missed_due_days_stand_there_in_words(
    as_clerk: Client, customer: User, days: int, words: str | None
) -> None:
    request = under_review(customer)
    RefundRequest.objects.filter(pk=request.pk).update(review_due=NOON.date() + timedelta(days=days))
    page = as_clerk.get(LIST).content.decode()
    assert (words in page) if words else ("tone--" not in page)


def test_states_narrow_the_list(as_clerk: Client, customer: User, approver: User) -> None:
    waiting, cancelled, paying = under_review(customer), under_review(customer), approved(customer, approver)
    cancel_refund(cancelled.pk, by=customer, at=NOON)
    assert shown(as_clerk, state="cancelled") == [cancelled.reference]
    assert shown(as_clerk, state="open") == [paying.reference, waiting.reference]
    assert shown(as_clerk, state="all") == [paying.reference, cancelled.reference, waiting.reference]


def test_due_days_and_rules_narrow_the_list(as_clerk: Client, customer: User) -> None:
    under_review(customer)
    late = factories.submit(factories.revoked(customer))
    RefundRequest.objects.filter(pk=late.pk).update(review_due=NOON.date() - timedelta(days=1))
    assert shown(as_clerk, due="over") == [late.reference]
    assert shown(as_clerk, due="today") == []
    assert shown(as_clerk, rule="issued-revoked") == [late.reference]


@pytest.mark.parametrize(
    "needle", ["{reference}", "{lower}", "{instance}", "customer", "CUSTOMER@example.com", "shop.ex"]
)
def test_search_finds_a_request_whatever_its_state(
    as_clerk: Client, customer: User, neighbour: User, needle: str
) -> None:
    wanted = under_review(customer)
    cancel_refund(wanted.pk, by=customer, at=NOON)
    under_review(neighbour, domains=("other.example.net",))
    for text in ("shop.example.com", "example.com", "com"):
        SearchTerm.objects.create(certificate=wanted.certificate, account=customer, text=text)
    names = {
        "reference": wanted.reference[:16],
        "lower": wanted.reference.lower(),
        "instance": wanted.certificate.instance_id,
    }
    assert shown(as_clerk, q=needle.format(**names)) == [wanted.reference]
    assert shown(as_clerk, q="nothing like it") == []


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"due": "x'"}, {"rule": "("}])
def test_unknown_values_fall_back(as_clerk: Client, customer: User, query: dict[str, str]) -> None:
    request = under_review(customer)
    assert shown(as_clerk, **query) == [request.reference]


def test_request_that_came_with_a_warning_is_marked(as_clerk: Client, customer: User) -> None:
    under_review(customer)
    assert "may expire before" not in as_clerk.get(LIST).content.decode()
    under_review(customer, service_ends_at=NOON + timedelta(days=17))
    assert "may expire before" in as_clerk.get(LIST).content.decode()


def test_number_of_queries_does_not_grow_with_the_list(as_clerk: Client, customer: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            as_clerk.get(LIST)
        return len(captured)

    under_review(customer)
    queries()  # permissions and content types are read once
    few = queries()
    for _each in range(5):
        under_review(customer, domains=("a.example.com", "b.example.com"))
    assert queries() == few <= 12


def test_customer_does_not_see_the_list(customer: User) -> None:
    assert signed_in(customer).get(LIST, follow=True).status_code == 403


def test_staff_without_permission_do_not_see_the_list(db: None) -> None:
    assert signed_in(factories.staff("nobody")).get(LIST).status_code == 403


def test_list_offers_no_adding_changing_or_deleting(superuser: User, customer: User) -> None:
    request, client = under_review(customer), signed_in(superuser)
    assert client.get(LIST + "add/").status_code == 403
    assert client.post(LIST + "add/", {}).status_code == 403
    assert client.post(f"{LIST}{request.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{LIST}{request.pk}/change/", {"state": "refunded"}).status_code == 403
    assert client.post(LIST, {"action": "delete_selected", "_selected_action": [request.pk]}).status_code in {200, 302}
    request.refresh_from_db()
    assert request.state == "under_review"
