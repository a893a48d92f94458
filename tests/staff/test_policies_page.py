"""The policies as staff read them, where two differ, and a trial of one over the certificates in the database."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from certificates.models import Order
from core import jobs
from core.models import Job, User
from refunds.admin import policies as desk_policies
from refunds.models import PolicyTrial
from refunds.rules.policies import POLICIES, Policy
from refunds.rules.printed import PolicyDifference
from refunds.rules.table import TableError
from refunds.services import trials
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import everything

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:refunds_refundrequest_policies")
DAY = timedelta(days=1)


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    return signed_in(reviewer)


def run_jobs() -> None:
    """Let the worker do everything that's due."""
    while jobs.run_due("worker", clock=lambda: NOON):
        pass


def table_in(page: HttpResponse, section: str) -> list[dict[str, str]]:
    """The rows of a section's table, each cell by the heading of its column."""
    html = page.content.decode().partition(f'id="{section}"')[2].partition("</section>")[0]
    head, *rows = [re.findall(r"<t[hd]\b.*?</t[hd]>", row, re.S) for row in re.findall(r"<tr.*?</tr>", html, re.S)]
    plain = lambda cell: " ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split())  # noqa: E731
    return [dict(zip(map(plain, head), map(plain, row), strict=True)) for row in rows]


# --- Tables and differences --------------------------------------------------------------------


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_is_shown_with_its_rows_and_its_proof(as_reviewer: Client, name: str):
    text = words(as_reviewer.get(PAGE, {"policy": name}))
    assert f"{len(POLICIES[name].table.cells):,}".replace(",", "") in text.replace(",", "")
    assert "each decided by one row" in text
    for row in POLICIES[name].table.rows:
        assert row.rule in text


def test_intl_2021_has_the_cells_that_its_proof_promises(as_reviewer: Client):
    assert as_reviewer.get(PAGE, {"policy": "intl-2021"}).context["cells"] == 1280


def test_what_two_policies_decide_differently_is_said_in_words(as_reviewer: Client):
    page = as_reviewer.get(PAGE, {"policy": "intl-2026-03", "against": "intl-2021"})
    found = page.context["differences"]
    assert found
    for each in found:
        assert each.before != each.now
        assert each.when in words(page)
    assert as_reviewer.get(PAGE, {"policy": "intl-2021"}).context["differences"] == []


def test_the_days_of_reviews_and_authorities_and_our_reading_are_shown(as_reviewer: Client):
    text = words(as_reviewer.get(PAGE, {"policy": "intl-2026-03"}))
    assert "A review takes at most 15 business days, usually 5." in text
    assert "A certificate authority may take up to 5 business days to revoke a certificate." in text
    assert (
        "The provider's page doesn't say which refunds need a review. That revoked certificates need one, and unissued "
        "ones don't, is our reading."
    ) in text


def test_differences_stand_below_the_policy_that_says_so(as_reviewer: Client):
    for policy, other in (("intl-2026-03", "intl-2021"), ("intl-2021", "intl-2026-03")):
        rows = table_in(as_reviewer.get(PAGE, {"policy": policy, "against": other}), "differences")
        said = {row["Certificates"]: (row["intl-2021"], row["intl-2026-03"]) for row in rows}
        assert said["Bought more than 7 days ago; revoked within 28 days of the issue"] == (
            "Full refund, after a review",
            "No refund",
        )
        assert list(rows[0]) == ["Certificates", other, policy]


def test_policies_that_cannot_be_compared_say_why(as_reviewer: Client, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_policies: Policy) -> list[PolicyDifference]:
        raise TableError("Their first rows differ.")

    monkeypatch.setattr(desk_policies, "differences_between", refuse)
    page = as_reviewer.get(PAGE, {"policy": "intl-2026-03", "against": "intl-2021"})
    assert "Their first rows differ." in words(page)


def test_unknown_policies_show_the_first_one_and_compare_nothing(as_reviewer: Client):
    page = as_reviewer.get(PAGE, {"policy": "nonsense\x00", "against": "9" * 400})
    assert (page.status_code, page.context["policy"].name, page.context["against"]) == (200, "intl-2021", None)


def test_who_may_not_see_requests_sees_no_policies_and_no_link():
    stranger = signed_in(factories.staff("stranger", "payments.view_payout"))
    assert stranger.get(PAGE).status_code == 403
    assert stranger.post(PAGE).status_code == 403
    assert PAGE not in stranger.get(reverse("admin:index")).content.decode()
    assert not PolicyTrial.objects.exists()


def test_first_page_leads_to_the_policies(as_reviewer: Client):
    assert PAGE in as_reviewer.get(reverse("admin:index")).content.decode()


# --- A trial -----------------------------------------------------------------------------------


@pytest.fixture
def stock(customer: User) -> None:
    """Under intl-2021: one paid at once, one reviewed, one revoked in time; each bought 5 to 10 days ago."""
    factories.certificate(customer, bought=5 * DAY)
    cases.in_review(customer, bought=10 * DAY)
    factories.revoked(customer)


def test_a_trial_counts_both_answers_in_the_background_and_changes_nothing_else(
    as_reviewer: Client, stock: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trials, "PASS", 2)
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    before = {name: rows for name, rows in everything().items() if name != "Job"}
    assert as_reviewer.get(PAGE, {"policy": "intl-2026-03"}).context["examined"] == 0
    run_jobs()
    page = as_reviewer.get(PAGE, {"policy": "intl-2026-03"})
    assert page.context["examined"] == 3
    assert PolicyTrial.objects.get().finished_at == NOON
    counted = {(each.own, each.other, each.differs): each.number for each in page.context["counted"]}
    assert counted == {
        ("Full refund, at once", "Full refund, at once", False): 1,
        ("Full refund, after a review", "No refund", True): 1,
        ("Full refund, after a review", "Full refund, after a review", False): 1,
    }
    assert page.context["counted"][0].differs
    assert {name: rows for name, rows in everything().items() if name != "Job"} == before


@pytest.mark.parametrize(
    ("own", "tried", "said"),
    [
        ("intl-2021", "intl-2026-03", ("Full refund, after a review", "No refund")),
        ("intl-2026-03", "intl-2021", ("No refund", "Full refund, after a review")),
    ],
)
def test_a_trial_shows_each_answer_below_the_policy_that_gives_it(
    as_reviewer: Client, customer: User, own: str, tried: str, said: tuple[str, str]
):
    """Bought 10 days ago and not issued: `intl-2021` has it reviewed, and the window of `intl-2026-03` is over."""
    certificate = cases.in_review(customer, bought=10 * DAY)
    Order.objects.filter(pk=certificate.order_id).update(policy=own)
    as_reviewer.post(f"{PAGE}?policy={tried}")
    run_jobs()
    [row] = table_in(as_reviewer.get(PAGE, {"policy": tried}), "trial")
    assert list(row)[:2] == ["Their own policy", tried]
    assert (row["Their own policy"], row[tried]) == (said[0], f"{said[1]} differs")
    assert (row["Certificates"], row["Some of them"]) == ("1", certificate.instance_id)


def test_a_trial_asks_about_its_own_moment(as_reviewer: Client, customer: User):
    """Bought 7 days ago when the trial is ordered; the worker gets to it two days later, when the window is over."""
    factories.certificate(customer, bought=7 * DAY)
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    while jobs.run_due("worker", clock=lambda: NOON + 2 * DAY):
        pass
    [row] = table_in(as_reviewer.get(PAGE, {"policy": "intl-2026-03"}), "trial")
    assert (row["Their own policy"], row["intl-2026-03"]) == (
        "Full refund, after a review",
        "Full refund, at once differs",
    )


def test_a_trial_counts_nothing_that_was_bought_after_its_moment(as_reviewer: Client, customer: User):
    factories.certificate(customer, bought=2 * DAY)
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    factories.certificate(customer, at=NOON + DAY, bought=timedelta(0))
    run_jobs()
    assert as_reviewer.get(PAGE, {"policy": "intl-2026-03"}).context["examined"] == 1


def test_a_trials_examples_lead_to_their_certificates(customer: User, as_reviewer: Client):
    certificate = cases.in_review(customer, bought=10 * DAY)
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    run_jobs()
    page = as_reviewer.get(PAGE, {"policy": "intl-2026-03"}).content.decode()
    assert reverse("admin:certificates_certificate_change", args=[certificate.pk]) in page


def test_a_trial_that_runs_is_not_started_twice(as_reviewer: Client, stock: None):
    for _ in range(2):
        as_reviewer.post(f"{PAGE}?policy=cn-2021-07")
    assert PolicyTrial.objects.count() == 1
    run_jobs()
    as_reviewer.post(f"{PAGE}?policy=cn-2021-07")
    assert PolicyTrial.objects.count() == 2


def test_a_trial_whose_job_was_given_up_is_carried_on_by_starting_it_again(as_reviewer: Client, stock: None):
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    button = "Start a trial"
    assert button not in words(as_reviewer.get(PAGE, {"policy": "intl-2026-03"}))
    Job.objects.filter(kind="try_policy").update(state=Job.State.GIVEN_UP)
    assert button in words(as_reviewer.get(PAGE, {"policy": "intl-2026-03"}))
    as_reviewer.post(f"{PAGE}?policy=intl-2026-03")
    run_jobs()
    assert PolicyTrial.objects.get().finished_at


def test_a_trial_of_an_empty_database_ends(as_reviewer: Client):
    as_reviewer.post(f"{PAGE}?policy=cn-2021-07")
    run_jobs()
    assert PolicyTrial.objects.get().finished_at is not None
