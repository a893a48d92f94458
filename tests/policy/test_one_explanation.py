"""Everybody reads one explanation: the row, the panel, Details, the reviewer, the emails and other programs."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from certificates.models import Certificate, Order
from certificates.services import record_issued
from certificates.services.mails import tell_revoked
from core.mail import compose
from core.models import Notice, User
from payments.models import Payout
from payments.services import not_possible, record_failed
from refunds.models import RefundRequest
from refunds.rules.explain import Explanation, explain
from refunds.rules.facts import facts_of
from refunds.rules.offer import Offer
from refunds.rules.sentences import DATES
from refunds.rules.situation import situation_of
from refunds.rules.table import Outcome
from refunds.services import approve_refund, reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.customer import requests
from tests.customer.pages import panel_of, words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import REFUSED, SUPPORTED
from tests.refunds.test_channel_refunds import CARD, found_at_channel, reviewed
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


def told_to_other_programs(certificate: Certificate, folder: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `assess_refunds` prints for the certificate's facts."""
    facts = facts_of(certificate).to_json()
    amounts = {name: f"{facts[name] / 100:.2f}" for name in ("paid", "voucher")}
    (folder / "line.jsonl").write_text(json.dumps({**facts, **amounts, "at": NOON.isoformat()}) + "\n")
    call_command("assess_refunds", str(folder / "line.jsonl"))
    return json.loads(capfd.readouterr().out)


# What pages say of a review, by what other programs are told.
REVIEWS = {"manual": "back after a review", "none": "back at once, without a review", None: ""}


@pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)
def test_other_programs_get_the_answer_that_pages_show(
    build: Callable[[User], Certificate], customer: User, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    certificate, client = build(customer), signed_in(customer)
    answer, why = told_to_other_programs(certificate, tmp_path, capfd), explained(certificate)
    details, panel = page(client, f"/certificates/{certificate.instance_id}/"), words(client.get(panel_of(certificate)))
    assert (answer["rule"], answer["supported"]) == (why.rule, why.outcome == Outcome.YES)
    assert REVIEWS[answer["review"]] in details
    for text in (details, panel):
        for name, label in DATES.items():
            assert (f"{label} {answer[name]}" in text) is (answer[name] is not None and answer["button"])
    if answer["supported"]:
        amount = f"CNY {float(answer['amount']):,.2f}"
        assert all(amount in text for text in (why.answer, details, panel, page(client, "/")))


# --- Where a request or a refund found at the channel decides ----------------------------------


def found(account: User) -> Certificate:
    certificate = cases.in_review(account, payments=CARD)
    found_at_channel(certificate)
    return certificate


def found_under_review(account: User) -> Certificate:
    request = reviewed(account)
    found_at_channel(request.certificate)
    return request.certificate


OVERRULED: dict[str, tuple[Callable[[User], Certificate], str]] = {
    "under review": (lambda account: requests.under_review(account).certificate, "under way"),
    "money ordered": (lambda account: requests.by_hand(account).certificate, "under way"),
    "one part paid": (lambda account: requests.paying(account).certificate, "under way"),
    "paid": (lambda account: requests.refunded(account).certificate, "has been paid back"),
    "found": (found, "The payment channel has already made a refund of this certificate"),
    "found under review": (found_under_review, "under way"),
}


@pytest.mark.parametrize("build", [build for build, _said in OVERRULED.values()], ids=OVERRULED)
def test_customer_reads_what_decides_first_and_the_rules_below(
    build: Callable[[User], Certificate], customer: User, as_customer: Client
):
    certificate = cases.anew(build(customer))
    situation, why = situation_of(certificate, NOON), explained(certificate)
    assert situation.overruled
    assert situation.explanation == why
    with timezone.override(customer.time_zone):
        answer = situation.answer
    for path in (f"/certificates/{certificate.instance_id}/", panel_of(certificate)):
        text = words(as_customer.get(path))
        above, _, below = text.partition(answer)
        assert below, text
        for said in (why.answer, *(part for each in why.conditions for part in (each.text, each.fact))):
            assert said in below
            assert said not in above


@pytest.mark.parametrize(("build", "said"), OVERRULED.values(), ids=OVERRULED)
def test_row_and_other_programs_agree_where_something_else_decides(
    build: Callable[[User], Certificate],
    said: str,
    customer: User,
    as_customer: Client,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    """The row offers no refund; other programs are told of the rules alone, as the pages' lower part says."""
    certificate = cases.anew(build(customer))
    situation = situation_of(certificate, NOON)
    assert said in situation.answer
    assert situation.offer != Offer.REFUND
    html = as_customer.get("/").content.decode()
    assert f'{panel_of(certificate)}"' not in html
    with timezone.override(customer.time_zone):
        assert situation.hint in page(as_customer, "/")
    answer = told_to_other_programs(certificate, tmp_path, capfd)
    assert answer["rule"] == situation.explanation.rule
    assert answer["supported"] is (situation.explanation.outcome == Outcome.YES)


@pytest.mark.parametrize("build", [build for build, _said in OVERRULED.values()], ids=OVERRULED)
def test_record_reviewer_and_emails_keep_the_answer_of_the_submission_where_something_else_decides(
    build: Callable[[User], Certificate], customer: User, reviewer: User
):
    build(customer)
    request = RefundRequest.objects.filter(account=customer).first()
    if request is None:
        # A refund found at the channel without a request has no record and no email.
        assert not Notice.objects.filter(template__startswith="refund_").exists()
        return
    why = explain(request.facts_at_submission, request.submitted_at)
    told = [why.answer, *(part for each in why.conditions for part in (each.text, each.fact))]
    texts = [page(signed_in(reviewer), address(request)), page(signed_in(customer), f"/refunds/{request.reference}/")]
    notices = Notice.objects.filter(key__startswith=f"{request.reference}:")
    for event in {notice.template.removeprefix("refund_") for notice in notices}:
        texts += email_of(request, event)
    for text in texts:
        assert [said for said in told if said not in text] == [], text


def test_an_email_about_a_rejection_explains_what_holds_at_its_moment(customer: User, reviewer: User):
    request = factories.submit(SUPPORTED["unissued-manual"](customer))
    later = NOON + 3 * DAY
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=later)
    why = explain(facts_of(request.certificate), later)
    new = {each.fact for each in why.conditions} - {each.fact for each in explained(request.certificate).conditions}
    assert new
    for text in email_of(request, "rejected"):
        assert all(fact in text for fact in new)


@pytest.mark.parametrize(("policy", "may_ask_again"), [("intl-2021", True), ("cn-2021-07", False)])
def test_an_email_about_a_rejection_offers_another_request_only_where_the_rules_allow_one(
    customer: User, reviewer: User, policy: str, may_ask_again: bool
):
    """Requested on the sixth day and rejected four days later, when a window of 7 days is over."""
    request = factories.submit(under(policy, SUPPORTED["unissued-manual"](customer)))
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=NOON + 4 * DAY)
    for text in email_of(request, "rejected"):
        assert "The certificate is no longer on hold." in text
        assert ("You can request a refund again" in text) is may_ask_again
        assert ("bought more than 7 days ago" in text) is (not may_ask_again)


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
        # What the customer may leave as it is comes before what can't be undone.
        assert (text.find("revoke the certificate first") < text.find("Revoke the certificate by")) is leads_on
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
    for event in ("received", "approved"):
        plain, html = email_of(request, event)
        assert "When you asked, refund policy intl-2021 said: You can get" in plain
        assert "Refund policy, when you asked" in html


def test_an_uploaded_certificate_is_under_no_policy(as_customer: Client, customer: User):
    certificate = REFUSED["uploaded"](customer)
    assert "Refund policy intl-2021" not in page(as_customer, f"/certificates/{certificate.instance_id}/")


def test_cancelling_says_whether_the_refund_can_be_requested_again(as_customer: Client, customer: User):
    """Requested on the sixth day; a window of 7 days closes while staff review it."""
    for policy, day, said in (
        ("intl-2021", NOON, "You can request the refund again until 2027-11-02."),
        ("cn-2021-07", NOON + 4 * DAY, "If you cancel, you can't request this refund again. Not refundable: it was"),
    ):
        certificate = under(policy, SUPPORTED["unissued-manual"](customer))
        factories.submit(certificate)
        with time_machine.travel(day, tick=False):
            assert said in page(signed_in(customer), f"/certificates/{certificate.instance_id}/refund/cancel/")


def test_time_alone_does_not_warn_the_reviewer(customer: User, reviewer: User, frozen: time_machine.Traveller):
    request = factories.submit(under("cn-2021-07", factories.certificate(customer)))
    frozen.move_to(NOON + 10 * DAY)
    text = page(signed_in(reviewer), address(request))
    does_not_count = "Nothing that has changed since then counts against it."
    assert "Now: Not refundable: it was bought more than 7 days ago." in text
    assert does_not_count in text
    Certificate.objects.filter(pk=request.certificate_id).update(paid_part=1)
    assert does_not_count not in page(signed_in(reviewer), address(request))


def test_an_email_says_first_that_the_channel_has_made_a_refund_itself(customer: User, reviewer: User):
    request = factories.submit(SUPPORTED["unissued-manual"](customer))
    Certificate.objects.filter(pk=request.certificate_id).update(refund_found_at=NOON)
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=NOON + DAY)
    for text in email_of(request, "rejected"):
        assert text.index("The payment channel has already made a refund") < text.index("You can get CNY 1,200.00 back")
        assert "You can request a refund again" not in text


def test_an_email_about_a_revocation_explains_the_rules(customer: User):
    certificate = cases.revoking(customer)
    tell_revoked(Certificate.objects.select_related("order", "product").get(pk=certificate.pk), at=NOON)
    message = compose(Notice.objects.get(key=f"{certificate}:revoked"))
    why = explained(certificate)
    assert why.conditions
    for text in (str(message.body), unescape(str(message.alternatives[0][0]))):
        assert all(condition.text in text for condition in (why.conditions))
        assert why.answer in text


def test_an_email_names_the_day_on_which_a_condition_changes_only_where_it_explains_its_own_moment(
    customer: User, reviewer: User
):
    request = factories.submit(cases.in_review(customer))
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=NOON + DAY)
    for text in email_of(request, "rejected"):
        assert "At least 15 days left before it expires" in text
        assert "(changes on 2027-11-03)" in text
    for text in email_of(request, "received"):
        assert "changes on" not in text
