"""Everybody reads one explanation: the row, the panel, Details, the reviewer, the emails and other programs."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client

from certificates.models import Certificate, Order
from certificates.services import record_issued
from core.mail import compose
from core.models import Notice, User
from payments.models import Payout
from payments.services import not_possible, record_failed
from refunds.models import RefundRequest
from refunds.rules.explain import Explanation, explain
from refunds.rules.facts import facts_of
from refunds.rules.sentences import DATES
from refunds.rules.table import Outcome
from refunds.services import approve_refund, reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import panel_of, words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import REFUSED, SUPPORTED
from tests.staff.pages import address

DAY = timedelta(days=1)
KINDS = {**REFUSED, **SUPPORTED, "late-revocation": lambda account: factories.issued(account, ago=26 * DAY)}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_noon(frozen: time_machine.Traveller) -> None:
    frozen.move_to(NOON)


def explained(certificate: Certificate) -> Explanation:
    return explain(facts_of(certificate), NOON)


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return words(answer)


def email_of(request: RefundRequest, event: str) -> tuple[str, str]:
    """The email's text and its page, each in one line."""
    message = compose(Notice.objects.get(key__startswith=f"{request.reference}:{event}"))
    html = re.sub(r"<[^>]+>", " ", str(message.alternatives[0][0]))
    return " ".join(str(message.body).split()), " ".join(unescape(html).split())


# --- They agree --------------------------------------------------------------------------------


@pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)
def test_row_details_and_panel_give_one_answer(
    build: Callable[[User], Certificate], as_customer: Client, customer: User
):
    certificate = build(customer)
    why = explained(certificate)
    assert why.hint in page(as_customer, "/")
    details, panel = (
        page(as_customer, f"/certificates/{certificate.instance_id}/"),
        words(as_customer.get(panel_of(certificate))),
    )
    for said in (why.answer, why.advice, *(condition.text for condition in why.conditions), *why.warnings):
        assert said in details
    if why.outcome != Outcome.YES:
        assert why.answer in panel
    for condition in why.conditions:
        assert condition.text in panel
        assert condition.fact in panel


@pytest.mark.parametrize("build", SUPPORTED.values(), ids=SUPPORTED)
def test_record_reviewer_and_emails_give_the_answer_of_the_submission(
    build: Callable[[User], Certificate], customer: User, reviewer: User
):
    certificate = build(customer)
    why = explained(certificate)
    request = factories.submit(certificate)
    desk = page(signed_in(reviewer), address(request))
    for said in (why.answer, *(condition.text for condition in why.conditions)):
        assert said in desk
    record = page(signed_in(customer), f"/refunds/{request.reference}/")
    for said in (why.answer, *(f"{condition.text} {condition.fact}" for condition in why.conditions)):
        assert said in record
    if request.state != "under_review":
        # Paid at once; the first email follows the payment.
        return
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON + DAY)
    for event in ("received", "approved"):
        for text in email_of(request, event):
            for said in (why.answer, *(condition.text for condition in why.conditions)):
                assert said in text


@pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)
def test_other_programs_get_the_answer_that_pages_show(
    build: Callable[[User], Certificate], customer: User, tmp_path, capfd: pytest.CaptureFixture[str]
):
    certificate = build(customer)
    facts = facts_of(certificate).to_json()
    amounts = {name: f"{facts[name] / 100:.2f}" for name in ("paid", "voucher")}
    line = {**facts, **amounts, "at": NOON.isoformat()}
    (tmp_path / "line.jsonl").write_text(json.dumps(line) + "\n")
    call_command("assess_refunds", str(tmp_path / "line.jsonl"))
    answer = json.loads(capfd.readouterr().out)
    why, details = explained(certificate), page(signed_in(customer), f"/certificates/{certificate.instance_id}/")
    assert answer["rule"] == why.rule
    for name, label in DATES.items():
        assert (f"{label} {answer[name]}" in details) is (answer[name] is not None and answer["button"])
    assert answer["supported"] is (why.outcome == Outcome.YES)
    if answer["supported"]:
        assert f"CNY {float(answer['amount']):,.2f}" in why.answer


def test_an_email_about_a_rejection_explains_what_holds_at_its_moment(customer: User, reviewer: User):
    request = factories.submit(SUPPORTED["unissued-manual"](customer))
    later = NOON + 3 * DAY
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=later)
    why = explain(facts_of(request.certificate), later)
    new = {each.fact for each in why.conditions} - {each.fact for each in explained(request.certificate).conditions}
    assert new
    for text in email_of(request, "rejected"):
        assert all(fact in text for fact in new)


def under(policy: str, certificate: Certificate) -> Certificate:
    Order.objects.filter(pk=certificate.order_id).update(policy=policy)
    return Certificate.objects.select_related("order", "product").get(pk=certificate.pk)


@pytest.mark.parametrize(("policy", "leads_on"), [("intl-2021", True), ("intl-2026-03", False)])
def test_an_email_about_a_lapse_asks_to_revoke_only_where_that_brings_the_money_back(
    customer: User, reviewer: User, policy: str, leads_on: bool
):
    """Bought 6 days before the request and issued 3 days later, when a window of 7 days is over."""
    certificate = under(policy, cases.at_authority(customer, bought=6 * DAY))
    request = factories.submit(certificate)
    issued = NOON + 3 * DAY
    record_issued(certificate.pk, factories.handover(at=issued), by=reviewer, at=issued)
    for text in email_of(request, "lapsed"):
        assert ("revoke the certificate first" in text) is leads_on
        assert ("bought more than 7 days ago" in text) is (not leads_on)


@pytest.mark.parametrize(("policy", "may_ask_again"), [("intl-2021", True), ("intl-2026-03", False)])
def test_an_email_about_a_failure_offers_another_request_only_where_the_rules_allow_one(
    customer: User, cashier: User, policy: str, may_ask_again: bool
):
    request = factories.submit(under(policy, factories.certificate(customer, payments={"bank": 50_000})))
    later = NOON + 20 * DAY
    payout = Payout.objects.get(reference=request.reference)
    record_failed(payout.pk, "closed account", by=cashier, at=later)
    not_possible(payout.pk, "no way", by=cashier, at=later)
    for text in email_of(request, "failed"):
        assert ("please request the refund again" in text) is may_ask_again
        assert ("can't be requested here again" in text) is (not may_ask_again)


def test_emails_after_the_request_say_that_their_rules_are_those_of_its_submission(customer: User, reviewer: User):
    request = factories.submit(SUPPORTED["unissued-manual"](customer))
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON + DAY)
    plain, html = email_of(request, "approved")
    assert "When you asked, refund policy intl-2021 said: You can get" in plain
    assert "Refund policy, when you asked" in html


def test_an_uploaded_certificate_is_under_no_policy(as_customer: Client, customer: User):
    certificate = REFUSED["uploaded"](customer)
    assert "Refund policy intl-2021" not in page(as_customer, f"/certificates/{certificate.instance_id}/")
