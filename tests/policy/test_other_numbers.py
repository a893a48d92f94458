"""Under a policy with other numbers, every page and every email says those and none of the shipped ones."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate
from certificates.services import record_issued
from certificates.services.mails import tell_revoked
from certificates.states import CertificateState
from core.clock import service_day
from core.mail import compose
from core.models import Notice, User
from payments.models import Payout
from payments.services import not_possible, record_failed, record_paid, record_returned
from refunds.models import RefundRequest
from refunds.rules import policies
from refunds.rules.explain import explain
from refunds.rules.facts import facts_of
from refunds.rules.policies import Rule
from refunds.services import approve_refund, cancel_refund, reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import is_step, opened, panel_of, press, words
from tests.factories import NOON
from tests.lifecycle.revoking import link_of, ov, page_of, requested
from tests.policy.oracle import nth_business_day_after
from tests.policy.test_explain import THE_SHIPPED_NUMBERS, odd_policy
from tests.refunds import cases
from tests.refunds.cases import REFUSED
from tests.staff.pages import address

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db

Build = Callable[[User], Certificate]


@pytest.fixture(autouse=True)
def at_noon(frozen: time_machine.Traveller) -> None:
    frozen.move_to(NOON)


@pytest.fixture(autouse=True)
def odd(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    """Everything is bought under 41, 43 and 47 days and 11 and 13 business days."""
    known = {**policies.POLICIES, "odd": odd_policy()}
    for module in list(sys.modules.values()):
        if getattr(module, "POLICIES", None) is policies.POLICIES and module is not policies:
            monkeypatch.setattr(module, "POLICIES", known)
    monkeypatch.setattr(policies, "POLICIES", known)
    settings.REFUND_POLICY = "odd"


def revoked_late(account: User) -> Certificate:
    """Revoked a day ago, 59 days after its issue."""
    events = {"revocation_requested_at": NOON - 2 * DAY, "revoked_at": NOON - DAY}
    return factories.issued(account, ago=60 * DAY, state=CertificateState.REVOKED, **events)


def in_review(account: User, **fields: object) -> Certificate:
    return factories.certificate(account, **{"bought": 60 * DAY, **fields})


REVIEWED = ["13 business days", "usually within 11"]
# For each rule that has numbers: a certificate, what its row says, and what both Details and the panel say.
NUMBERED: dict[str, tuple[Build, list[str], list[str]]] = {
    Rule.ISSUED_REVOKED: (factories.revoked, [], ["Revoked within 41 days of the issue", *REVIEWED]),
    Rule.REVOKED_TOO_LATE: (
        revoked_late,
        ["revoked more than 41 days after the issue"],
        ["Revoked within 41 days of the issue", "completed more than 41 days after the issue"],
    ),
    Rule.ISSUED_TOO_LONG: (
        lambda account: factories.issued(account, ago=42 * DAY),
        ["issued more than 41 days ago"],
        ["Issued no more than 41 days ago", "was issued more than 41 days ago"],
    ),
    Rule.REVOCATION_PENDING: (cases.revoking, [], ["Issued no more than 41 days ago"]),
    Rule.REVOKE_FIRST: (factories.issued, [], ["Issued no more than 41 days ago", "11 business days", *REVIEWED]),
    "late-revocation": (
        lambda account: factories.issued(account, ago=38 * DAY),
        ["Revoke today"],
        ["Issued no more than 41 days ago", "up to 11 business days to revoke"],
    ),
    Rule.UNISSUED_IMMEDIATE: (factories.certificate, [], ["Bought no more than 43 days ago"]),
    Rule.UNISSUED_MANUAL: (
        in_review,
        [],
        ["Bought more than 43 days ago", "At least 47 days left before it expires", *REVIEWED],
    ),
    Rule.UNISSUED_TOO_LATE: (
        lambda account: factories.certificate(account, bought=325 * DAY),
        ["fewer than 47 days left"],
        ["Bought no more than 43 days ago, or at least 47 days left before it expires", "fewer than 47 days are left"],
    ),
}
# The factories issue three days before NOON.
REVOKE_BY = service_day(NOON) + 38 * DAY
BUILDS: dict[str, Build] = {**REFUSED, **{rule: build for rule, (build, _row, _pages) in NUMBERED.items()}}
TABLE = [
    "Revoked within 41 days of the issue",
    "Revoked more than 41 days after the issue",
    "issued more than 41 days ago",
    "issued no more than 41 days ago",
    "bought no more than 43 days ago",
    "bought more than 43 days ago; at least 47 days left before it expires",
    "bought more than 43 days ago; fewer than 47 days left before it expires",
    "A review takes at most 13 business days, usually 11",
    "up to 11 business days to revoke",
]


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, path
    return words(answer)


def facts_in_words(certificate: Certificate) -> set[str]:
    """The counts of the certificate's own facts, which may be any number."""
    return {condition.fact for condition in explain(facts_of(certificate), NOON).conditions}


def assert_other_numbers(text: str, facts: set[str]) -> None:
    """No shipped number is named, but for the counts of the certificate's own facts."""
    for fact in facts:
        text = text.replace(fact, "")
    found = THE_SHIPPED_NUMBERS.search(text)
    assert not found, text[max(found.start() - 100, 0) : found.end() + 50]


# --- Customers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "build"), BUILDS.items(), ids=BUILDS)
def test_no_page_keeps_the_shipped_numbers(rule: str, build: Build, as_customer: Client, customer: User):
    certificate = build(customer)
    facts = facts_in_words(certificate)
    for path in ("/", f"/certificates/{certificate.instance_id}/", "/refund-policy/"):
        assert_other_numbers(page(as_customer, path), facts)
    assert_other_numbers(words(as_customer.get(panel_of(certificate))), facts)


@pytest.mark.parametrize("rule", NUMBERED)
def test_row_details_and_panel_say_the_numbers_of_the_policy(rule: str, as_customer: Client, customer: User):
    build, in_row, in_pages = NUMBERED[rule]
    certificate = build(customer)
    assert explain(facts_of(certificate), NOON).rule == rule or rule == "late-revocation"
    row = page(as_customer, "/")
    assert [said for said in in_row if said not in row] == []
    for text in (
        page(as_customer, f"/certificates/{certificate.instance_id}/"),
        words(as_customer.get(panel_of(certificate))),
    ):
        assert [said for said in in_pages if said not in text] == [], text


@pytest.mark.parametrize("rule", [Rule.ISSUED_REVOKED, Rule.UNISSUED_MANUAL])
def test_second_step_of_a_reviewed_request_says_how_long_the_review_takes(
    rule: Rule, as_customer: Client, customer: User
):
    certificate = NUMBERED[rule][0](customer)
    step = press(as_customer, certificate, opened(as_customer, certificate), "next")
    assert is_step(step, 2)
    text = words(step)
    due = nth_business_day_after(service_day(NOON), 13)
    assert [said for said in (*REVIEWED, f"Decided by, if you submit today {due}") if said not in text] == [], text
    assert_other_numbers(text, facts_in_words(certificate))


def test_second_step_without_a_review_says_until_when(as_customer: Client, customer: User):
    certificate = factories.certificate(customer)
    step = press(as_customer, certificate, opened(as_customer, certificate), "next")
    assert is_step(step, 2)
    assert f"Without a review until {service_day(certificate.purchased_at) + 43 * DAY}" in words(step)
    assert_other_numbers(words(step), facts_in_words(certificate))


def test_the_policys_own_page_says_every_number(as_customer: Client, customer: User):
    factories.certificate(customer)
    text = page(as_customer, "/refund-policy/")
    assert [said for said in TABLE if said.lower() not in text.lower()] == [], text


@pytest.mark.parametrize(
    ("path", "build", "status", "said"),
    [
        ("revoke", factories.issued, 200, [f"must be completed by {REVOKE_BY}", "11 business days", *REVIEWED]),
        ("revocation", cases.revoking, 200, [f"must be completed by {REVOKE_BY}"]),
        # Not while a refund is possible.
        ("delete", factories.revoked, 409, ["2027-11-18"]),
        ("delete", revoked_late, 200, ["a refund can no longer be requested"]),
    ],
)
def test_revoking_and_deleting_say_them(
    path: str, build: Build, status: int, said: list[str], as_customer: Client, customer: User
):
    certificate = build(customer)
    text = page(as_customer, f"/certificates/{certificate.instance_id}/{path}/", status)
    assert [each for each in said if each not in text] == [], text
    assert_other_numbers(text, facts_in_words(certificate))


def test_the_contact_who_confirms_a_revocation_reads_them(customer: User, client: Client):
    wish = requested(ov(customer))
    text = page(client, page_of(link_of(wish)))
    assert "up to 11 business days" in text
    assert_other_numbers(text, set())


# --- Staff -------------------------------------------------------------------------------------


def test_staff_read_every_number_on_the_page_of_the_policy(reviewer: User):
    text = page(signed_in(reviewer), f"{reverse('admin:refunds_refundrequest_policies')}?policy=odd")
    assert [said for said in TABLE if said.lower() not in text.lower()] == [], text
    assert_other_numbers(text, set())


def test_the_reviewers_page_says_them(customer: User, reviewer: User):
    request = factories.submit(in_review(customer))
    desk, facts = signed_in(reviewer), facts_in_words(request.certificate)
    text = page(desk, address(request))
    assert [said for said in IN_REVIEW if said not in text] == [], text
    for path in (address(request), address(request, "approve"), address(request, "reject")):
        assert_other_numbers(page(desk, path), facts)


# --- Emails and records ------------------------------------------------------------------------


IN_REVIEW = ["Bought more than 43 days ago", "At least 47 days left before it expires"]


def approved(request: RefundRequest, reviewer: User) -> Payout:
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=NOON)
    return Payout.objects.get(reference=request.reference)


def refunded(request: RefundRequest, reviewer: User, cashier: User) -> None:
    record_paid(approved(request, reviewer).pk, "outside-1", by=cashier, at=NOON)


def returned(request: RefundRequest, reviewer: User, cashier: User) -> None:
    payout = approved(request, reviewer)
    record_paid(payout.pk, "outside-1", by=cashier, at=NOON)
    record_returned(payout.pk, "no account", by=cashier, at=NOON)


def failed(request: RefundRequest, reviewer: User, cashier: User) -> None:
    payout = approved(request, reviewer)
    record_failed(payout.pk, "closed account", by=cashier, at=NOON)
    not_possible(payout.pk, "no way", by=cashier, at=NOON)


def rejected(request: RefundRequest, reviewer: User, cashier: User) -> None:
    reject_refund(request.pk, answer="No.", seen=factories.seen(request), by=reviewer, at=NOON)


def lapsed(request: RefundRequest, reviewer: User, cashier: User) -> None:
    record_issued(request.certificate_id, factories.handover(at=NOON), by=reviewer, at=NOON)


Act = Callable[[RefundRequest, User, User], object]
# Every email about a refund: what leads to it, and what it says beside no shipped number.
EMAILS: dict[str, tuple[Act, list[str]]] = {
    "received": (lambda *who: None, ["usually within 11 business days", *IN_REVIEW]),
    "approved": (lambda request, reviewer, cashier: approved(request, reviewer), IN_REVIEW),
    "rejected": (rejected, IN_REVIEW),
    "cancelled": (
        lambda request, reviewer, cashier: cancel_refund(request.pk, by=request.account, at=NOON),
        IN_REVIEW,
    ),
    "refunded": (refunded, IN_REVIEW),
    "returned": (returned, IN_REVIEW),
    "failed": (failed, IN_REVIEW),
    "lapsed": (lapsed, ["Issued no more than 41 days ago", "may need 11 business days", *REVIEWED]),
}


@pytest.mark.parametrize("event", EMAILS)
def test_every_email_says_the_numbers_of_the_policy(event: str, customer: User, reviewer: User, cashier: User):
    act, said = EMAILS[event]
    certificate = in_review(
        customer,
        payments={"bank": 50_000},
        state=CertificateState.VALIDATING_APPLICATION if event == "lapsed" else CertificateState.PENDING_APPLICATION,
        submitted_at=NOON - DAY if event == "lapsed" else None,
    )
    request = factories.submit(certificate)
    act(request, reviewer, cashier)
    notice = Notice.objects.get(template=f"refund_{event}")
    message = compose(notice)
    plain, html = str(message.body), unescape(re.sub(r"<[^>]+>", " ", str(message.alternatives[0][0])))
    facts = facts_in_words(certificate) | facts_in_words(Certificate.objects.get(pk=certificate.pk))
    for text in (" ".join(plain.split()), " ".join(html.split())):
        assert [each for each in said if each not in text] == [], text
        assert_other_numbers(text, facts)


def test_no_email_about_a_refund_is_left_out():
    [folder] = settings.TEMPLATES[0]["DIRS"][:1]
    found = {path.name.split(".")[0].removeprefix("refund_") for path in folder.glob("mail/refund_*.subject.txt")}
    assert found == set(EMAILS)


def test_the_email_about_a_received_request_names_the_day_of_the_policy(customer: User):
    request = factories.submit(in_review(customer))
    due = nth_business_day_after(service_day(NOON), 13)
    assert request.review_due == due
    assert f"by {due} at the latest" in " ".join(str(compose(Notice.objects.get()).body).split())


@pytest.mark.parametrize("act", [rejected, failed, returned])
def test_the_record_says_them(act: Act, customer: User, reviewer: User, cashier: User):
    request = factories.submit(in_review(customer, payments={"bank": 50_000}))
    act(request, reviewer, cashier)
    text = page(signed_in(customer), f"/refunds/{request.reference}/")
    assert [said for said in IN_REVIEW if said not in text] == [], text
    assert_other_numbers(text, facts_in_words(request.certificate))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (factories.revoked, ["Revoked within 41 days of the issue"]),
        (revoked_late, ["completed more than 41 days after the issue"]),
    ],
)
def test_the_email_about_a_revocation_says_them(build: Build, said: list[str], customer: User):
    certificate = Certificate.objects.select_related("order", "product").get(pk=build(customer).pk)
    tell_revoked(certificate, at=NOON)
    message = compose(Notice.objects.get(template="revocation_done"))
    for text in (str(message.body), str(message.alternatives[0][0])):
        assert [each for each in said if each not in text] == [], text
        assert_other_numbers(unescape(re.sub(r"<[^>]+>", " ", text)), facts_in_words(certificate))


# --- Sentences as they're written --------------------------------------------------------------

TYPED_IN = re.compile(r"\b(28|15|5|five|fifteen|twenty-eight) (calendar |business )?days?\b|\b(15|5) business\b", re.I)
SAYS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}


def sentences_of(path: Path) -> Iterator[str]:
    """What a file says to people: all of a template, and what Python code hands to gettext."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYS:
            yield from (
                each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def test_no_sentence_has_a_number_of_the_rules_typed_into_it():
    floors = ("core", "payments", "certificates", "refunds", "console")
    files = [path for floor in floors for path in (settings.BASE_DIR / floor).rglob("*.py")]
    files += [path for path in (settings.BASE_DIR / "templates").rglob("*") if path.suffix in {".html", ".txt"}]
    sentences = [(path, sentence) for path in files for sentence in sentences_of(path)]
    assert len(sentences) > 1_000
    assert [(str(path), said) for path, said in sentences if TYPED_IN.search(said)] == []
