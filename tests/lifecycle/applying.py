"""What a customer types to apply, and how they read the panels."""

import re
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate, Product
from certificates.states import DomainType, Level
from core.models import User
from tests import factories
from tests.factories import ProductFactory

DV = {
    "domains": "shop.example.com",
    "verification": "dns",
    "contact_name": "Li Wei",
    "contact_email": "li.wei@example.com",
    "contact_phone": "+86 571 1234 5678",
    "key_type": "ec256",
    "csr": "",
}
COMPANY = {
    "company_name": "Shop Ltd",
    "company_number": "91330100-X",
    "company_country": "CN",
    "company_city": "Hangzhou",
    "company_address": "1 Lake Road",
}
OV = {**DV, **COMPANY}


def product(level: str = Level.DV, domain_type: str = DomainType.SINGLE) -> Product:
    return ProductFactory(level=level, domain_type=domain_type)


def bought(account: User, level: str = Level.DV, domain_type: str = DomainType.SINGLE, **fields: Any) -> Certificate:
    """A certificate that is not applied for yet; it has no domains."""
    certificate = factories.certificate(account, product=product(level, domain_type), **fields)
    certificate.domains.all().delete()
    return certificate


def address(certificate: Certificate, panel: str = "apply") -> str:
    return f"/certificates/{certificate.instance_id}/{panel}/"


def apply(client: Client, certificate: Certificate, **typed: Any) -> HttpResponse:
    full = OV if certificate.product.is_checked_by_staff else DV
    return client.post(address(certificate), {**full, **typed})


def error_beside(page: HttpResponse, field: str) -> str:
    """The errors beside a field, or an empty text."""
    found = re.search(rf'<ul class="field-error" id="id_{field}_error">(.*?)</ul>', page.content.decode(), re.S)
    return unescape(re.sub(r"<[^>]+>", " ", found[1])).strip() if found else ""


def kept(page: HttpResponse) -> dict[str, str]:
    """What stands in the fields of the form."""
    html = page.content.decode()
    areas = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n?(.*?)</textarea>', html, re.S)
    lines = [(_part(tag, "name"), _part(tag, "value")) for tag in re.findall(r'<input type="text"[^>]*>', html)]
    chosen = re.findall(r'<input type="radio" name="(\w+)" value="(\w+)" checked>', html)
    selects = re.findall(r'<select name="(\w+)".*?</select>', html, re.S)
    options = [(name, _selected(html, name)) for name in selects]
    return {name: unescape(value) for name, value in [*areas, *lines, *chosen, *options]}


def _part(tag: str, name: str) -> str:
    found = re.search(rf' {name}="([^"]*)"', tag)
    return found[1] if found else ""


def _selected(html: str, name: str) -> str:
    select = re.search(rf'<select name="{name}".*?</select>', html, re.S)
    found = re.search(r'<option value="(\w*)" selected>', select[0]) if select else None
    return found[1] if found else ""
