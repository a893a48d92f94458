"""What the console's own authority publishes under /ca/, as anybody's programs read it."""

import base64
import urllib.request
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from certificates.authority import publishing
from certificates.authority.issuers import issuers, signing
from certificates.models import CaIssuer, CaOrder
from tests.factories import NOON
from tests.lifecycle import openssl
from tests.lifecycle.embedded import authority, issue, read, ready

CERTIFICATES = ["/ca/chain.pem", "/ca/root.pem", "/ca/root.cer", "/ca/intermediate.cer"]
LISTS = ["/ca/root.crl", "/ca/intermediate.crl"]
OCSP_TYPE = "application/ocsp-request"


def published(client: Client, folder: Path) -> openssl.Published:
    """The files that the pages give."""
    return openssl.Published(
        folder,
        root=client.get("/ca/root.pem").content.decode(),
        chain=client.get("/ca/chain.pem").content.decode(),
        crl=client.get("/ca/intermediate.crl").content,
        root_crl=client.get("/ca/root.crl").content,
    )


def ask(pem: str, *, algorithm: hashes.HashAlgorithm | None = None, nonce: bytes = b"") -> bytes:
    """An OCSP request about a certificate of the authority."""
    intermediate = signing(issuers(at=NOON).intermediate).certificate
    builder = ocsp.OCSPRequestBuilder().add_certificate(read(pem), intermediate, algorithm or hashes.SHA1())  # noqa: S303
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def post(client: Client, request: bytes, **headers: str):
    return client.post("/ca/ocsp", request, content_type=OCSP_TYPE, headers=headers)


def answer_of(response) -> ocsp.OCSPResponse:
    assert response.status_code == 200
    assert response["Content-Type"] == "application/ocsp-response"
    return ocsp.load_der_ocsp_response(response.content)


# --- Files -------------------------------------------------------------------------------------


def test_chain_and_certificates_are_those_that_sign(client: Client, db):
    pem = issue(ready())
    intermediate, root = x509.load_pem_x509_certificates(client.get("/ca/chain.pem").content)
    read(pem).verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    assert x509.load_pem_x509_certificate(client.get("/ca/root.pem").content) == root
    assert x509.load_der_x509_certificate(client.get("/ca/root.cer").content) == root
    assert x509.load_der_x509_certificate(client.get("/ca/intermediate.cer").content) == intermediate
    # What is handed over comes with its chain and without the root.
    assert x509.load_pem_x509_certificates(pem.encode())[1:] == [intermediate]


@pytest.mark.parametrize(
    ("address", "content_type"),
    [
        ("/ca/chain.pem", "application/pem-certificate-chain"),
        ("/ca/root.cer", "application/pkix-cert"),
        ("/ca/intermediate.crl", "application/pkix-crl"),
    ],
)
def test_a_file_says_what_it_is(client: Client, db, address, content_type):
    assert client.get(address)["Content-Type"] == content_type


@pytest.mark.parametrize("address", CERTIFICATES + LISTS)
def test_whoever_passes_a_file_on_may_keep_it(client: Client, db, address):
    first = client.get(address)
    assert first.status_code == 200
    seconds = 60 if address in LISTS else 3600
    assert first["Cache-Control"] == f"public, max-age={seconds}"
    assert not first.cookies
    again = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Cache-Control"] == first["Cache-Control"]
    head = client.head(address)
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", first["ETag"])


@pytest.mark.parametrize("address", CERTIFICATES + LISTS)
def test_a_file_takes_nothing(client: Client, db, address):
    assert client.post(address).status_code == 405


@pytest.mark.parametrize("address", [*CERTIFICATES, *LISTS, "/ca/ocsp/MAA="])
def test_plain_http_is_answered_where_else_it_is_not(db, settings: Settings, address):
    settings.SECURE_SSL_REDIRECT = True
    client = Client()
    assert client.get(address).status_code == 200
    assert client.get("/").status_code == 301


@pytest.mark.parametrize("address", [*CERTIFICATES, *LISTS])
def test_without_keys_nothing_is_published_for_now(client: Client, db, settings: Settings, address):
    settings.KEY_ENCRYPTION_KEYS = []
    response = client.get(address)
    assert response.status_code == 503
    assert response["Cache-Control"] == "no-store"
    assert "KEY_ENCRYPTION_KEYS" not in response.content.decode()


# --- Lists of revoked certificates -------------------------------------------------------------


def crl(client: Client) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(client.get("/ca/intermediate.crl").content)


def number_of(listed: x509.CertificateRevocationList) -> int:
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_revocation_stands_in_the_list_at_once(client: Client, db, frozen):
    wanted, other = ready(), ready()
    pem, pem_of_other = issue(wanted), issue(other)
    before = crl(client)
    assert list(before) == []
    revoked = NOON - timedelta(days=2)
    authority.revoke(wanted, pem, "keyCompromise", at=revoked)
    after = crl(client)
    [entry] = after
    assert (entry.serial_number, entry.revocation_date_utc) == (read(pem).serial_number, revoked)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    authority.revoke(other, pem_of_other, "unspecified", at=NOON)
    last = crl(client)
    assert [len(entry.extensions) for entry in last] == [1, 0]
    assert number_of(before) < number_of(after) < number_of(last)
    assert last.is_signature_valid(signing(issuers(at=NOON).intermediate).key.public_key())


def test_a_list_is_made_once_an_hour_and_its_number_grows(client: Client, db, frozen, django_assert_num_queries):
    wanted = ready()
    authority.revoke(wanted, issue(wanted), "superseded", at=NOON)
    first = crl(client)
    with django_assert_num_queries(2):
        assert crl(client) == first
    assert first.last_update_utc == NOON
    assert first.next_update_utc == NOON + timedelta(days=1)
    frozen.shift(timedelta(hours=1))
    later = crl(client)
    assert (later.last_update_utc, len(list(later))) == (NOON + timedelta(hours=1), 1)
    assert number_of(later) > number_of(first)


def test_every_process_makes_the_same_list(client: Client, db, frozen):
    wanted = ready()
    authority.revoke(wanted, issue(wanted), "superseded", at=NOON)
    mine = client.get("/ca/intermediate.crl").content
    publishing._signed_list.cache_clear()
    assert client.get("/ca/intermediate.crl").content == mine


def test_a_list_is_no_older_than_what_it_holds(client: Client, db, frozen):
    wanted = ready()
    pem = issue(wanted)
    frozen.shift(timedelta(minutes=20))
    authority.revoke(wanted, pem, "superseded", at=NOON + timedelta(minutes=19))
    assert crl(client).last_update_utc == NOON + timedelta(minutes=19)


def test_an_expired_certificate_stays_in_the_list(client: Client, db, frozen):
    wanted = ready(at=NOON - timedelta(days=500))
    authority.revoke(wanted, issue(wanted, at=NOON - timedelta(days=500)), "superseded", at=NOON - timedelta(days=400))
    assert len(list(crl(client))) == 1


def test_the_roots_list_is_empty_and_signed_by_it(client: Client, db):
    listed = x509.load_der_x509_crl(client.get("/ca/root.crl").content)
    assert list(listed) == []
    assert listed.is_signature_valid(signing(issuers(at=NOON).root).key.public_key())


# --- OCSP --------------------------------------------------------------------------------------


@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("hashed", ["-sha1", "-sha256", "-sha384"])
def test_openssl_ocsp_agrees_about_every_certificate(client: Client, db, tmp_path: Path, revoked, hashed):
    at = timezone.now()
    for names, key in [(["www.example.com"], "rsa"), (["*.example.com", "xn--bcher-kva.example"], "ec")]:
        wanted = ready(*names, csr=openssl.csr(tmp_path, names, key=key), at=at)
        pem = issue(wanted, at=at)
        if revoked:
            authority.revoke(wanted, pem, "superseded", at=at)
        files = published(client, tmp_path)
        about = ("-cert", files.kept(pem))
        response = post(client, files.ask(*about, hashed=hashed))
        words = files.read(response.content, *about, hashed=hashed)
        is_revoked = authority.poll_revocation(wanted, pem, at=at) is not None
        assert f"leaf.pem: {'revoked' if is_revoked else 'good'}" in words
        assert ("Reason: superseded" in words) is is_revoked is revoked
        assert files.verdict(pem, host=names[0].replace("*", "any")) == ("revoked" if revoked else "good")


def test_openssl_ocsp_does_not_know_what_was_never_issued(client: Client, db, tmp_path: Path):
    files = published(client, tmp_path)
    about = ("-serial", "0x1234")
    assert "0x1234: unknown" in files.read(post(client, files.ask(*about)).content, *about)


def test_openssl_asks_and_fetches_over_http(transactional_db, live_server, tmp_path: Path, settings: Settings):
    settings.CA_URL = live_server.url
    at = timezone.now()
    good, bad = ready(at=at), ready(at=at)
    pems = [issue(good, at=at), issue(bad, at=at)]
    authority.revoke(bad, pems[1], "cessationOfOperation", at=at)
    fetched = {name: fetch(f"{live_server.url}/ca/{name}") for name in ("root.pem", "chain.pem", "root.crl")}
    [point] = read(pems[0]).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    files = openssl.Published(
        tmp_path,
        root=fetched["root.pem"].decode(),
        chain=fetched["chain.pem"].decode(),
        crl=fetch(point.full_name[0].value),
        root_crl=fetched["root.crl"],
    )
    places = {each.access_method: each.access_location.value for each in access_of(read(pems[0]))}
    issuer = x509.load_der_x509_certificate(fetch(places[AuthorityInformationAccessOID.CA_ISSUERS]))
    for pem, verdict in zip(pems, ("good", "revoked"), strict=True):
        read(pem).verify_directly_issued_by(issuer)
        words = files.ask_at(places[AuthorityInformationAccessOID.OCSP], "-cert", files.kept(pem))
        assert f"leaf.pem: {verdict}" in words
        assert files.verdict(pem, host="www.example.com") == verdict


def access_of(certificate: x509.Certificate) -> x509.AuthorityInformationAccess:
    return certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value


def fetch(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - the live server's
        return response.read()


def test_a_request_in_the_address_is_answered_as_one_in_the_body(client: Client, db, frozen):
    pem = issue(ready())
    # Serial numbers are random: sooner or later the text holds what an address writes otherwise.
    text = base64.b64encode(ask(pem)).decode()
    for written in (text, quote(text, safe=""), quote(text), text.rstrip("="), f"/{text}"):
        response = client.get(f"/ca/ocsp/{written}")
        answer = answer_of(response)
        assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
        assert response["Cache-Control"] == "public, max-age=60"
    posted = answer_of(post(client, ask(pem)))
    assert posted.tbs_response_bytes == answer.tbs_response_bytes


def test_slashes_within_a_request_in_the_address_belong_to_it(client: Client, db):
    # Octets 0xff give slashes in base64.
    text = base64.b64encode(ask(issue(ready()), nonce=b"\xff" * 12)).decode()
    assert "//" in text
    for written in (text, quote(text, safe="")):
        assert answer_of(client.get(f"/ca/ocsp/{written}")).certificate_status == ocsp.OCSPCertStatus.GOOD


def test_an_answer_is_of_now_and_names_the_moment_of_revocation(client: Client, db, frozen):
    wanted = ready()
    pem = issue(wanted)
    revoked = NOON - timedelta(days=3)
    authority.revoke(wanted, pem, "unspecified", at=revoked)
    answer = answer_of(post(client, ask(pem)))
    assert answer.revocation_time_utc == revoked
    assert answer.revocation_reason is None
    assert answer.this_update_utc == answer.produced_at_utc == NOON
    assert answer.next_update_utc == NOON + timedelta(hours=1)
    assert answer.issuer_key_hash == ocsp.load_der_ocsp_request(ask(pem)).issuer_key_hash


def test_a_nonce_comes_back_and_its_answer_is_for_the_one_who_asked(client: Client, db):
    pem = issue(ready())
    response = post(client, ask(pem, nonce=b"n" * 32))
    answer = answer_of(response)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert response["Cache-Control"] == "no-store"
    assert len(answer_of(post(client, ask(pem))).extensions) == 0


def test_an_unknown_serial_is_unknown_and_nobody_keeps_that(client: Client, db):
    pem = issue(ready())
    CaOrder.objects.update(serial="1")
    response = post(client, ask(pem))
    assert answer_of(response).certificate_status == ocsp.OCSPCertStatus.UNKNOWN
    assert response["Cache-Control"] == "no-store"


def test_another_authoritys_certificates_are_not_answered_for(client: Client, db):
    pem = issue(ready())
    request = ask(pem)
    CaIssuer.objects.all().delete()
    assert answer_of(post(client, request)).response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED


def two_in_one(pem: str) -> bytes:
    """A request about two certificates, which RFC 5019 does without: three sequences around the same one twice."""
    both = ask(pem)[6:] * 2
    return b"\x30" + length(len(both) + 6) + b"\x30" + length(len(both) + 3) + b"\x30" + length(len(both)) + both


def length(octets: int) -> bytes:
    return bytes([0x81, octets]) if octets > 127 else bytes([octets])


def negative(pem: str) -> bytes:
    """A request about the certificate's serial number with its sign turned."""
    number = read(pem).serial_number
    octets = number.to_bytes(number.bit_length() // 8 + 1)
    assert octets in ask(pem)
    return ask(pem).replace(octets, bytes([octets[0] | 0x80]) + octets[1:])


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"nonsense",
        lambda _: b"\x30\x00",
        lambda pem: ask(pem)[:-1],
        lambda pem: ask(pem, nonce=b"n" * 129),
        two_in_one,
        lambda pem: ask(pem).replace(b"\x2b\x0e\x03\x02\x1a", b"\x2b\x0e\x03\x02\x7f"),
        negative,
    ],
    ids=["text", "no fields", "cut", "long nonce", "two", "unknown hash", "negative serial"],
)
def test_a_malformed_request_is_called_that(client: Client, db, make):
    pem = issue(ready())
    response = post(client, make(pem))
    assert answer_of(response).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("text", ["", "/", "/%FF", "/no+base64!", f"/{'A' * 5000}"])
def test_a_malformed_address_is_called_that(client: Client, db, text):
    assert answer_of(client.get(f"/ca/ocsp{text}")).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_more_than_a_request_needs_is_not_read(client: Client, db):
    assert post(client, b"0" * 16 * 1024).status_code == 200
    assert post(client, b"0" * (16 * 1024 + 1)).status_code == 413
    assert post(client, b"0" * 10_000_000).status_code == 413


def test_a_body_of_another_type_is_not_read(client: Client, db):
    assert client.post("/ca/ocsp", {"a": "form"}).status_code == 415


def test_a_program_needs_no_token_of_a_form(db):
    client = Client(enforce_csrf_checks=True)
    assert post(client, ask(issue(ready()))).status_code == 200


def test_without_the_key_no_status_is_given(client: Client, db, settings: Settings):
    request = ask(issue(ready()))
    settings.KEY_ENCRYPTION_KEYS = []
    assert post(client, request).status_code == 503
