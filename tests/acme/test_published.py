"""What is believed of what an authority publishes about a certificate. No ACME in it: a CA of the test's own."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from certificates.authority import acme_status, calls
from certificates.authority.acme_status import published_revocation
from certificates.authority.base import AuthorityUnavailable
from tests.acme.pebble import free_port
from tests.acme.publisher import Publisher, crl, ocsp_answer, publishing
from tests.factories import NOON

REVOKED = NOON - timedelta(hours=3)


@pytest.fixture
def publisher():
    with publishing() as made:
        yield made


class Authority:
    """A CA with one certificate, which names these places."""

    def __init__(self, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign("Issuer", self.key, x509.BasicConstraints(ca=True, path_length=None))

    def sign(self, name: str, key, *extensions, ends: datetime = NOON + timedelta(days=90)) -> x509.Certificate:
        issuer = getattr(self, "certificate", None)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(
            issuer.subject if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        dated = builder.not_valid_before(NOON - timedelta(days=9)).not_valid_after(ends)
        return dated.sign(self.key, hashes.SHA256())

    def issue(self, *, responder: str = "", crl: str = "") -> x509.Certificate:
        places = []
        if responder:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
            places.append(x509.AuthorityInformationAccess([access]))
        if crl:
            names = [x509.UniformResourceIdentifier(each) for each in (crl, "ldap://crl.example.com/")]
            places.append(x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]))
        return self.sign("shop.example.com", ec.generate_private_key(ec.SECP256R1()), *places)

    def pem(self, certificate: x509.Certificate) -> str:
        return "".join(each.public_bytes(Encoding.PEM).decode() for each in (certificate, self.certificate))


@pytest.fixture
def authority():
    return Authority()


# --- OCSP --------------------------------------------------------------------------------------


def responding(publisher: Publisher, authority: Authority, **answer) -> str:
    """The PEM of a certificate whose responder answers so."""
    certificate = authority.issue(responder=f"{publisher.address}/ocsp")
    facts = {"at": NOON, "issuer": authority.certificate, "key": authority.key, **answer}
    publisher.put("/ocsp", ocsp_answer(facts.pop("about", certificate), **facts))
    return authority.pem(certificate)


@pytest.mark.parametrize("make_key", [lambda: None, lambda: rsa.generate_private_key(65537, 2048)])
def test_responder_is_believed_that_it_is_good_or_revoked(publisher, make_key):
    authority = Authority(make_key())
    assert published_revocation(responding(publisher, authority), at=NOON) is None
    assert published_revocation(responding(publisher, authority, revoked_at=REVOKED), at=NOON) == REVOKED


def test_responder_is_sent_the_question_and_nothing_else(publisher, authority):
    certificate = authority.issue(responder=f"{publisher.address}/ocsp")
    sent = []

    def answer(question):
        sent.append(ocsp.load_der_ocsp_request(question))
        return 200, {}, ocsp_answer(certificate, authority.certificate, authority.key, at=NOON)

    publisher.pages["/ocsp"] = answer
    assert published_revocation(authority.pem(certificate), at=NOON) is None
    assert [each.serial_number for each in sent] == [certificate.serial_number]


def charged(authority: Authority, *uses, **fields):
    """A responder's certificate with these uses, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return authority.sign("Responder", key, *(x509.ExtendedKeyUsage([use]) for use in uses), **fields), key


def test_responder_that_the_issuer_has_charged_is_believed(publisher, authority):
    responder, key = charged(authority, ExtendedKeyUsageOID.OCSP_SIGNING)
    pem = responding(publisher, authority, key=key, responder=responder, revoked_at=REVOKED)
    assert published_revocation(pem, at=NOON) == REVOKED


def not_charged(authority):
    return charged(authority, ExtendedKeyUsageOID.SERVER_AUTH)


def without_uses(authority):
    return charged(authority)


def no_longer_charged(authority):
    return charged(authority, ExtendedKeyUsageOID.OCSP_SIGNING, ends=NOON - timedelta(days=1))


def charged_by_somebody_else(authority):
    return charged(Authority(), ExtendedKeyUsageOID.OCSP_SIGNING)


@pytest.mark.parametrize("who", [not_charged, without_uses, no_longer_charged, charged_by_somebody_else])
def test_responder_that_the_issuer_has_not_charged_is_not_believed(publisher, authority, who):
    responder, key = who(authority)
    pem = responding(publisher, authority, key=key, responder=responder, revoked_at=REVOKED)
    with pytest.raises(AuthorityUnavailable, match="without a signature of the issuer"):
        published_revocation(pem, at=NOON)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": ocsp.OCSPCertStatus.UNKNOWN}, "knows nothing of the certificate"),
        ({"at": NOON - timedelta(days=2)}, "speaks of the time from 2026-11-21 04:00 to 2026-11-22 04:00 UTC only"),
        ({"at": NOON + timedelta(hours=1)}, "speaks of the time from 2026-11-23 05:00"),
    ],
    ids=["unknown", "of yesterday", "of tomorrow"],
)
def test_responder_is_not_believed(publisher, authority, answer, words):
    pem = responding(publisher, authority, **answer)
    with pytest.raises(AuthorityUnavailable, match=words):
        published_revocation(pem, at=NOON)


def test_answer_that_was_changed_on_its_way_is_not_believed(publisher, authority):
    certificate = authority.issue(responder=f"{publisher.address}/ocsp")
    answer = bytearray(ocsp_answer(certificate, authority.certificate, authority.key, at=NOON))
    answer[-1] ^= 1
    publisher.put("/ocsp", bytes(answer))
    with pytest.raises(AuthorityUnavailable, match="without a signature of the issuer"):
        published_revocation(authority.pem(certificate), at=NOON)


def test_answer_about_another_certificate_is_none(publisher, authority):
    pem = responding(publisher, authority, about=authority.issue(), revoked_at=REVOKED)
    with pytest.raises(AuthorityUnavailable, match="knows nothing of the certificate"):
        published_revocation(pem, at=NOON)


def test_clocks_may_differ_by_minutes(publisher, authority):
    assert published_revocation(responding(publisher, authority, at=NOON + timedelta(minutes=4)), at=NOON) is None


UNSUCCESSFUL = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"content": b"", "status": 500}, "answered 500"),
        ({"content": b"", "status": 302, "Location": "http://127.0.0.1:1/"}, "answered 302"),
        ({"content": b"no DER"}, "error parsing"),
        ({"content": UNSUCCESSFUL.public_bytes(Encoding.DER)}, "answered TRY_LATER"),
        ({"content": b"x" * (acme_status.LONGEST_OCSP + 1)}, "more than 65536 bytes"),
    ],
    ids=["error", "redirect", "nonsense", "later", "too long"],
)
def test_page_that_is_no_answer_is_said_to_staff(publisher, authority, page, words):
    certificate = authority.issue(responder=f"{publisher.address}/ocsp")
    publisher.put("/ocsp", **page)
    with pytest.raises(AuthorityUnavailable, match=words):
        published_revocation(authority.pem(certificate), at=NOON)


def test_responder_that_drips_is_given_up_in_time(publisher, authority, monkeypatch):
    certificate = authority.issue(responder=f"{publisher.address}/ocsp")
    seconds = iter(range(0, 100, 5))
    monkeypatch.setattr(calls.time, "monotonic", lambda: next(seconds))
    publisher.put("/ocsp", b"x" * 1000)
    with pytest.raises(AuthorityUnavailable, match="took too long altogether"):
        published_revocation(authority.pem(certificate), at=NOON)


# --- CRL ---------------------------------------------------------------------------------------


def listing(publisher: Publisher, authority: Authority, *extensions, is_revoked: bool = True, **fields) -> str:
    """The PEM of a certificate that is on this list, or not."""
    certificate = authority.issue(crl=f"{publisher.address}/crl")
    revoked = {certificate.serial_number: REVOKED} if is_revoked else {certificate.serial_number + 1: REVOKED}
    facts = {"at": NOON, "issuer": authority.certificate, "key": authority.key, **fields}
    publisher.put("/crl", crl(facts.pop("issuer"), facts.pop("key"), revoked, *extensions, **facts))
    return authority.pem(certificate)


def test_list_is_believed_about_what_is_on_it_and_what_is_not(publisher, authority):
    assert published_revocation(listing(publisher, authority), at=NOON) == REVOKED
    assert published_revocation(listing(publisher, authority, is_revoked=False), at=NOON) is None


def point(address: str) -> x509.IssuingDistributionPoint:
    names = [x509.UniformResourceIdentifier(address)]
    return x509.IssuingDistributionPoint(names, None, False, False, None, False, False)


def test_list_of_its_own_address_is_believed(publisher, authority):
    pem = listing(publisher, authority, point(f"{publisher.address}/crl"))
    assert published_revocation(pem, at=NOON) == REVOKED


@pytest.mark.parametrize(
    ("fields", "extensions", "words"),
    [
        ({"key": ec.generate_private_key(ec.SECP256R1())}, [], "not signed by the issuer"),
        ({"at": NOON - timedelta(days=2)}, [], "speaks of the time from"),
        ({}, [x509.DeltaCRLIndicator(1)], "holds changes only"),
        ({}, [point("http://crl.example.com/other")], "the list of another address"),
    ],
    ids=["forged", "old", "delta", "of another address"],
)
def test_list_is_not_believed(publisher, authority, fields, extensions, words):
    pem = listing(publisher, authority, *extensions, is_revoked=False, **fields)
    with pytest.raises(AuthorityUnavailable, match=words):
        published_revocation(pem, at=NOON)


def test_list_is_asked_when_the_responder_does_not_answer(publisher, authority):
    certificate = authority.issue(responder=f"http://127.0.0.1:{free_port()}/", crl=f"{publisher.address}/crl")
    publisher.put("/crl", crl(authority.certificate, authority.key, {certificate.serial_number: REVOKED}, at=NOON))
    assert published_revocation(authority.pem(certificate), at=NOON) == REVOKED


def test_list_is_fetched_once_for_many_certificates(publisher, authority, monkeypatch):
    certificates = [authority.issue(crl=f"{publisher.address}/crl") for _ in range(3)]
    publisher.put("/crl", crl(authority.certificate, authority.key, {certificates[1].serial_number: REVOKED}, at=NOON))
    moments = [published_revocation(authority.pem(each), at=NOON) for each in certificates]
    assert moments == [None, REVOKED, None]
    assert publisher.asked == ["/crl"]
    later = acme_status.time.monotonic() + acme_status.KEEP_CRL
    monkeypatch.setattr(acme_status.time, "monotonic", lambda: later)
    published_revocation(authority.pem(certificates[0]), at=NOON)
    assert publisher.asked == ["/crl"] * 2


# --- Neither -----------------------------------------------------------------------------------


def test_certificate_about_which_nothing_is_published_is_said_to_staff(authority):
    with pytest.raises(AuthorityUnavailable, match="neither an OCSP responder nor a CRL"):
        published_revocation(authority.pem(authority.issue()), at=NOON)


def test_certificate_without_its_chain_cannot_be_checked(publisher, authority):
    alone = authority.issue(crl=f"{publisher.address}/crl").public_bytes(Encoding.PEM).decode()
    with pytest.raises(AuthorityUnavailable, match="without its chain"):
        published_revocation(alone, at=NOON)
