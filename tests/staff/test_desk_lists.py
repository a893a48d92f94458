"""Every list and page of the desk: crafted addresses, counts that stop, nothing written, nothing run as markup."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.desk.lists import COUNT_LIMIT, CappedPaginator
from core.models import AuditEntry, Job, Notice, User
from payments.models import LedgerAccount, LedgerEntry, Payment, Payout
from payments.services import record_paid
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import address, list_of, ordered, under_review

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
WRITABLE = {"core.User", "auth.Group", "certificates.Product", "certificates.Voucher"}
READ_ONLY = [model for model in MODELS if model._meta.label not in WRITABLE]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
every_read_only_model = pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model._meta.label)

CRAFTED = [
    "state__regex=(",
    "state__iregex=%5B",
    "reference__regex=(",
    "id__in=x",
    "id__exact=9" + "9" * 30,
    "account__password__startswith=md5",
    "password__startswith=md5",
    "at__gte=not-a-date",
    "state__isnull=2",
    "kind__exact=1&kind__exact=2",
    "p=99999999999999999999",
    "p=-1",
    "p=x",
    "o=1.2.3",
    "o=-99",
    "o=%27",
    "all=",
    "e=1",
    "_to_field=password",
    "_to_field=id",
    "_popup=1",
    "_facets=1",
    "q=%27%22%3Cscript%3E",
    "q=" + "x" * 5000,
    "q=%25",
    "q=%5C",
    "q=%ED%A0%80",
    "q=%F0%9F%92%B0",
    "q=rf-%F4%8F%BF%BF",
    "state=%F4%8F%BF%BF",
    "unknown=1",
    "state=open&state=all",
    "days=1&who=console&kind=core.user",
]


@pytest.fixture
def as_admin(superuser: User) -> Client:
    return signed_in(superuser)


@pytest.fixture
def rows(customer: User, approver: User, cashier: User) -> None:
    """At least one row of every kind."""
    record_paid(ordered(customer, approver).pk, "outside-1", by=cashier, at=NOON)
    factories.submit(factories.certificate(customer))
    factories.pay_out()


def test_desk_lists_what_it_should() -> None:
    assert {model._meta.label for model in MODELS} == {
        "auth.Group",
        "certificates.Certificate",
        "certificates.Order",
        "certificates.Product",
        "certificates.Voucher",
        "core.AuditEntry",
        "core.Job",
        "core.Notice",
        "core.User",
        "payments.BankBatch",
        "payments.Difference",
        "payments.LedgerAccount",
        "payments.LedgerEntry",
        "payments.Payment",
        "payments.Payout",
        "refunds.RefundRequest",
    }


@every_model
def test_no_crafted_address_fails(model: Any, as_admin: Client, rows: None) -> None:
    for query in CRAFTED:
        status = as_admin.get(f"{list_of(model)}?{query}").status_code
        assert status in {200, 302, 400}, query


@every_model
def test_no_nul_in_an_address_fails(model: Any, as_admin: Client) -> None:
    for query in ("q=%00", "q=RF-%00", "q=%%0000", "state=%00", "state__exact=%00", "p=%00"):
        assert as_admin.get(f"{list_of(model)}?{query}").status_code in {200, 302, 400}, query


@every_model
def test_look_ups_past_the_filters_are_refused(model: Any, as_admin: Client) -> None:
    assert as_admin.get(f"{list_of(model)}?id__gt=0").status_code == 400


@every_model
def test_list_and_first_page_open(model: Any, as_admin: Client, rows: None) -> None:
    assert as_admin.get(list_of(model), {"state": "all"} if model in {Payout} else {}).status_code == 200
    row = model.objects.first()
    if row is not None:
        assert as_admin.get(address(row)).status_code == 200
        assert as_admin.get(address(row, "history")).status_code == 200


@every_model
def test_unknown_rows_are_not_found(model: Any, as_admin: Client) -> None:
    for unknown in ("987654", "9" * 40, "x", "_00"):
        assert as_admin.get(f"{list_of(model)}{unknown}/change/").status_code in {400, 404}
        assert as_admin.get(f"{list_of(model)}{unknown}/history/").status_code in {400, 404}


@every_read_only_model
def test_services_alone_write(model: Any, as_admin: Client, rows: None) -> None:
    row, count = model.objects.first(), model.objects.count()
    assert as_admin.get(f"{list_of(model)}add/").status_code == 403
    assert as_admin.post(f"{list_of(model)}add/", {}).status_code == 403
    if row is not None:
        assert as_admin.post(address(row), {"name": "x"}).status_code == 403
        assert as_admin.post(address(row, "delete"), {"post": "yes"}).status_code == 403
    assert model.objects.count() == count


@every_model
def test_staff_without_permission_see_neither_list_nor_page(model: Any, rows: None) -> None:
    client, row = signed_in(factories.staff("nobody")), model.objects.first()
    assert client.get(list_of(model)).status_code == 403
    if row is not None:
        assert client.get(address(row)).status_code == 403


@every_model
def test_no_list_counts_its_table(model: Any, as_admin: Client, rows: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        as_admin.get(list_of(model))
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


def test_count_stops_some_way_behind_the_page_that_is_read() -> None:
    Job.objects.bulk_create([Job(kind="x", key=f"x:{number}", payload={}) for number in range(30)])
    assert CappedPaginator(Job.objects.order_by("id"), 5, limit=20).count == 20
    assert CappedPaginator(Job.objects.order_by("id"), 5, limit=40).count == 30


def test_long_list_reads_999_and_more_and_can_be_paged_through(as_admin: Client) -> None:
    Job.objects.bulk_create([Job(kind="x", key=f"x:{number}", payload={}) for number in range(COUNT_LIMIT + 120)])
    page = as_admin.get(list_of(Job)).content.decode()
    assert "999+" in page
    last = as_admin.get(list_of(Job), {"p": "23"})
    assert last.status_code == 200
    assert len(last.context["cl"].result_list) == 20


@pytest.mark.parametrize("model", [Payout, Payment, LedgerEntry, AuditEntry, Notice], ids=lambda model: model.__name__)
def test_number_of_queries_does_not_grow_with_the_list(
    model: Any, as_admin: Client, customer: User, neighbour: User, approver: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert as_admin.get(list_of(model)).status_code == 200
        return len(captured)

    ordered(customer, approver)
    queries()
    few = queries()
    for owner in (customer, neighbour, customer):
        ordered(owner, approver)
    assert queries() == few <= 14


def test_payouts_open_on_those_that_wait_for_a_person(
    as_admin: Client, customer: User, approver: User, cashier: User
) -> None:
    waiting, paid = (
        ordered(customer, approver, payments={"card": 100}),
        ordered(customer, approver, payments={"bank": 9}),
    )
    record_paid(paid.pk, "outside-1", by=cashier, at=NOON)
    ordered(customer, approver, payments={"balance": 100})
    assert [payout.pk for payout in as_admin.get(list_of(Payout)).context["cl"].result_list] == [waiting.pk]
    assert as_admin.get(list_of(Payout), {"state": "paid"}).context["cl"].result_list[0] == paid
    assert as_admin.get(list_of(Payout), {"q": "outside-1"}).context["cl"].result_list[0] == paid
    assert as_admin.get(list_of(Payout), {"q": paid.reference}).context["cl"].result_list[0] == paid


def test_payout_leads_to_its_request(as_admin: Client, customer: User, approver: User) -> None:
    payout = ordered(customer, approver)
    link = f"/admin/refunds/refundrequest/?q={payout.reference}"
    assert link in as_admin.get(address(payout)).content.decode()
    assert as_admin.get(link).context["cl"].result_list[0].reference == payout.reference


def test_ledger_shows_day_cause_and_amount_in_words(as_admin: Client, rows: None, customer: User) -> None:
    page = as_admin.get(list_of(LedgerEntry)).content.decode().replace("\xa0", " ")
    for text in ("2026-11-23 12:00", "Refund ordered", "CNY 1,200.00", "Account balance of a customer · customer"):
        assert text in page
    balance = LedgerAccount.objects.get(owner=customer)
    assert "CNY 1,200.00" in as_admin.get(address(balance)).content.decode().replace("\xa0", " ")


def test_names_that_people_chose_are_shown_as_text(as_admin: Client, customer: User, approver: User) -> None:
    customer.name = "<img src=x onerror=alert(1)>"
    customer.save()
    payout = ordered(customer, approver, domains=("<i>shop</i>.example.com",))
    certificate = under_review(customer, domains=("<i>two</i>.example.com",)).certificate
    for model in MODELS:
        assert "<img src=x" not in as_admin.get(list_of(model)).content.decode()
    for row in (payout, payout.payment, certificate, certificate.order, customer):
        text = as_admin.get(address(row)).content.decode()
        assert "<img src=x" not in text
        assert "<i>" not in text


@every_model
def test_pages_hold_nothing_that_the_content_policy_refuses(model: Any, as_admin: Client, rows: None) -> None:
    row = model.objects.first()
    pages = [list_of(model), *([address(row)] if row is not None else [])]
    for page in pages:
        text = as_admin.get(page).content.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
