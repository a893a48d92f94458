"""Every mail of the product leads to BASE_URL, whatever request is being answered, and leaves by the one queue."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from allauth.core.context import request_context
from django.conf import settings
from django.test import RequestFactory
from pytest_django import Settings

from core.email_links import LinkKind
from core.mail import compose
from core.models import Notice, User
from tests.jobs.test_mail import CONTEXT, Outline

MAILS = settings.BASE_DIR / "templates" / "mail"
TEMPLATES = sorted(path.name.removesuffix(".subject.txt") for path in MAILS.glob("*.subject.txt"))
CONSOLE = "https://console.example.com"
EVERYTHING = {
    **CONTEXT,
    "cause": "",
    "not_after": "2027-11-23T04:00:00+00:00",
    "was_asked_for": True,
    "refund_until": "2026-11-26T04:00:00+00:00",
    "address": "contact@example.com",
    "contact": "Li Wei",
    "owner": "customer",
    "expires_at": "2026-11-24T04:00:00+00:00",
    "revocation": 1,
    "link": 1,
    "change": 1,
    "username": "customer",
    "new_email": "new@example.com",
}
VARIANTS = [{}, {"refund_until": "", "was_asked_for": False}, {"lapse_cause": "issued"}]


def test_every_mail_is_looked_at() -> None:
    assert {"password_reset", "revocation_link", "refund_refunded", "certificate_issued"} <= set(TEMPLATES)
    assert len(TEMPLATES) >= 15


@pytest.mark.parametrize("variant", VARIANTS, ids=["usual", "nothing left to refund", "issued meanwhile"])
@pytest.mark.parametrize("reveal", [True, False], ids=["sent", "shown to staff"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_mail_leads_to_this_console(
    template: str, reveal: bool, variant: dict[str, object], customer: User, settings: Settings
) -> None:
    settings.BASE_URL = CONSOLE
    kind = {"link": LinkKind.RESTORE_AFTER_CHANGE} if template.startswith("email_change") else {}
    context = {**EVERYTHING, **variant, **kind}
    notice = Notice(recipient=customer, template=template, context=context, message_id="<1@x.example>")
    hostile = RequestFactory().post("/", headers={"host": "localhost:6666", "x-forwarded-host": "evil.example"})
    with request_context(hostile):
        message = compose(notice, reveal=reveal)
    [(html, _)] = message.alternatives
    links = [*re.findall(r"\S*//\S+", message.body), *Outline(html).links]
    links = [link for link in links if link != "[The"]
    assert "localhost" not in message.body + html
    assert "evil.example" not in message.body + html
    if reveal:
        assert [link for link in links if not link.startswith(f"{CONSOLE}/")] == []
        assert set(Outline(html).links) <= set(links)
        assert bool(links) == (template != "email_change_in_use")


def sources() -> Iterator[Path]:
    for floor in ("core", "payments", "certificates", "refunds", "console"):
        yield from (settings.BASE_DIR / floor).rglob("*.py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_mails_leave_by_the_queue_alone() -> None:
    senders = [path for path in sources() if imported(path) & {"django.core.mail", "smtplib"}]
    assert [path.relative_to(settings.BASE_DIR).as_posix() for path in senders] == ["core/mail.py"]


def test_nothing_builds_an_address_from_a_request() -> None:
    words = ("build_absolute_uri", "get_current_site", "get_host(", "HTTP_HOST")
    assert [path for path in sources() if any(word in path.read_text(encoding="utf-8") for word in words)] == []
    assert not list((settings.BASE_DIR / "templates" / "account").glob("email/*"))
