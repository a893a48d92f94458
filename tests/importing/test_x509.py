"""What is read from a real X.509 certificate, and what is not taken for one."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509 import UnreadableCertificate, read_certificate
from tests.importing.files import EXAMPLES
from tests.importing.make_certificates import certificate, examples

NIGHT = datetime(2026, 11, 18, tzinfo=UTC)


def stored(name: str) -> str:
    return (EXAMPLES / "certificates" / name).read_text()


def pem(**fields) -> str:
    made = certificate(**{"names": ["a.example.com"], "not_before": NIGHT, "serial": 7, **fields})
    return made.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(("name", "text"), list(examples()))
def test_the_stored_examples_are_those_that_the_script_makes(name: str, text: str):
    assert stored(name) == text


def test_everything_is_read_from_a_certificate():
    read = read_certificate(stored("shop.example.com.pem"))
    assert read.not_before == datetime(2026, 11, 18, 3, 0, tzinfo=UTC)
    assert read.not_after == datetime(2027, 11, 18, 2, 59, 59, tzinfo=UTC)
    assert read.names == ("shop.example.com", "www.shop.example.com")
    assert (read.serial, len(read.fingerprint)) == ("5a17", 64)
    assert read.scts == (
        datetime(2026, 11, 18, 3, 30, 5, 250000, tzinfo=UTC),
        datetime(2026, 11, 18, 3, 20, tzinfo=UTC),
    )


def test_the_earliest_timestamp_is_the_best_guess_at_the_issue():
    assert read_certificate(stored("shop.example.com.pem")).earliest_issue == datetime(2026, 11, 18, 3, 20, tzinfo=UTC)


def test_without_timestamps_the_beginning_is():
    read = read_certificate(stored("wildcard.example.net.pem"))
    assert read.scts == ()
    assert read.earliest_issue == read.not_before


def test_without_alternative_names_the_common_name_counts_in_lower_case():
    assert read_certificate(stored("common-name-only.pem")).names == ("old.example.org",)


def test_a_chain_is_kept_behind_its_certificate():
    read = read_certificate(stored("wildcard.example.net.pem"))
    assert read.names == ("*.example.net", "example.net")
    assert [each.serial_number for each in x509.load_pem_x509_certificates(read.pem.encode())] == [0x77, 1]


def test_nothing_but_certificates_is_kept_of_a_text():
    text = stored("shop.example.com.pem")
    assert read_certificate(f"Bag Attributes: <b>\n{text}\nsee you").pem == text


def test_a_certificate_without_a_meaningful_end_is_read():
    read = read_certificate(pem(not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert read.not_after.year == 9999


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an X.509 certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is damaged"),
        ("-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----", "is incomplete: a part of it is missing"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "is not an X.509 certificate"),
        ("-----BEGIN CERTIFICATE-----\nMIIC", "has no END line: it is cut off"),
        ("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----", "is a public key, not a certificate"),
        ("caf\xe9", "is not an X.509 certificate in PEM"),
        ("\ud800", "is not an X.509 certificate in PEM"),
        ("-----BEGIN EC PRIVATE KEY-----", "holds a private key, which belongs to nobody but its owner"),
        (
            stored("shop.example.com.pem") + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "is damaged .block 2.",
        ),
    ],
)
def test_what_is_no_certificate_is_refused(text: str, reason: str):
    with pytest.raises(UnreadableCertificate, match=reason):
        read_certificate(text)


def test_a_certificate_that_ends_as_it_begins_is_refused():
    with pytest.raises(UnreadableCertificate, match="ends before it begins"):
        read_certificate(pem(not_after=NIGHT))
