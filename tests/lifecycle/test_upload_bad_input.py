"""All that can be wrong with an upload: said beside its field, nothing stored, what was typed kept but the key."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate
from core.models import AuditEntry
from core.text import drop_invisible
from tests.lifecycle.inputs import INPUTS
from tests.lifecycle.packs import chain_of, named, new_key, pem_of, sign, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

PANEL = "/upload/"
MADE, OTHER = chain_of(), chain_of("other.example.com")
RSA = new_key("rsa")
PASSPHRASE = BestAvailableEncryption(b"secret")


def file(content: str | bytes, name: str = "a.pem") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content.encode() if isinstance(content, str) else content)


def armoured(label: str, der: bytes) -> str:
    body = b64encode(der).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def request_for_it() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(named("shop.example.com"))
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def public_key() -> str:
    return MADE.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def damaged(pem: str) -> str:
    """With two letters of its middle exchanged for what no DER has there."""
    lines = pem.splitlines()
    lines[2] = "A" * 64
    return "\n".join(lines)


def forged() -> str:
    """Named as issued by the one above it, signed by somebody else."""
    return text(sign("shop.example.com", MADE.key, "Lower", new_key()), MADE.lower)


def broken_rsa() -> str:
    """The right public numbers, and a private exponent that undoes something else."""
    numbers = RSA.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    )
    return pem_of(wrong.private_key(unsafe_skip_rsa_key_validation=True), PrivateFormat.TraditionalOpenSSL)


def many_names() -> str:
    names = tuple(f"n{number}.example.com" for number in range(251))
    return text(sign("n", MADE.key, "Lower", MADE.lower_key, names=names))


def without_line(pem: str, number: int, *, instead: str = "") -> str:
    lines = pem.splitlines()
    lines[number] = instead
    return "\n".join(lines)


def empty_pkcs7() -> str:
    """As a list of nothing, with the OID of signed data."""
    oid = bytes.fromhex("06092a864886f70d010702")
    signed = integer(1) + der(0x31, b"") + der(0x30, bytes.fromhex("06092a864886f70d010701")) + der(0x31, b"")
    return armoured("PKCS7", der(0x30, oid + der(0xA0, der(0x30, signed))))


def with_name(der_name: bytes) -> str:
    """A certificate for a name that no builder would write."""
    placeholder = "x" * len(der_name)
    der = sign("n", MADE.key, "Lower", MADE.lower_key, names=(placeholder,)).public_bytes(Encoding.DER)
    return armoured("CERTIFICATE", der.replace(placeholder.encode(), der_name))


def der_of() -> bytes:
    return MADE.leaf.public_bytes(Encoding.DER)


def key_der() -> bytes:
    return b64decode("".join(MADE.key_pem.splitlines()[1:-1]))


def keystore() -> bytes:
    return pkcs12.serialize_key_and_certificates(b"a", MADE.key, MADE.leaf, None, PASSPHRASE)


def of_rsa() -> str:
    return text(sign("shop.example.com", RSA, "Lower", MADE.lower_key))


def no_name() -> str:
    return text(sign("n", MADE.key, "Lower", MADE.lower_key, names=("",)))


def never_valid() -> str:
    """Its year of the end set back by hand: no builder would write it."""
    certificate = sign("n", MADE.key, "Lower", MADE.lower_key)
    end = certificate.not_valid_after_utc.strftime("%y%m%d").encode()
    return armoured("CERTIFICATE", certificate.public_bytes(Encoding.DER).replace(end, b"010101"))


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def integer(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def long_serial() -> str:
    """Of 38 bytes, for which RFC 5280 has 20."""
    # Long enough that its lengths are written in two bytes, before as after.
    names = tuple(f"{letter * 60}.example.com" for letter in "abc")
    certificate = sign("n", MADE.key, "Lower", MADE.lower_key, names=names)
    whole, own = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    signature = whole[4 + len(own) :]
    changed = own[4:].replace(integer(certificate.serial_number), integer(1 << 300), 1)
    return armoured("CERTIFICATE", der(0x30, der(0x30, changed) + signature))


@dataclass(frozen=True)
class Case:
    """What is typed over a good form, the field whose error it is, and some of its words."""

    what: str
    field: str
    said: str
    typed: Callable[[], dict[str, Any]] = field(repr=False)

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


def case(what: str, place: str, said: str, **typed: Any) -> Case:
    """`typed` are values, or functions that make them."""
    return Case(
        what, place, said, lambda: {name: value() if callable(value) else value for name, value in typed.items()}
    )


CASES = [
    # The name
    case("no name", "name", "Give it a name", name=""),
    case("a name of spaces", "name", "Give it a name", name="   \u3000 "),
    case("a name too long", "name", "101 characters", name="a" * 101),
    case("a name of 4,000 characters", "name", "4000 characters", name="a" * 4_000),
    case("a name of 100,000 characters", "name", "too long", name="a" * 100_000),
    case("a name of what nobody can see", "name", "Give it a name", name="\0\u202e\u200b\u3164\x07"),
    case("a key as the name", "name", "private key, not a name", name=MADE.key_pem),
    # The chain
    case("no chain", "chain", "Paste the certificate, or", chain=""),
    case("a chain of spaces", "chain", "Paste the certificate, or", chain=" \n "),
    case("both chains", "chain_file", "Both a text and a file", chain_file=lambda: file(MADE.pem)),
    case("words", "chain", "isn't a PEM-encoded certificate", chain="hello"),
    case("300,000 characters of words", "chain", "too large", chain="a" * 300_000),
    case(
        "a certificate without its BEGIN line",
        "chain",
        "BEGIN line is missing",
        chain=text(MADE.leaf).split("\n", 1)[1],
    ),
    case(
        "a certificate without its END line",
        "chain",
        "END line is missing",
        chain=text(MADE.leaf).rsplit("-----END", 1)[0],
    ),
    case("a certificate without its last line", "chain", "is missing", chain=lambda: without_line(text(MADE.leaf), -2)),
    case("a certificate without a line", "chain", "is missing", chain=lambda: without_line(text(MADE.leaf), 3)),
    case(
        "one further up without a line",
        "chain",
        "Block 2: A part of the text",
        chain=lambda: text(MADE.leaf) + without_line(text(MADE.lower), 3),
    ),
    case(
        "a certificate that ends as another thing",
        "chain",
        "END line doesn't match",
        chain=text(MADE.leaf).replace("END CERTIFICATE", "END PKCS7"),
    ),
    case(
        "an ellipsis in the certificate",
        "chain",
        "don't belong there",
        chain=lambda: without_line(text(MADE.leaf), 3, instead="[…]"),
    ),
    case("a damaged certificate", "chain", "damaged", chain=lambda: damaged(MADE.pem)),
    case("a damaged one further up", "chain", "damaged", chain=lambda: text(MADE.leaf) + damaged(text(MADE.lower))),
    case("an empty certificate", "chain", "nothing between", chain=armoured("CERTIFICATE", b"")),
    case("a certificate of two values", "chain", "was changed", chain=lambda: armoured("CERTIFICATE", der_of() * 2)),
    case("a chain with a NUL", "chain", "isn't text", chain=MADE.pem + "\0"),
    case("a chain with a key in it", "chain", "private key among", chain=MADE.pem + MADE.key_pem),
    case("a key as the chain", "chain", "private key among", chain=MADE.key_pem),
    case("a signing request", "chain", "signing request", chain=request_for_it),
    case("a public key", "chain", "public key", chain=public_key),
    case("a PKCS#7 cut off", "chain", "A part of the text", chain=INPUTS["upload-pkcs7-old-label.pem"]),
    case("a PKCS#7 of other things", "chain", "was changed", chain=armoured("PKCS7", b"\x30\x02\x05\x00")),
    case("a PKCS#7 without certificates", "chain", "holds no certificate", chain=empty_pkcs7),
    case("a certificate that ends before it begins", "chain", "never valid", chain=never_valid),
    case(
        "a name with a NUL in the certificate",
        "chain",
        "name that isn't one",
        chain=lambda: with_name(b"a.com\0.b.com"),
    ),
    case("a name with a space in the certificate", "chain", "name that isn't one", chain=lambda: with_name(b"a b.com")),
    case("a name beyond ASCII in the certificate", "chain", "can't be read", chain=lambda: with_name(b"b\xfccher.de")),
    case("an empty name in the certificate", "chain", "name that isn't one", chain=no_name),
    case("a serial number too long", "chain", "more than 32 bytes", chain=long_serial),
    case("more names than fit", "chain", "251 domain names", chain=many_names),
    case("a chain upside down", "chain", "not the issuer", chain=text(MADE.root, MADE.upper, MADE.lower, MADE.leaf)),
    case(
        "a chain with a hole",
        "chain",
        "Certificate 2 is not the issuer of certificate 1",
        chain=text(MADE.leaf, MADE.upper),
    ),
    case(
        "a chain of another", "chain", "Certificate 3 is not the issuer", chain=text(MADE.leaf, MADE.lower, OTHER.leaf)
    ),
    case("a chain of a namesake", "chain", "not signed by it", chain=text(MADE.leaf, OTHER.lower)),
    case("a forged certificate", "chain", "not signed by it", chain=forged),
    case("a certificate twice", "chain", "Certificate 2 is there twice", chain=text(MADE.leaf, MADE.leaf, MADE.lower)),
    case("a root twice", "chain", "Certificate 5 is there twice", chain=MADE.pem + text(MADE.root, MADE.root)),
    case("a chain of eleven", "chain", "11 certificates", chain=text(*[MADE.leaf] * 11)),
    # The chain's file
    case("an empty chain file", "chain_file", "empty", chain="", chain_file=lambda: file("")),
    case(
        "a file in DER", "chain_file", "openssl x509 -inform der", chain="", chain_file=lambda: file(der_of(), "a.cer")
    ),
    case(
        "half a file in UTF-16",
        "chain_file",
        "END line is missing",
        chain="",
        chain_file=lambda: file(text(MADE.leaf)[:400].encode("utf-16")),
    ),
    case(
        "a picture",
        "chain_file",
        "isn't a PEM-encoded certificate",
        chain="",
        chain_file=lambda: file(b"\x89PNG\r\n\x1a\n\0\xff"),
    ),
    case(
        "a chain file too large",
        "chain_file",
        "too large",
        chain="",
        chain_file=lambda: file(MADE.pem + " " * 4_000_000),
    ),
    case("a key in the chain file", "chain_file", "private key among", chain="", chain_file=lambda: file(MADE.key_pem)),
    # The key
    case("no key", "key", "Paste the certificate's private key", key=""),
    case("both keys", "key_file", "Both a text and a file", key_file=lambda: file(MADE.key_pem)),
    case("another's key", "key", "do not belong together", key=OTHER.key_pem),
    case("a key of another kind", "key", "do not belong together", key=lambda: pem_of(RSA)),
    case("words as the key", "key", "isn't a PEM-encoded private key", key="hello"),
    case("the certificate as the key", "key", "This is a certificate. Give its private key", key=MADE.pem),
    case("a request as the key", "key", "This is a certificate signing request", key=request_for_it),
    case("a public key as the key", "key", "This is a public key", key=public_key),
    case("a key without its END line", "key", "END line is missing", key=MADE.key_pem.split("-----END")[0]),
    case("a key without its BEGIN line", "key", "BEGIN line is missing", key=MADE.key_pem.split("\n", 1)[1]),
    case("a key without a line", "key", "A part of the text", key=without_line(MADE.key_pem, 2)),
    case(
        "a damaged key", "key", "damaged", key=lambda: MADE.key_pem.replace(MADE.key_pem.splitlines()[1][:20], "A" * 20)
    ),
    case("an empty key", "key", "nothing between", key=armoured("PRIVATE KEY", b"")),
    case("two keys", "key", "more than one", key=MADE.key_pem + OTHER.key_pem),
    case("a protected key", "key", "passphrase", key=lambda: pem_of(MADE.key, encryption=PASSPHRASE)),
    case(
        "a protected key of old",
        "key",
        "passphrase",
        key=lambda: pem_of(RSA, PrivateFormat.TraditionalOpenSSL, PASSPHRASE),
    ),
    case(
        "a key for SSH",
        "key",
        "of a kind that is not known",
        key=lambda: pem_of(new_key("ed25519"), PrivateFormat.OpenSSH),
    ),
    case("a key with a NUL", "key", "isn't text", key=MADE.key_pem + "\0"),
    case("a key too long", "key", "longer than any", key=MADE.key_pem + " " * 4 + "x" * 20_000),
    case("a key that contradicts itself", "key", "damaged", chain=of_rsa, key=broken_rsa),
    # The key's file
    case("an empty key file", "key_file", "empty", key="", key_file=lambda: file("")),
    case(
        "a key file in DER", "key_file", "openssl pkey -inform der", key="", key_file=lambda: file(key_der(), "a.key")
    ),
    case("a keystore", "key_file", "binary", key="", key_file=lambda: file(keystore(), "a.pfx")),
    case("a key file too large", "key_file", "too large", key="", key_file=lambda: file(MADE.key_pem + " " * 300_000)),
    case("another's key file", "key_file", "do not belong together", key="", key_file=lambda: file(OTHER.key_pem)),
    case(
        "files that are too large together",
        "chain_file",
        "too large",
        chain="",
        key="",
        chain_file=lambda: file(MADE.pem + " " * 200_000),
        key_file=lambda: file(MADE.key_pem + " " * 100_000),
    ),
]


def errors_of(page: HttpResponse, name: str) -> str:
    """The words beside a field."""
    found = re.search(rf'<ul class="field-error" id="id_{name}_error">(.*?)</ul>', page.content.decode(), re.S)
    return unescape(found[1]) if found else ""


def shown_in(page: HttpResponse, name: str) -> str:
    html = page.content.decode()
    area = re.search(rf'<textarea[^>]* name="{name}"[^>]*>\n?(.*?)</textarea>', html, re.S)
    line = re.search(rf'<input type="text" name="{name}"(?: value="(.*?)")?[ >]', html, re.S)
    found = area or line
    assert found, name
    return unescape(found[1] or "")


def test_there_are_enough_cases():
    assert len(CASES) >= 60
    assert len({each.what for each in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_is_answered_beside_its_field(as_customer: Client, case: Case):
    typed = {"name": "Our shop", "chain": MADE.pem, "key": MADE.key_pem, **case.typed()}
    page = as_customer.post(PANEL, typed)
    assert page.status_code == 422
    assert case.said in errors_of(page, case.field)
    others = {"name", "chain", "chain_file", "key", "key_file"} - {case.field}
    # A wrong certificate is none that a key could belong to.
    allowed = {"key", "key_file"} if case.field.startswith("chain") else set()
    assert not [name for name in others - allowed if errors_of(page, name)]
    assert not Certificate.objects.exists()
    assert not AuditEntry.objects.exists()
    # The error summary leads to the field.
    assert f'href="#id_{case.field}"' in page.content.decode()
    for name in ("name", "chain"):
        if "PRIVATE KEY" not in typed[name]:
            # Of more than anybody types only the beginning comes back.
            most = 4 * 1024 if name == "name" else 256 * 1024
            kept = typed[name] if name == "chain" else drop_invisible(typed[name])
            assert shown_in(page, name) == kept[:most]
    assert shown_in(page, "key") == ""
    assert MADE.key_pem.splitlines()[1] not in page.content.decode()


def test_every_mistake_is_said_at_once(as_customer: Client):
    page = as_customer.post(PANEL, {"name": "", "chain": "x", "key": "y"})
    assert all(errors_of(page, name) for name in ("name", "chain", "key"))


def test_key_is_read_even_where_the_chain_is_bad(as_customer: Client):
    page = as_customer.post(PANEL, {"name": "a", "chain": text(MADE.leaf, MADE.upper), "key": OTHER.key_pem})
    assert "not the issuer" in errors_of(page, "chain")
    assert "do not belong together" in errors_of(page, "key")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x", "multipart/form-data", 400),
        (b"garbage", "multipart/form-data; boundary=x", 422),
        (b"--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n", "multipart/form-data; boundary=x", 422),
        (b"name=\xff\xfe&chain=%ff", "application/x-www-form-urlencoded", 422),
        (b"a=1&" * 2000, "application/x-www-form-urlencoded", 413),
        (b"chain=" + b"a" * 600_000, "application/x-www-form-urlencoded", 413),
        (b"chain=" + b"a" * 3_000_000, "application/x-www-form-urlencoded", 413),
        (b'{"name": 1}', "application/json", 422),
        (b"", "", 422),
    ],
)  # fmt: skip
def test_bodies_that_are_no_form_are_refused(as_customer: Client, body: bytes, kind: str, status: int):
    assert as_customer.generic("POST", PANEL, body, content_type=kind).status_code == status


def test_wrong_types_are_refused(as_customer: Client):
    """Files where texts belong, texts where files belong, and fields that come twice."""
    swapped = {
        "name": file("a"),
        "chain": file(MADE.pem),
        "key": file(MADE.key_pem),
        "chain_file": "x",
        "key_file": "y",
    }
    assert as_customer.post(PANEL, swapped).status_code == 422
    twice = {"name": ["a", "b"], "chain": ["x", "y"], "key": ["x", ""], "chain_file": [file("a"), file("b")]}
    assert as_customer.post(PANEL, twice).status_code == 422


@pytest.mark.parametrize("primes", [((1 << 40_000) + 1, 3), (1, 1), (0, 0), (2, 2)])
def test_numbers_of_a_crafted_key_are_refused(as_customer: Client, primes: tuple[int, int]):
    """Huge ones too, whose proof as primes would take hours."""
    public = RSA.public_key().public_numbers()
    numbers = (0, public.n, public.e, 5, *primes, 1, 1, 1)
    key = armoured("RSA PRIVATE KEY", der(0x30, b"".join(map(integer, numbers))))
    page = as_customer.post(PANEL, {"name": "a", "chain": of_rsa(), "key": key})
    assert page.status_code == 422
    assert "damaged" in errors_of(page, "key")
