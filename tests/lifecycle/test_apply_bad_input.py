"""Whatever is typed wrongly: an error beside its field, everything else kept, nothing stored."""

import logging

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import Client

from certificates.models import Application, Certificate, Enrollment
from certificates.states import AuthorityName, CertificateState, DomainType, Level
from core.models import AuditEntry, User
from core.text import drop_invisible
from tests.customer.pages import words
from tests.lifecycle.applying import OV, address, apply, bought, error_beside, kept
from tests.lifecycle.engine import state_of
from tests.lifecycle.requests import EC_KEY, RSA_KEY, csr_of

SINGLE, WILDCARD, MULTI = DomainType.SINGLE, DomainType.WILDCARD, DomainType.MULTI
GOOD_CSR = csr_of(["shop.example.com"])
SMALL_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused


@pytest.fixture(autouse=True)
def at_noon(frozen: object) -> None:
    """Views read the clock."""


DOMAINS = [
    (SINGLE, "", "Enter the domain name"),
    (SINGLE, "   \n , ", "Enter the domain name"),
    (SINGLE, "a" * 30_001, "too long for a list"),
    (SINGLE, "192.0.2.1", "“192.0.2.1” is an IP address"),
    (SINGLE, "[::1]", "“[::1]” is an IP address"),
    (SINGLE, "3221225985", "“3221225985” is an IP address"),
    (SINGLE, "localhost", "“localhost” is no name of the public Internet"),
    (SINGLE, "shop.internal", "“shop.internal” is no name of the public Internet"),
    (SINGLE, "co.uk", "“co.uk” is a public suffix"),
    (SINGLE, "https://shop.example.com/", "type the name alone"),
    (SINGLE, "shop..example.com", "a dot too many"),
    (SINGLE, "sh_op.example.com", "may hold only letters"),
    (SINGLE, "a" * 64 + ".example.com", "more than 63 characters"),
    (SINGLE, ".".join(["a" * 60] * 5) + ".com", "at most 253 characters"),
    (SINGLE, "☃.example.com", "characters that no domain name may hold"),
    (SINGLE, "*.example.com", "a Wildcard Domain certificate is needed"),
    (SINGLE, "shop.*.example.com", "a * may only stand once"),
    (SINGLE, "a.example.com b.example.com", "“b.example.com” is one too many"),
    (SINGLE, "shop.example.com SHOP.example.com", "“shop.example.com” stands there twice"),
    (SINGLE, "<b>bold</b>.example.com", "type the name alone"),
    (WILDCARD, "shop.example.com", "is no wildcard"),
    (WILDCARD, "*.example.com *.example.net", "“*.example.net”: this certificate is for *.example.com alone"),
    (WILDCARD, "*.example.com shop.example.com", "“shop.example.com”: this certificate is for"),
    (WILDCARD, "*.co.uk", "would cover a whole public suffix"),
    (WILDCARD, "*.io", "would cover a whole public suffix"),
    (WILDCARD, "*.*.example.com", "a * may only stand once"),
    (MULTI, "a.example.com b.example.com c.example.com", "“c.example.com” is one too many"),
    (MULTI, "a.example.com *.example.com", "a Wildcard Domain certificate is needed"),
    (MULTI, "a.example.com 192.0.2.1", "“192.0.2.1” is an IP address"),
    (MULTI, "bücher.de xn--bcher-kva.de", "“bücher.de (xn--bcher-kva.de)” stands there twice"),
    (MULTI, "\n".join(f"{n}.example.com" for n in range(300)), "too many names"),
]


@pytest.mark.parametrize(("domain_type", "text", "why"), DOMAINS)
def test_bad_domains_are_told_beside_them(
    as_customer: Client, customer: User, domain_type: str, text: str, why: str
) -> None:
    certificate = bought(customer, Level.OV, domain_type, names_bought=2 if domain_type == MULTI else 1)
    refused(as_customer, certificate, "domains", why, domains=text)


LONG = "x" * 201
FIELDS = [
    ("verification", "", "Choose how you prove"),
    ("verification", "mail", "one of the ways offered"),
    ("contact_name", "", "the name of a person"),
    ("contact_name", "  ", "the name of a person"),
    ("contact_name", LONG, "at most 100 characters"),
    ("contact_name", "\u202e\0\u200b", "the name of a person"),
    ("contact_email", "", "the contact's email address"),
    ("contact_email", "li.wei", "valid email address"),
    ("contact_email", "li wei@example.com", "valid email address"),
    ("contact_email", "li@example.com, wei@example.com", "valid email address"),
    ("contact_email", "li@example.com\nBcc: all@example.com", "valid email address"),
    ("contact_email", f"{'a' * 250}@example.com", "email address"),
    ("contact_phone", "", "the contact's telephone number"),
    ("contact_phone", "call me", "such as +86 571"),
    ("contact_phone", "1234", "such as +86 571"),
    ("contact_phone", "+" * 20, "such as +86 571"),
    ("contact_phone", "1" * 41, "at most 40 characters"),
    ("contact_phone", "١٢٣٤٥٦", "such as +86 571"),
    ("company_name", "", "the company's name as it is registered"),
    ("company_name", LONG, "at most 200 characters"),
    ("company_name", "x" * 65, "at most 64 Latin or 21 Chinese"),
    ("company_name", "杭" * 22, "at most 64 Latin or 21 Chinese"),
    ("company_number", "", "the number under which"),
    ("company_number", "1" * 61, "at most 60 characters"),
    ("company_country", "", "Choose the country"),
    ("company_country", "XX", "Choose one from the list"),
    ("company_country", "China", "Choose one from the list"),
    ("company_country", "cn", "Choose one from the list"),
    ("company_country", "EU", "Choose one from the list"),
    ("company_city", "", "Enter the city"),
    ("company_city", "x" * 101, "at most 100 characters"),
    ("company_city", "杭" * 43, "at most 128 Latin or 42 Chinese"),
    ("company_address", "", "Enter the address"),
    ("company_address", LONG, "at most 200 characters"),
    ("company_address", "\x7f", "Enter the address"),
    ("key_type", "", "where the certificate's key comes from"),
    ("key_type", "rsa512", "one of the keys offered"),
    ("key_type", "PASTED", "one of the keys offered"),
]


@pytest.mark.parametrize(("field", "text", "why"), FIELDS)
def test_bad_field_is_told_beside_it(as_customer: Client, customer: User, field: str, text: str, why: str) -> None:
    refused(as_customer, bought(customer, Level.OV), field, why, **{field: text})


CSRS = [
    ("", "Paste your CSR"),
    ("  \n", "Paste your CSR"),
    ("hello", "isn't a PEM-encoded CSR"),
    ("\0", "isn't a CSR"),
    (GOOD_CSR[:-70], "END line is missing"),
    (GOOD_CSR * 2, "one CSR alone"),
    (GOOD_CSR + "x" * 70_000, "too long"),
    (GOOD_CSR.replace("REQUEST", "REQUESTS"), "something other than a CSR"),
    (csr_of(["evil.example.net"]), "“evil.example.net”, which is not among the domains above"),
    (csr_of(["*.example.com"]), "“*.example.com”, which is not among"),
    (csr_of(["shop.example.com"], SMALL_KEY), "1024 bits"),
]


# A key is another one in every process: it must not stand in a test's name.
@pytest.mark.parametrize(("csr", "why"), CSRS, ids=range(len(CSRS)))
def test_bad_csr_is_told_beside_it(as_customer: Client, customer: User, csr: str, why: str) -> None:
    refused(as_customer, bought(customer, Level.OV), "csr", why, key_type="pasted", csr=csr)


def test_bad_csr_beside_a_key_made_here_does_not_matter(as_customer: Client, customer: User) -> None:
    assert apply(as_customer, bought(customer), csr="hello").status_code == 302


def test_csr_for_an_acme_authority_holds_every_name(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    certificate.product.authority = AuthorityName.ACME
    certificate.product.save()
    both = "shop.example.com\nwww.shop.example.com"
    why = "“www.shop.example.com” is missing"
    refused(as_customer, certificate, "csr", why, domains=both, key_type="pasted", csr=GOOD_CSR)
    csr = csr_of(["shop.example.com", "www.shop.example.com"])
    assert apply(as_customer, certificate, domains=both, key_type="pasted", csr=csr).status_code == 302


def test_file_is_refused_for_a_wildcard(as_customer: Client, customer: User) -> None:
    certificate = bought(customer, domain_type=WILDCARD)
    answer = apply(as_customer, certificate, domains="*.example.com", verification="file")
    assert answer.status_code == 422
    assert "by DNS record only" in error_beside(answer, "verification")


def refused(client: Client, certificate: Certificate, field: str, why: str, **typed: str) -> None:
    answer = apply(client, certificate, **typed)
    assert answer.status_code == 422
    assert why in error_beside(answer, field)
    assert f'href="#id_{field}"' in answer.content.decode()
    others = {**OV, **typed} if certificate.product.is_checked_by_staff else {}
    plain = {name: value for name, value in others.items() if name not in {field, "csr"}}
    assert plain.items() <= kept(answer).items()
    assert_field_is_kept(kept(answer), field, typed[field])
    assert state_of(certificate) == CertificateState.PENDING_APPLICATION
    assert not Application.objects.exists() and not Enrollment.objects.exists() and not AuditEntry.objects.exists()


def assert_field_is_kept(shown: dict[str, str], field: str, text: str) -> None:
    """A choice that is none of those offered cannot be shown; everything else stands there as typed, but for blanks."""
    if field in {"verification", "key_type", "company_country"}:
        assert shown.get(field, "") in {"", text}
    else:
        tidy = text[: 64 * 1024] if field == "csr" else drop_invisible(text, keep_lines=field == "domains")
        assert shown[field].splitlines() == tidy.splitlines()


def test_all_errors_are_told_at_once(as_customer: Client, customer: User) -> None:
    answer = as_customer.post(address(bought(customer, Level.OV)), {})
    assert answer.status_code == 422
    for field in set(OV) - {"csr"}:
        assert error_beside(answer, field), field
    assert "Nothing was stored; what you entered is kept." in words(answer)


# --- Private keys ------------------------------------------------------------------------------

SECRETS = [
    EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
    GOOD_CSR + EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
]


@pytest.mark.parametrize("secret", SECRETS, ids=["pkcs8", "traditional", "beside-a-csr"])
@pytest.mark.parametrize("field", ["csr", "domains", "contact_name", "company_address", "contact_email"])
@pytest.mark.parametrize("key_type", ["pasted", "ec256"])
def test_private_key_is_refused_and_seen_no_more(
    as_customer: Client, customer: User, caplog: pytest.LogCaptureFixture, secret: str, field: str, key_type: str
) -> None:
    caplog.set_level(logging.DEBUG)
    certificate = bought(customer, Level.OV)
    typed = {"key_type": key_type, "csr": GOOD_CSR, field: secret}
    answer = apply(as_customer, certificate, **typed)
    assert answer.status_code == 422
    assert "should be replaced" in error_beside(answer, field)
    assert kept(answer)[field] == ""
    body = secret.splitlines()[-3]
    assert body not in answer.content.decode() and body not in caplog.text
    assert not Application.objects.exists()


def test_private_key_in_a_field_of_no_form_is_nobodys(as_customer: Client, customer: User) -> None:
    assert apply(as_customer, bought(customer), other=SECRETS[0]).status_code == 302


# --- Strange requests --------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a" * 500_000, b"domains=%00&csr=%ff", b"domains&domains&&=&"])
def test_strange_body_is_answered(as_customer: Client, customer: User, body: bytes) -> None:
    certificate = bought(customer)
    answer = as_customer.post(address(certificate), body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 422


def test_far_too_much_in_every_field_is_answered(as_customer: Client, customer: User) -> None:
    answer = apply(as_customer, bought(customer, Level.OV), **dict.fromkeys(OV, "a.*-" * 5_000))
    assert answer.status_code == 422


# --- What nobody can see -----------------------------------------------------------------------

PASTED = [
    ("contact_phone", "\u202d+86 138 0000 0000\u202c", "+86 138 0000 0000"),
    ("contact_phone", "+86\u00a0571\u20091234\u30005678", "+86 571 1234 5678"),
    ("contact_phone", "＋８６　（５７１）　１２３４－５６７８", "+86 (571) 1234-5678"),
    ("contact_phone", "12345\n67890", "12345 67890"),
    ("contact_phone", "+49\u201130\u20131234\u221256", "+49-30-1234-56"),
    ("contact_name", "Li\0Wei", "LiWei"),
    ("contact_name", "Li\nBcc: all@example.com", "Li Bcc: all@example.com"),
    ("contact_name", "Li\u202e\u2066 Wei\u200b", "Li Wei"),
    ("contact_name", "李　伟", "李 伟"),
    ("contact_email", "\ufeffli@example.com\u200b", "li@example.com"),
    ("company_name", "Shop \u202eLtd", "Shop Ltd"),
    ("company_number", "９１３３０１００", "91330100"),
    ("company_city", "Hang\tzhou", "Hang zhou"),
    ("company_address", "①\u00ad Lake Road\x7f", "① Lake Road"),
]


@pytest.mark.parametrize(("field", "pasted", "kept_as"), PASTED)
def test_what_nobody_can_see_is_dropped_and_machines_values_are_read_in_any_width(
    as_customer: Client, customer: User, field: str, pasted: str, kept_as: str
) -> None:
    assert apply(as_customer, bought(customer, Level.OV), **{field: pasted}).status_code == 302
    assert getattr(Application.objects.get(), field) == kept_as


@pytest.mark.parametrize(
    "pasted", ["\u202dshop.example.com\u202c", "shop．example。com", "ｓｈｏｐ.example.com\u3000", "shop.exam\0ple.com"]
)
def test_domains_are_read_in_any_width_without_what_nobody_can_see(
    as_customer: Client, customer: User, pasted: str
) -> None:
    certificate = bought(customer, Level.OV)
    assert apply(as_customer, certificate, domains=pasted).status_code == 302
    assert list(certificate.domains.values_list("name", flat=True)) == ["shop.example.com"]


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(as_customer: Client, customer: User, method: str) -> None:
    certificate = bought(customer)
    for panel in ("apply", "verify", "application/cancel"):
        assert getattr(as_customer, method)(address(certificate, panel)).status_code == 405
