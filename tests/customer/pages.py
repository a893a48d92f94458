"""What a customer reads on a page, and how they fill in its forms: the way a browser without JavaScript would."""

import json
import re
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate


def words(page: HttpResponse) -> str:
    """The page's text in one line, without marks and scripts."""
    text = re.sub(r"<(svg|script|template|head)\b.*?</\1>|<[^>]+>", " ", page.content.decode(), flags=re.S)
    return " ".join(unescape(text).split())


def field(page: HttpResponse, name: str) -> str:
    """The value of a hidden field, or the text in a text area."""
    html = page.content.decode()
    hidden = re.search(rf'<input type="hidden" name="{name}" value="(.*?)">', html, re.S)
    area = re.search(rf'<textarea[^>]* name="{name}"[^>]*>\n?(.*?)</textarea>', html, re.S)
    found = hidden or area
    assert found, f"no field {name}"
    return unescape(found[1])


def chosen(page: HttpResponse) -> str:
    """The value of the radio button that is checked; empty for none."""
    found = re.search(r'<input type="radio"[^>]* value="(\w+)"[^>]* checked>', page.content.decode())
    return found[1] if found else ""


def announces(answer: HttpResponse) -> bool:
    """Whether lists on the page are told to fetch themselves again."""
    return "refundChanged" in json.loads(answer.get("HX-Trigger", "{}"))


def panel_of(certificate: Certificate) -> str:
    return f"/certificates/{certificate.instance_id}/refund/"


def opened(client: Client, certificate: Certificate) -> HttpResponse:
    page = client.get(panel_of(certificate))
    assert page.status_code == 200
    return page


def press(client: Client, certificate: Certificate, page: HttpResponse, step: str, **typed: Any) -> HttpResponse:
    """Press a button of a step: what the page carries, and what is typed over it."""
    carried = {"form": field(page, "form"), "reason": "no_need", "reason_text": "", "step": step}
    return client.post(panel_of(certificate), {**carried, **typed})


def is_step(page: HttpResponse, number: int) -> bool:
    return f"Step {number} of 2" in words(page)


def poll_address(page: HttpResponse) -> str:
    """Where the page asks for itself again, with the version that it shows."""
    return unescape(page.content.decode().split('hx-get="')[1].split('"')[0])


def poll_seconds(page: HttpResponse) -> int:
    """How soon it asks; 0 for never."""
    found = re.search(r'hx-trigger="every (\d+)s', page.content.decode())
    return int(found[1]) if found else 0


def listed(page: HttpResponse) -> list[str]:
    """The references in the page's table, from above."""
    table = page.content.decode().partition("<tbody")[2]
    return re.findall(r'href="/refunds/([^/"]+)/"', table)


def older_address(page: HttpResponse) -> str:
    found = re.search(r'href="(\?after=\d+)"', page.content.decode())
    return found[1] if found else ""
