"""Keys and requests made here, and what customers paste."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from certificates.csr import HoldsKey, UnusableCsr, make_request, read_request
from certificates.pem import holds_private_key
from certificates.states import KeyType
from core.encryption import decrypt
from tests.lifecycle.requests import EC_KEY, RSA_KEY, csr_of, pem_of

NAMES = ["shop.example.com", "www.shop.example.com"]


# --- Made here ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", [KeyType.RSA_2048, KeyType.EC_P256])
def test_request_made_here_is_for_the_names_and_its_key_encrypted(key_type: str) -> None:
    made = make_request(key_type, NAMES)
    csr = x509.load_pem_x509_csr(made.pem.encode())
    assert csr.is_signature_valid
    assert csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == list(NAMES)
    assert "PRIVATE" not in made.key
    key = load_pem_private_key(decrypt(made.key), password=None)
    assert key.public_key() == csr.public_key()
    assert decrypt(made.key).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert getattr(key, "key_size", 0) == {KeyType.RSA_2048: 2048, KeyType.EC_P256: 256}[key_type]
    assert read_request(made.pem, NAMES, is_exact=True).fingerprint == made.fingerprint


def test_every_request_made_here_has_a_key_of_its_own() -> None:
    assert make_request(KeyType.EC_P256, NAMES).fingerprint != make_request(KeyType.EC_P256, NAMES).fingerprint


def test_request_for_a_name_too_long_to_be_common_is_made() -> None:
    name = f"{'a' * 60}.shop.example.com"
    csr = x509.load_pem_x509_csr(make_request(KeyType.EC_P256, [name]).pem.encode())
    assert not list(csr.subject)


def test_fingerprint_is_that_of_the_public_key() -> None:
    spki = EC_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    assert read_request(csr_of(NAMES), NAMES).fingerprint == digest.finalize().hex()


# --- Pasted ------------------------------------------------------------------------------------


# A key is another one in every process: it must not stand in a test's name.
@pytest.mark.parametrize(
    "text",
    [
        csr_of(NAMES),
        csr_of(NAMES[:1]),
        csr_of(NAMES, RSA_KEY),
        csr_of(NAMES, ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
        csr_of(NAMES, RSA_KEY, hashes.SHA512()),
        csr_of([], common_names=["SHOP.example.com."]),
        csr_of([], common_names=[]),
        "Certificate Request:\n    Data: …\n" + csr_of(NAMES) + "\n\n",
        csr_of(NAMES).replace("\n", "\r\n"),
        csr_of(NAMES).replace("BEGIN CERT", "BEGIN NEW CERT").replace("END CERT", "END NEW CERT"),
    ],
    ids=range(10),
)
def test_request_of_the_customer_is_read(text: str) -> None:
    read = read_request(text, NAMES)
    assert read.pem.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert read.key == ""


def test_request_for_an_idn_is_read() -> None:
    text = csr_of(["xn--bcher-kva.example.com"], common_names=["Bücher.example.com"])
    assert read_request(text, ["xn--bcher-kva.example.com"])


def weak_rsa(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


def changed(text: str) -> str:
    """One bit of the signature flipped."""
    der = bytearray(x509.load_pem_x509_csr(text.encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return pem_of("CERTIFICATE REQUEST", bytes(der))


def certificate() -> str:
    from tests.factories import NOON
    from tests.lifecycle.engine import pem_for

    return pem_for(tuple(NAMES), NOON, until=NOON.replace(year=2027))


PUBLIC_KEY = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

UNUSABLE = {
    "nothing": ("", "isn't a PEM-encoded CSR"),
    "a word": ("hello", "isn't a PEM-encoded CSR"),
    "a torn beginning": (csr_of(NAMES)[30:], "BEGIN line is missing"),
    "a torn end": (csr_of(NAMES)[:-60], "END line is missing"),
    "base64 of nothing": (pem_of("CERTIFICATE REQUEST", b"hello"), "is damaged"),
    "an empty block": (pem_of("CERTIFICATE REQUEST", b""), "nothing between"),
    "a certificate": (certificate(), "This is a certificate"),
    "a certificate under a request's label": (
        certificate().replace("CERTIFICATE", "CERTIFICATE REQUEST"),
        "isn't a CSR",
    ),
    "a public key": (PUBLIC_KEY, "something other than a CSR"),
    "two requests": (csr_of(NAMES) * 2, "one CSR alone"),
    "a request and a certificate": (csr_of(NAMES) + certificate(), "one CSR alone"),
    "too long": (csr_of(NAMES) + " " * 70_000, "too long"),
    "a small RSA key": (csr_of(NAMES, weak_rsa(1024)), "1024 bits"),
    "a weak exponent": (csr_of(NAMES, weak_rsa(exponent=3)), "weak"),
    "another curve": (csr_of(NAMES, ec.generate_private_key(ec.SECP521R1())), "another kind"),
    "a foreign curve": (csr_of(NAMES, ec.generate_private_key(ec.SECP256K1())), "another kind"),
    "Ed25519": (csr_of(NAMES, ed25519.Ed25519PrivateKey.generate(), None), "another kind"),
    "DSA": (csr_of(NAMES, dsa.generate_private_key(2048)), "another kind"),
    "SHA-224": (csr_of(NAMES, RSA_KEY, hashes.SHA224()), "SHA-256 or better"),
    "a changed signature": (changed(csr_of(NAMES, RSA_KEY)), "signature does not fit"),
    "another name": (csr_of([*NAMES, "evil.example.net"]), "“evil.example.net”, which is not among"),
    "another common name": (csr_of(NAMES, common_names=["Shop Ltd"]), "“shop ltd”, which is not among"),
    "one of two common names": (csr_of(NAMES, common_names=[NAMES[0], "b.example.com"]), "“b.example.com”"),
    "a wildcard": (csr_of(["*.example.com"]), "“*.example.com”"),
    "an address": (csr_of(NAMES, others=[x509.RFC822Name("me@example.com")]), "“me@example.com”"),
    "a URI": (csr_of(NAMES, others=[x509.UniformResourceIdentifier("https://example.com")]), "“https://example.com”"),
}


@pytest.mark.parametrize(("text", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_request_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(UnusableCsr) as refused:
        read_request(text, NAMES)
    assert why in str(refused.value)
    assert not isinstance(refused.value, HoldsKey)


def test_name_missing_in_the_request_matters_where_the_authority_wants_all() -> None:
    with pytest.raises(UnusableCsr, match=re.escape("“www.shop.example.com” is missing")):
        read_request(csr_of(NAMES[:1]), NAMES, is_exact=True)


KEYS = [
    EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
    EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
    RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIC\n-----END ENCRYPTED PRIVATE KEY-----",
    "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 14\nAAAA",
    "MIIEvQIBADANBgkqhkiG9w0BAQE\n-----END RSA PRIVATE KEY-----",
    "-----begin private key-----\nMIIEvQ",
    "Private-Key: (2048 bit)\nprivateExponent:\n    00:aa",
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("before", ["", csr_of(NAMES)], ids=["alone", "after-a-csr"])
def test_private_key_is_refused_and_not_repeated(key: str, before: str) -> None:
    with pytest.raises(HoldsKey, match="should be replaced") as refused:
        read_request(before + key, NAMES)
    assert key[30:60] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_name_that_speaks_of_keys_is_no_key() -> None:
    assert not holds_private_key(f"private-key.example.com {csr_of(['private-key.example.com'])}")


# --- Oddities of the real world ----------------------------------------------------------------


def vectors() -> Iterator[Path]:
    root = os.path.dirname(cryptography_vectors.__file__)
    return (Path(folder, name) for folder, _, names in os.walk(root) for name in names if not name.endswith(".py"))


def test_no_vector_does_more_than_be_refused() -> None:
    read = 0
    for path in vectors():
        for text in written(path.read_bytes()):
            try:
                assert read_request(text, ["example.com"])
            except UnusableCsr as refused:
                assert str(refused)
            read += 1
    assert read > 2000


def written(raw: bytes) -> list[str]:
    """As it would be pasted; what is DER, in a request's armour too."""
    text = raw.decode("latin-1")
    return [text] if text.startswith("--") or len(raw) > 8192 else [text, pem_of("CERTIFICATE REQUEST", raw)]


def test_common_name_in_a_strange_encoding_is_refused_or_read() -> None:
    from cryptography.x509.name import _ASN1Type

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com", _type=_ASN1Type.BMPString)])
    text = x509.CertificateSigningRequestBuilder().subject_name(name).sign(EC_KEY, hashes.SHA256())
    assert read_request(text.public_bytes(Encoding.PEM).decode(), NAMES)
