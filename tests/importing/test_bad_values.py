"""Every value that is refused: the line, the field, the reason, and that nothing is stored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.importing.reading import OPTIONAL, REQUIRED
from certificates.models import Order
from refunds.rules.policies import POLICIES
from tests.importing.files import refuse, row, run, write_csv, write_json_lines
from tests.importing.make_certificates import certificate

pytestmark = pytest.mark.django_db

PEM = "certificates/shop.example.com.pem"
# Bought the day before that certificate was issued.
WITH_PEM = {"certificate": PEM, "paid_at": "2026-11-17T10:00:00+08:00"}
ISSUED = {"issued_at": "2026-11-21T10:00:00+08:00"}


FIELDS: list[tuple[dict[str, Any], str, str]] = [
    # --- order and account
    ({"order_number": "A" * 65}, "order_number", "is longer than 64 characters"),
    ({"account": "ali ce"}, "account", "is not an account's name: letters, digits and @ . + - _, at most 150"),
    ({"account": "a" * 151}, "account", "is not an account's name: letters, digits and @ . + - _, at most 150"),
    ({"account": "ali\0ce"}, "account", "holds a NUL character"),
    ({"brand": "Digi\x07Cert"}, "brand", "holds a character that cannot be printed"),
    ({"email": "alice"}, "email", "is not an email address"),
    ({"policy": "intl-1999"}, "policy", f"is not one of {', '.join(sorted(POLICIES))}"),
    # --- times
    (
        {"paid_at": "20.11.2026"},
        "paid_at",
        "doesn't begin with the year, so day and month could be confused: write 2026-11-03",
    ),
    ({"paid_at": "yesterday"}, "paid_at", "is not a time as RFC 3339 writes it, 2026-06-01T12:00:00+08:00"),
    ({"paid_at": "2026-11-20T10:00:00"}, "paid_at", "has no offset (Z, or +08:00)"),
    ({"paid_at": "2026-11-31T10:00:00Z"}, "paid_at", "is not a time of the calendar and the clock"),
    ({"paid_at": "1969-12-31T23:59:59Z"}, "paid_at", "is not in the years 1970 to 2200"),
    ({"paid_at": "0001-01-01T00:00:00+14:00"}, "paid_at", "is not a time of the calendar and the clock"),
    ({"paid_at": "2026-11-23T04:00:01Z"}, "paid_at", "lies in the future"),
    ({"submitted_at": "2026-11-20T09:59:59+08:00"}, "submitted_at", "is before paid_at"),
    ({"submitted_at": "2026-11-23T04:00:01Z"}, "submitted_at", "lies in the future"),
    (
        {"submitted_at": "2026-11-22T00:00:00Z", "validated_at": "2026-11-21T00:00:00Z"},
        "validated_at",
        "is before submitted_at",
    ),
    ({"validated_at": "2026-11-22T00:00:00Z", **ISSUED}, "issued_at", "is before validated_at"),
    (
        {**ISSUED, "revocation_requested_at": "2026-11-21T01:59:59Z"},
        "revocation_requested_at",
        "is before issued_at",
    ),
    (
        {**ISSUED, "revocation_requested_at": "2026-11-22T02:00:00Z", "revoked_at": "2026-11-22T01:00:00Z"},
        "revoked_at",
        "is before revocation_requested_at",
    ),
    (
        {"revoked_at": "2026-11-22T01:00:00Z"},
        "revoked_at",
        "needs issued_at or a certificate: nothing was issued that could be revoked",
    ),
    (
        {"revocation_requested_at": "2026-11-22T01:00:00Z"},
        "revocation_requested_at",
        "needs issued_at or a certificate: nothing was issued that could be revoked",
    ),
    ({"service_days": "0"}, "service_days", "is not a whole number from 1 to 3660"),
    ({"service_days": "1.5"}, "service_days", "is not a whole number from 1 to 3660"),
    ({"service_days": "3661"}, "service_days", "is not a whole number from 1 to 3660"),
    # --- money
    ({"currency": "cny"}, "currency", "is not a currency's code, three capital letters of ISO 4217"),
    ({"currency": "XQX"}, "currency", "is not a currency's code, three capital letters of ISO 4217"),
    ({"paid_amount": "1,200.00"}, "paid_amount", "is not an amount, digits or digits.digits"),
    ({"paid_amount": "-1200.00"}, "paid_amount", "is not an amount, digits or digits.digits"),
    ({"paid_amount": "1200.001"}, "paid_amount", "has more decimal digits than CNY (2)"),
    ({"list_amount": "92233720368547758.08"}, "list_amount", "is too large"),
    ({"list_amount": "1249.99"}, "paid_amount", "is with the voucher_amount more than the list_amount"),
    ({"payments": "alipay:1199.99:ali-1"}, "payments", "do not sum to the paid_amount"),
    ({"payments": ""}, "payments", "do not sum to the paid_amount"),
    ({"payments": "alipay"}, "payments", "are not each channel:amount:reference"),
    (
        {"payments": "paypal:1200.00:x"},
        "payments",
        "name the channel 'paypal', which is not one of balance, alipay, bank, card",
    ),
    ({"payments": "alipay:1200.00:"}, "payments", "lack the reference of the alipay payment"),
    (
        {"payments": "alipay:12e2:x"},
        "payments",
        "have an amount that is not an amount, digits or digits.digits",
    ),
    ({"payments": "alipay:1200.00:x;balance:0.00:"}, "payments", "have an amount of 0"),
    ({"payments": "card:600.00:x;card:600.00:x"}, "payments", "name card:x twice"),
    ({"price": "1250.01"}, "price", "is more than the list_amount of the whole order"),
    ({"price": "1249.00"}, "price", "does not sum to the list_amount over the order"),
    # --- product and domains
    ({"level": "XV"}, "level", "is not one of DV, OV, EV"),
    ({"domain_type": "double"}, "domain_type", "is not one of single, wildcard, multi"),
    ({"free": "perhaps"}, "free", "is not true or false"),
    ({"domains": "shop_1.example.com"}, "domains", "'shop_1.example.com' is not a domain name"),
    ({"domains": "localhost"}, "domains", "'localhost' is not a domain name"),
    ({"domains": "192.0.2.1"}, "domains", "'192.0.2.1' is not a domain name"),
    ({"domains": "2001:db8::1"}, "domains", "'2001:db8::1' is not a domain name"),
    ({"domains": "a.*.example.com"}, "domains", "'a.*.example.com' is not a domain name"),
    ({"domains": "w*.example.com"}, "domains", "'w*.example.com' is not a domain name"),
    ({"domains": "*.com"}, "domains", "'*.com' is not a domain name"),
    ({"domains": "-a.example.com"}, "domains", "'-a.example.com' is not a domain name"),
    ({"domains": f"{'a' * 64}.example.com"}, "domains", f"'{'a' * 64}.example.com' is not a domain name"),
    ({"domains": "https://example.com/"}, "domains", "'https://example.com/' is not a domain name"),
    (
        {"domains": "straße.example"},
        "domains",
        "'stra\\xdfe.example' has more than one ASCII form: write it as xn--…",
    ),
    ({"domains": "\ufffd.example"}, "domains", "'\\ufffd.example' is not a domain name"),
    ({"domains": "a.example.com A.example.com", "domain_type": "multi"}, "domains", "name a.example.com twice"),
    (
        {"domains": ";".join(f"a{n}.example.com" for n in range(251)), "domain_type": "multi"},
        "domains",
        "are 251, more than 250",
    ),
    (
        {"domains": "a.example.com;b.example.com"},
        "domains",
        "are more than the one name of a single-domain certificate (beside its www.)",
    ),
    (
        {"domains": "*.example.com"},
        "domains",
        "are more than the one name of a single-domain certificate (beside its www.)",
    ),
    (
        {"domains": "example.com", "domain_type": "wildcard"},
        "domains",
        "are not the one wildcard name of a wildcard certificate (beside the name under it)",
    ),
    (
        {"domains": "*.example.com;*.example.net", "domain_type": "wildcard"},
        "domains",
        "are not the one wildcard name of a wildcard certificate (beside the name under it)",
    ),
    ({"level": "EV", "domain_type": "wildcard"}, "domain_type", "is wildcard, which no EV certificate may be"),
    (
        {"level": "EV", "domain_type": "multi", "domains": "*.example.com"},
        "domains",
        "hold a wildcard, which no EV certificate may",
    ),
    (
        {"domains": "", "submitted_at": "2026-11-21T00:00:00Z"},
        "domains",
        "are missing, and an application names them",
    ),
    ({"instance_id": "CAS-1"}, "instance_id", "is not an instance ID: small letters, digits and -, at most 40"),
    # --- free certificates
    (
        {"free": "true", "level": "OV", "paid_amount": "0", "voucher_amount": "0", "payments": ""},
        "free",
        "is true, and only DV certificates are free",
    ),
    (
        {"free": "yes", "voucher_amount": "0"},
        "paid_amount",
        "is above 0, and every certificate of the order is free",
    ),
    (
        {"free": "1", "paid_amount": "0", "payments": ""},
        "voucher_amount",
        "is above 0, and every certificate of the order is free",
    ),
    (
        {"free": "1", "paid_amount": "0", "voucher_amount": "0", "payments": "", "price": "0.01"},
        "price",
        "is above 0, and the certificate is free",
    ),
    # --- the certificate
    ({"certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"}, "certificate", ...),
    ({"certificate": "no-such.pem"}, "certificate", "cannot be read (No such file or directory)"),
    ({"certificate": "certificates"}, "certificate", "is a path to something that is not a file"),
    ({"certificate": "../outside.pem"}, "certificate", "is a path that leaves the file's folder"),
    ({"certificate": "link.pem"}, "certificate", "is a path that leaves the file's folder"),
    ({"certificate": "loop.pem"}, "certificate", ...),
    ({"certificate": "large.pem"}, "certificate", "is larger than 100,000 bytes"),
    ({"certificate": "key.pem"}, "certificate", "holds a private key, which belongs to nobody but its owner"),
    ({"certificate": "orders.csv"}, "certificate", ...),
    ({"certificate": "a\nb.pem"}, "certificate", "holds a character that cannot be printed"),
    ({**WITH_PEM, "domains": "other.example.com"}, "certificate", "is not for other.example.com"),
    (
        {**WITH_PEM, "issued_at": "2026-11-17T11:00:00+08:00", "paid_at": "2026-11-17T12:00:00+08:00"},
        "issued_at",
        "is before paid_at",
    ),
    ({"certificate": "ended.pem"}, "certificate", "had ended before the payment"),
    (
        {"certificate": "short.pem", "issued_at": "2026-11-22T00:00:00Z"},
        "issued_at",
        "is not before the certificate's end",
    ),
    ({"certificate": "future.pem"}, "certificate", "was issued in the future by its own dates"),
    (
        {**WITH_PEM, "revocation_requested_at": "2026-11-18T03:19:59Z"},
        "revocation_requested_at",
        "is before the certificate was issued by its own dates",
    ),
]


@pytest.fixture
def certificates(folder: Path) -> Path:
    """Beside the examples, files of which each is wrong in its own way."""
    (folder.parent / "outside.pem").write_text((folder / PEM).read_text())
    (folder / "link.pem").symlink_to(folder.parent / "outside.pem")
    (folder / "loop.pem").symlink_to("loop.pem")
    (folder / "large.pem").write_text((folder / PEM).read_text() + " " * 100_000)
    (folder / "key.pem").write_text((folder / PEM).read_text() + "-----BEGIN EC PRIVATE KEY-----\n")
    for name, begin, end in [
        ("ended", "2025-11-20", "2026-11-20"),
        ("short", "2026-11-20", "2026-11-21"),
        ("future", "2026-11-24", "2027-11-24"),
    ]:
        (folder / f"{name}.pem").write_text(certificate_text(begin, end))
    return folder


def certificate_text(begin: str, end: str) -> str:
    made = certificate(
        ["shop.example.com"],
        not_before=datetime.fromisoformat(begin).replace(tzinfo=UTC),
        not_after=datetime.fromisoformat(end).replace(tzinfo=UTC),
        serial=5,
    )
    return made.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(("fields", "field", "reason"), FIELDS, ids=[f"{f}-{n}" for n, (_, f, _r) in enumerate(FIELDS)])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_bad_value_is_refused(certificates: Path, ending: str, fields: dict[str, Any], field: str, reason: Any):
    write = write_csv if ending == "csv" else write_json_lines
    file = write(certificates / f"bad.{ending}", [row(**fields)])
    line = 2 if ending == "csv" else 1
    if reason is ...:
        refused = run(file)
        assert refused.code == 1
        assert refused.problems[0].startswith(f"line {line}: {field}: ")
        assert not Order.objects.exists()
    else:
        refuse(file, f"line {line}: {field}: {reason}")


@pytest.mark.parametrize("name", sorted(set(REQUIRED) - {"payments"}))
def test_a_required_value_may_not_be_blank(folder: Path, name: str):
    refused = run(write_csv(folder / "blank.csv", [row(**{name: ""})]))
    assert f"line 2: {name}: is missing" in refused.problems
    assert not Order.objects.exists()


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_value_may_be_blank(folder: Path, name: str):
    assert run(write_csv(folder / "blank.csv", [row(**{name: ""})])).code == 0


@pytest.mark.parametrize("value", [["a"], {"a": 1}, True])
@pytest.mark.parametrize("name", [name for name in (*REQUIRED, *OPTIONAL) if name not in {"domains", "free"}])
def test_json_of_the_wrong_kind_is_refused(folder: Path, name: str, value: Any):
    refused = run(write_json_lines(folder / "kind.jsonl", [row(**{name: value})]))
    assert refused.code == 1
    assert refused.problems[0].startswith(f"line 1: {name}: ")
    assert not Order.objects.exists()
