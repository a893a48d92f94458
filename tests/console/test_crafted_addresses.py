"""Ids, cursors and filters in an address, made up by hand: a page, a refusal or 404, and never an error of ours."""

import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from core.models import Job, User
from refunds.models import RefundRequest
from tests import factories
from tests.conftest import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

# The last ones are ids of no row: a database column holds 64 bits.
NO_IDS = ["abc", "1\0", "", "-1", "\u202e1.5", "9" * 5000]
TOO_LARGE = ["99999999999999999999", str(-(2**63) - 1)]
CRAFTED = [*NO_IDS, *TOO_LARGE]

# Together in one address, but for what a list refuses as a whole.
QUERIES = [
    ("p", "q", "o", "all", "after", "before", "since", "done", "cursor", "status", "next"),
    (
        "state",
        "kind",
        "days",
        "who",
        "day",
        "channel",
        "moved",
        "sent",
        "due",
        "rule",
        "_changelist_filters",
        "_facets",
    ),
    ("id", "id__exact", "id__in", "pk__gt", "account", "state__regex", "at__gte", "account__username"),
    ("_popup", "_to_field"),
    ("e",),
]


def names_of_crafted(value: str) -> str:
    return ascii(value[:24])


@pytest.fixture
def superuser() -> User:
    """Staff who may do anything, and own a certificate and a request as a customer does."""
    user = factories.UserFactory(username="root", is_staff=True, is_superuser=True)
    factories.submit(factories.certificate(user))
    return user


@pytest.fixture
def as_root(superuser: User) -> Client:
    return signed_in(superuser)


# --- Addresses ---------------------------------------------------------------------------------


def routes(patterns: list[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """Every address of the console, as `urls.py` writes it."""
    for each in patterns:
        route = re.sub(r"^\^|\$$|\\Z$", "", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, before + route)
        else:
            yield before + route


ROUTES = sorted({route for route in routes(get_resolver().url_patterns) if "(?P<app_label>" not in route})
WITH_IDS = [route for route in ROUTES if "<" in route]
# The key of a link that sets a password is a regular expression.
_PLACE = re.compile(r"\(\?P<\w+>[^)]*\)|<(?:\w+:)?\w+>")


@pytest.mark.parametrize("value", CRAFTED, ids=names_of_crafted)
def test_crafted_id_in_an_address_names_nothing(as_root, value):
    assert len(WITH_IDS) > 60
    for route in WITH_IDS:
        address = _PLACE.sub(quote(value, safe=""), route)
        for answer in (as_root.get(address), as_root.post(address)):
            assert answer.status_code < 500, address


@pytest.mark.parametrize("value", ["1\0", "９", "9" * 5000, TOO_LARGE[0]], ids=names_of_crafted)
def test_crafted_query_falls_back_or_is_refused(as_root, superuser, value):
    request = RefundRequest.objects.get(account=superuser)
    pages = [route for route in ROUTES if "<" not in route]
    pages += [reverse("details", args=[request.certificate.instance_id]), reverse("refund_record", args=[request])]
    pages += [reverse("admin:refunds_refundrequest_change", args=[request.pk])]
    assert len(pages) > 30
    for page in pages:
        for parameters in QUERIES if "/admin/" in page else QUERIES[:1]:
            answer = as_root.get(page, dict.fromkeys(parameters, value))
            assert answer.status_code < 500, (page, parameters)


@pytest.mark.parametrize("value", CRAFTED, ids=names_of_crafted)
@pytest.mark.parametrize(
    "fields",
    [
        ("step", "form", "reason", "reason_text", "reference"),
        ("product", "names", "quantity", "voucher"),
        ("verification", "key_type", "company_country", "domains"),
        ("request", "seen", "candidate", "assigned_to", "day", "external_reference"),
        ("sealed", "action", "domain", "name"),
    ],
    ids="-".join,
)
def test_crafted_field_is_refused_beside_it(as_root, superuser, fields, value):
    request = RefundRequest.objects.get(account=superuser)
    one = [
        reverse(name, args=[request.certificate.instance_id]) for name in ("request_refund", "renew", "apply", "revoke")
    ]
    panels = [*one, *(reverse(name) for name in ("purchase", "upload", "settings", "account_login"))]
    panels.append(reverse("cancel_refund", args=[request.certificate.instance_id]))
    panels.append(reverse("admin:refunds_refundrequest_approve_selected"))
    panels.append(reverse("admin:refunds_refundrequest_reject", args=[request.pk]))
    for panel in panels:
        answer = as_root.post(panel, dict.fromkeys(fields, value))
        assert answer.status_code < 500, panel


@pytest.mark.parametrize("value", CRAFTED, ids=names_of_crafted)
def test_crafted_field_of_a_row_that_staff_write_is_refused_beside_it(as_root, superuser, value):
    """Every form of the desk that adds a row, and changes one, with every field it has."""
    request = RequestFactory().get("/")
    request.user = superuser
    written = [desk for desk in LISTS if desk.has_add_permission(request)]
    assert len(written) > 2
    Group.objects.create(name="reviewers")
    for desk in written:
        rows = desk.model._default_manager.values_list("pk")[:1]
        for name, arguments in [("add", ()), *(("change", row) for row in rows if desk.has_change_permission(request))]:
            page = reverse(f"admin:{desk.opts.app_label}_{desk.opts.model_name}_{name}", args=arguments)
            fields = as_root.get(page).context["adminform"].form.fields
            answer = as_root.post(page, {field: [value, value] for field in fields})
            assert answer.status_code in {200, 302}, page


# --- Rows that were ticked ---------------------------------------------------------------------

LISTS = sorted(admin.site._registry.values(), key=lambda desk: desk.opts.label_lower)
WITH_ACTIONS = [desk for desk in LISTS if desk.actions]


def list_of(desk: admin.ModelAdmin) -> str:
    return reverse(f"admin:{desk.opts.app_label}_{desk.opts.model_name}_changelist")


def name_of(desk: admin.ModelAdmin) -> str:
    return str(desk.opts.label_lower)


def tick(as_root: Client, desk: admin.ModelAdmin, ids: list[str], **fields: str):
    action = getattr(desk.actions[0], "__name__", desk.actions[0]) if desk.actions else "delete_selected"
    return as_root.post(list_of(desk), {"action": action, ACTION_CHECKBOX_NAME: ids, **fields})


@pytest.mark.parametrize("desk", LISTS, ids=name_of)
def test_crafted_id_of_a_ticked_row_does_nothing(as_root, desk):
    before = list(desk.model._default_manager.order_by("pk").values())
    for value in CRAFTED:
        for fields in ({}, {"index": "0"}):
            answer = tick(as_root, desk, ["1", value], **fields)
            assert answer.status_code in {200, 302, 400, 403}, value
    for index in ("", "-1", "x", "9" * 30):
        assert tick(as_root, desk, ["1"], index=index).status_code in {200, 302, 400, 403}, index
    assert list(desk.model._default_manager.order_by("pk").values()) == before


@pytest.mark.parametrize("value", ["abc", "1\0", *TOO_LARGE, "1.5", "９9x"], ids=names_of_crafted)
@pytest.mark.parametrize("desk", WITH_ACTIONS, ids=name_of)
def test_staff_read_why_nothing_was_done_to_crafted_rows(as_root, desk, value):
    answer = tick(as_root, desk, [value])
    assert answer.status_code == 302
    assert "Nothing was done" in as_root.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("across", ["1", "0", "true", "\0", "9" * 30])
@pytest.mark.parametrize("desk", WITH_ACTIONS, ids=name_of)
def test_crafted_choice_of_all_rows_breaks_no_list(as_root, desk, across):
    answer = tick(as_root, desk, ["1"], select_across=across)
    assert answer.status_code in {200, 302}


@pytest.mark.parametrize("desk", WITH_ACTIONS, ids=name_of)
def test_the_same_row_ticked_again_and_again_is_one_row(as_root, desk):
    Job.objects.create(kind="send_mail", key="x", state=Job.State.GIVEN_UP, run_at=factories.NOON)
    known = str(desk.model._default_manager.order_by("pk").values_list("pk", flat=True)[0])
    assert tick(as_root, desk, [known] * 90).status_code in {200, 302}


def test_a_ticked_job_that_is_removed_meanwhile_is_passed_over(as_root, monkeypatch):
    """Done jobs of some kinds are removed after a week, perhaps between the list's look and the act."""
    jobs = [
        Job.objects.create(kind="send_mail", key=key, state=Job.State.GIVEN_UP, run_at=factories.NOON) for key in "xy"
    ]
    take_lock = QuerySet.select_for_update

    def lock_and_lose_one(rows, **kwargs):
        Job.objects.filter(pk=jobs[1].pk).delete()
        return take_lock(rows, **kwargs)

    monkeypatch.setattr(QuerySet, "select_for_update", lock_and_lose_one)
    [desk] = [desk for desk in WITH_ACTIONS if desk.model is Job]
    answer = tick(as_root, desk, [str(job.pk) for job in jobs])
    assert "1 job is tried again" in as_root.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("number", [2000, 40_000])
@pytest.mark.parametrize("desk", WITH_ACTIONS, ids=name_of)
def test_thousands_of_ticked_rows_are_refused_with_a_page(as_root, desk, number):
    answer = as_root.post(
        list_of(desk),
        urlencode({"action": desk.actions[0], ACTION_CHECKBOX_NAME: range(number)}, doseq=True),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 413
    assert "too large" in answer.content.decode()


def test_every_list_of_the_desk_looks_at_ids_first():
    """The check lives in one place; a list that took another base would be without it."""
    assert all(type(desk).response_action is type(WITH_ACTIONS[0]).response_action for desk in LISTS)
    assert type(WITH_ACTIONS[0]).response_action is not admin.ModelAdmin.response_action
