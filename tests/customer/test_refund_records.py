"""Refund Records: the account's requests, newest first, twenty a page."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from core.models import User
from refunds.models import RefundRequest
from refunds.services import cancel_refund
from refunds.states import RequestState
from tests import factories
from tests.customer import requests
from tests.customer.pages import listed, older_address, poll_address, words
from tests.factories import NOON
from tests.refunds import cases

RECORDS = "/refunds/"


def many(customer: User, count: int) -> list[str]:
    """References of so many requests, newest first."""
    return [factories.submit(cases.in_review(customer)).reference for _ in range(count)][::-1]


def test_nobody_reads_them_without_signing_in(db: None) -> None:
    assert Client().get(RECORDS)["Location"] == "/accounts/login/?next=/refunds/"


def test_an_account_sees_its_own_requests_alone(customer: User, neighbour: User, as_customer: Client) -> None:
    own, theirs = requests.under_review(customer), requests.under_review(neighbour)
    text = words(as_customer.get(RECORDS))
    assert own.reference in text
    assert theirs.reference not in text


def test_without_requests_one_sentence_says_so(as_customer: Client) -> None:
    assert "You have not requested a refund yet." in words(as_customer.get(RECORDS))


def test_a_line_has_reference_certificate_amount_state_and_days(customer: User, as_customer: Client) -> None:
    request = requests.under_review(customer)
    assert (
        f"{request.reference} shop.example.com {request.certificate.instance_id} CNY 1,200.00 Under review "
        "Submitted 2026-11-23 12:00 Due 2026-12-14"
    ) in words(as_customer.get(RECORDS))


def test_what_has_ended_names_its_end_instead_of_the_due_day(customer: User, as_customer: Client) -> None:
    requests.cancelled(customer)
    text = words(as_customer.get(RECORDS))
    assert "Submitted 2026-11-23 12:00 Ended 2026-11-23 12:00" in text
    assert "2026-12-14" not in text


def test_what_is_decided_has_no_due_day(customer: User, as_customer: Client) -> None:
    requests.approved(customer)
    assert "2026-12-14" not in words(as_customer.get(RECORDS))


@pytest.mark.parametrize(("state", "build"), requests.IN_EVERY_STATE.items())
def test_each_state_has_its_icon_and_word(
    customer: User, as_customer: Client, state: str, build: requests.Build
) -> None:
    build(customer)
    page = as_customer.get(RECORDS).content.decode()
    label = str(RequestState(state).label)
    [chip] = [part for part in page.split('<span class="chip')[1:] if label in part.split("</span>")[0]]
    assert "<svg" in chip.split("</span>")[0]


# --- Pages -------------------------------------------------------------------------------------


def test_twenty_stand_on_a_page_and_older_ones_behind_it(customer: User, as_customer: Client) -> None:
    references = many(customer, 45)
    first = as_customer.get(RECORDS)
    second = as_customer.get(RECORDS + older_address(first))
    third = as_customer.get(RECORDS + older_address(second))
    assert [listed(page) for page in (first, second, third)] == [references[:20], references[20:40], references[40:]]
    assert older_address(third) == ""


def test_newer_leads_back_to_the_same_page(customer: User, as_customer: Client) -> None:
    references = many(customer, 45)
    ids = dict(RefundRequest.objects.values_list("reference", "pk"))
    second = as_customer.get(RECORDS, {"before": ids[references[40]]})
    assert listed(second) == references[20:40]
    assert f'href="?before={ids[references[20]]}"' in second.content.decode()
    assert older_address(second) == f"?after={ids[references[39]]}"


def test_a_page_without_neighbours_has_no_paging(customer: User, as_customer: Client) -> None:
    many(customer, 20)
    assert 'class="paging"' not in as_customer.get(RECORDS).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=x",
        "after=-1",
        "after=1e3",
        "after=٣",
        "after=" + "9" * 5000,
        "before=99999999999",
        "after=0",
        "page=2",
    ],
)
def test_an_unknown_place_falls_back_to_the_first_page(customer: User, as_customer: Client, query: str) -> None:
    references = many(customer, 3)
    page = as_customer.get(f"{RECORDS}?{query}")
    assert page.status_code == 200
    assert listed(page) == references


def test_a_page_is_read_in_the_same_number_of_queries_whatever_it_holds(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 24):
        many(customer, count)
        # Session, account, requests with their certificates, refunds that staff are checking.
        with django_assert_num_queries(4):
            as_customer.get(RECORDS)


# --- It refreshes itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "seconds"), [(requests.approved, 2), (requests.under_review, 15), (requests.refunded, None)]
)
def test_it_asks_again_only_while_something_is_in_motion(
    customer: User, as_customer: Client, build: requests.Build, seconds: int | None
) -> None:
    build(customer)
    html = as_customer.get(RECORDS).content.decode()
    if seconds is None:
        assert 'hx-trigger="refundChanged from:body"' in html
    else:
        assert f'hx-trigger="every {seconds}s, refundChanged from:body"' in html


def test_a_poll_gets_the_list_alone_when_it_has_changed_and_nothing_before(customer: User, htmx: Client) -> None:
    request = requests.under_review(customer)
    address = poll_address(htmx.get(RECORDS))
    assert htmx.get(address).status_code == 204
    cancel_refund(request.pk, by=customer, at=NOON)
    answer = htmx.get(address)
    assert "Cancelled by you" in words(answer)
    assert "<html" not in answer.content.decode()


def test_a_poll_stays_on_its_page(customer: User, htmx: Client) -> None:
    references = many(customer, 25)
    ids = dict(RefundRequest.objects.values_list("reference", "pk"))
    address = poll_address(htmx.get(RECORDS, {"after": ids[references[19]]}))
    cancel_refund(ids[references[22]], by=customer, at=NOON)
    assert listed(htmx.get(address)) == references[20:]
