"""Text that people typed can't turn a page around: each is alone in an element that isolates its direction.

Forms drop such characters; what was stored before them, and names that are written from right to left, are still shown.
"""

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from certificates.models import Application, Certificate
from certificates.states import Source
from core import audit, jobs
from core.models import Job, User
from payments.models import Difference, Payout
from payments.services import record_failed
from refunds.models import RefundRequest
from refunds.services import approve_refund, reject_refund
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

TURNED = re.compile("\u202e([a-z]+)\u05d0")


def typed(word: str) -> str:
    """A text that turns what follows it, and is itself written from right to left."""
    return f"\u202e{word}\u05d0"


# --- What is on a page -------------------------------------------------------------------------

BLOCKS = {"blockquote", "body", "dd", "div", "dt", "footer", "form", "h1", "h2", "h3", "header", "li", "main", "nav"}
BLOCKS |= {"ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "path", "circle", "rect"}
NO_TEXT_OF_A_PAGE = {"script", "style", "textarea", "option", "template"}


def isolating() -> set[str]:
    """The elements that isolate: the browser's own blocks, `bdi`, and those that our style sheet names."""
    css = (Path(settings.BASE_DIR) / "static" / "tokens.css").read_text()
    [names] = re.findall(r":where\(([^)]*)\) \{\s*unicode-bidi: isolate", css)
    return {"bdi", *BLOCKS, *(name.strip() for name in names.split(","))}


class Page(HTMLParser):
    """The texts of a page with turning characters that share their element with other words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.isolates = isolating()
        self.open: list[tuple[str, list[str]]] = []
        self.shared: list[str] = []
        self.found: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "svg" and self.open:
            self.open[-1][1].append("\ufffc")
        if tag not in VOID:
            self.open.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        while self.open and tag in {each for each, _words in self.open}:
            name, words = self.open.pop()
            text = "".join(words)
            if name in self.isolates or name == "title":
                self._judge(name, text)
            elif self.open:
                self.open[-1][1].append(text)
            if self.open and name not in BLOCKS and text.strip():
                # What's isolated is still one thing beside the words around it.
                self.open[-1][1].append("\ufffc" if name in self.isolates else "")
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] not in NO_TEXT_OF_A_PAGE:
            self.open[-1][1].append(data)

    def _judge(self, name: str, text: str) -> None:
        self.found |= set(TURNED.findall(text))
        alone = TURNED.fullmatch(text.strip())
        if (TURNED.search(text) and not alone) or (name == "title" and alone):
            self.shared.append(f"<{name}> {' '.join(text.split())!a}")


# --- Texts of every kind -----------------------------------------------------------------------


@pytest.fixture
def root() -> User:
    return factories.UserFactory(username="root", name=typed("root"), is_staff=True, is_superuser=True)


@pytest.fixture
def story(customer: User, root: User) -> None:
    """Everything that people type, stored as no form would take it today."""
    User.objects.filter(pk=customer.pk).update(name=typed("customer"))
    customer.refresh_from_db()
    product = factories.ProductFactory(brand=typed("brand"))
    texts = {"reason": "other", "text": typed("reason")}
    waiting, rejected, approved = (
        factories.submit(
            factories.certificate(customer, product=product, payments={"bank": 120_000}, bought=timedelta(days=20)),
            **texts,
        )
        for _ in range(3)
    )
    seen = factories.seen(rejected)
    reject_refund(rejected.pk, answer=typed("answer"), seen=seen, by=root, at=NOON)
    approve_refund(approved.pk, seen=factories.seen(approved), by=root, at=NOON, note=typed("note"))
    payout = Payout.objects.get(reference=approved.reference)
    cashier = factories.cashier()
    User.objects.filter(pk=cashier.pk).update(name=typed("cashier"))
    record_failed(payout.pk, typed("failure"), by=cashier, at=NOON)
    uploaded = factories.issued(customer, source=Source.UPLOADED, payments={})
    Certificate.objects.filter(pk=uploaded.pk).update(name=typed("uploaded"))
    fields = ("contact_name", "company_name", "company_number", "company_city", "company_address")
    words = {name: typed(name.replace("_", "")) for name in fields}
    Application.objects.create(certificate=waiting.certificate, domains=typed("domains"), **words)
    audit.record(uploaded, "uploaded", by=customer, at=NOON, note=typed("trail"), detail={"x": typed("detail")})
    difference = Difference.objects.create(
        channel="bank", day=NOON.date(), kind="missing_here", subject="1", currency="CNY", found_at=NOON
    )
    Difference.objects.filter(pk=difference.pk).update(note=typed("explanation"))
    jobs.enqueue("send_mail", key="x", payload={"to": typed("payload")})
    Job.objects.filter(key="send_mail:x").update(last_error=typed("error"))


PAGES = ("overview", "refund_records", "balance", "settings", "purchase", "upload")
OF_ONE = ("details", "request_refund", "cancel_refund", "apply", "verify", "download", "revoke", "delete", "renew")


def addresses_of_customer(customer: User) -> list[str]:
    mine = Certificate.objects.filter(account=customer)
    of_one = [reverse(name, args=[each.instance_id]) for each in mine for name in OF_ONE]
    records = [reverse("refund_record", args=[each]) for each in RefundRequest.objects.all()]
    orders = [reverse("order", args=[each.order.number]) for each in mine if each.order]
    return [*map(reverse, PAGES), *of_one, *records, *orders]


def addresses_of_staff() -> list[str]:
    found = [reverse("admin:index")]
    for model, desk in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{name}_changelist"), f"{reverse(f'{name}_changelist')}?state=all"]
        for row in model._default_manager.order_by("-pk")[:20]:
            found.append(reverse(f"{name}_change", args=[row.pk]))
            found += [reverse(f"{name}_{act.slug}", args=[row.pk]) for act in getattr(desk, "acts", ())]
    return found


def shared_on(client: Client, addresses: list[str], found: set[str]) -> list[str]:
    shared = []
    for address in addresses:
        answer = client.get(address, follow=True)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            page = Page(answer.content.decode())
            found |= page.found
            shared += [f"{address}: {each}" for each in page.shared]
    return shared


def test_texts_of_customers_pages_are_isolated(customer, story):
    found: set[str] = set()
    shared = shared_on(signed_in(customer), addresses_of_customer(customer), found)
    assert not shared, "\n".join(shared)
    assert {"reason", "answer", "uploaded"} <= found


def test_texts_of_the_desks_pages_are_isolated(root, story):
    found: set[str] = set()
    shared = shared_on(signed_in(root), addresses_of_staff(), found)
    assert not shared, "\n".join(shared)
    assert {
        "customer",
        "root",
        "reason",
        "answer",
        "uploaded",
        "brand",
        "note",
        "failure",
        "trail",
        "explanation",
    } <= found
