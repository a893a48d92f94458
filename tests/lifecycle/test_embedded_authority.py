"""The console's own authority: what it issues, once; what it closes, for good; what it revokes, and since when."""

import logging
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from django.apps import apps
from django.utils import timezone
from pytest_django import Settings

from certificates.authority import embedded as module
from certificates.authority import pki, publishing
from certificates.authority.base import AuthorityUnavailable, Closed, HandedIn, Issued, Refused, Waiting
from certificates.authority.issuers import issuers, signing
from certificates.models import CaIssuer, CaOrder
from certificates.states import Verification
from tests.factories import NOON
from tests.lifecycle import openssl
from tests.lifecycle.embedded import authority, csr, issue, made_ready, order, read, ready
from tests.races.running import overtake, overtake_unguarded, together

YEAR = timedelta(days=365)
UNCOMPRESSED = PublicFormat.UncompressedPoint


def extension(certificate: x509.Certificate, kind: type) -> x509.Extension:
    return certificate.extensions.get_extension_for_class(kind)


# --- What a certificate says -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "uses"),
    [
        (rsa.generate_private_key(65537, 2048), {"digital_signature", "key_encipherment"}),
        (ec.generate_private_key(ec.SECP256R1()), {"digital_signature"}),
        (ec.generate_private_key(ec.SECP384R1()), {"digital_signature"}),
    ],
    ids=["rsa", "p256", "p384"],
)
def test_a_certificate_holds_the_requests_key_and_its_uses(db, key, uses):
    certificate = read(issue(ready(csr=csr(key))))
    assert certificate.public_key() == key.public_key()
    usage = extension(certificate, x509.KeyUsage)
    said = {use for use in pki.USAGES if use not in {"encipher_only", "decipher_only"} and getattr(usage.value, use)}
    assert usage.critical
    assert said == uses
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(certificate, x509.BasicConstraints).value == x509.BasicConstraints(ca=False, path_length=None)


def test_a_certificate_is_for_a_year_backdated_by_an_hour(db):
    certificate = read(issue(ready(), at=NOON + timedelta(microseconds=999_999)))
    assert certificate.not_valid_before_utc == NOON - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOON + YEAR
    stored = CaOrder.objects.get()
    assert (stored.issued_at, stored.not_after) == (NOON, NOON + YEAR)


def test_a_certificate_names_all_domains_and_the_first_as_common_name(db):
    names = ("*.example.com", "xn--bcher-kva.example", "example.com")
    certificate = read(issue(ready(*names)))
    found = extension(certificate, x509.SubjectAlternativeName)
    assert tuple(found.value.get_values_for_type(x509.DNSName)) == names
    assert not found.critical
    assert [each.value for each in certificate.subject] == ["*.example.com"]


def test_a_name_too_long_for_a_common_name_stands_beside_it_alone(db):
    long = f"{'a' * 60}.example.com"
    certificate = read(issue(ready(long)))
    assert list(certificate.subject) == []
    assert extension(certificate, x509.SubjectAlternativeName).critical


def test_a_checked_company_stands_in_the_subject(db):
    wanted = ready(organisation="北京示例科技有限公司", country="cn", locality="北京")
    certificate = read(issue(wanted))
    said = {each.oid: each.value for each in certificate.subject}
    assert said == {
        NameOID.COUNTRY_NAME: "CN",
        NameOID.LOCALITY_NAME: "北京",
        NameOID.ORGANIZATION_NAME: "北京示例科技有限公司",
        NameOID.COMMON_NAME: "www.example.com",
    }
    assert policies(certificate) == ["2.23.140.1.2.2"]


def test_a_dv_certificate_says_that_only_the_domain_was_checked(db):
    assert policies(read(issue(ready()))) == ["2.23.140.1.2.1"]


def policies(certificate: x509.Certificate) -> list[str]:
    return [each.policy_identifier.dotted_string for each in extension(certificate, x509.CertificatePolicies).value]


def test_a_certificate_says_where_its_status_and_its_issuer_are(db, settings: Settings):
    settings.CA_URL = "http://ca.example.com/"
    certificate = read(issue(ready()))
    access = {
        each.access_method: each.access_location.value
        for each in extension(certificate, x509.AuthorityInformationAccess).value
    }
    assert access == {
        AuthorityInformationAccessOID.OCSP: "http://ca.example.com/ca/ocsp",
        AuthorityInformationAccessOID.CA_ISSUERS: "http://ca.example.com/ca/intermediate.cer",
    }
    [point] = extension(certificate, x509.CRLDistributionPoints).value
    assert [each.value for each in point.full_name] == ["http://ca.example.com/ca/intermediate.crl"]


def test_serial_numbers_are_random_and_at_most_20_octets(db):
    serials = [read(issue(ready())).serial_number for _ in range(20)]
    assert len(set(serials)) == 20
    assert all(0 < serial < 1 << 159 for serial in serials)
    # 20 numbers of 159 bits that are all this short come by chance once in 2 to the 1,900.
    assert max(serials) > 1 << 64
    assert {f"{serial:x}" for serial in serials} == set(CaOrder.objects.values_list("serial", flat=True))


def test_issuers_may_do_what_they_do_and_no_more(db):
    pair = issuers(at=NOON)
    root, intermediate = signing(pair.root).certificate, signing(pair.intermediate).certificate
    assert extension(root, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=1)
    assert extension(intermediate, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    for each in (root, intermediate):
        usage = extension(each, x509.KeyUsage).value
        assert (usage.key_cert_sign, usage.crl_sign, usage.key_encipherment) == (True, True, False)
        assert each.not_valid_before_utc < NOON - timedelta(days=700)
        assert each.not_valid_after_utc > NOON + 14 * YEAR
    assert intermediate.not_valid_after_utc < root.not_valid_after_utc
    intermediate.verify_directly_issued_by(root)
    leaf = read(issue(ready()))
    leaf.verify_directly_issued_by(intermediate)
    identified = extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier
    assert identified == extension(intermediate, x509.SubjectKeyIdentifier).value.digest


def test_no_certificate_outlives_its_issuer(db):
    end = signing(issuers(at=NOON).intermediate).certificate.not_valid_after_utc
    certificate = read(issue(ready(), at=end - timedelta(days=10)))
    assert certificate.not_valid_after_utc == end
    late = ready()
    with pytest.raises(AuthorityUnavailable, match="expired"):
        authority.poll(late, at=end)
    assert CaOrder.objects.get(reference=late.reference).issued_at is None


def test_a_certificate_of_the_past_is_issued_and_revoked_as_of_then(db):
    issuers(at=NOON)
    then = NOON - timedelta(days=400)
    wanted = ready(at=then)
    pem = issue(wanted, at=then)
    assert read(pem).not_valid_after_utc == then + YEAR
    revoked = then + timedelta(days=20)
    assert authority.revoke(wanted, pem, "superseded", at=revoked) == revoked


def test_a_long_name_of_the_authority_is_cut(db, settings: Settings):
    settings.CA_NAME = "证书" * 20
    assert read(issue(ready())).issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value.endswith(" Intermediate CA")


# --- What openssl says of it -------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


CASES = [
    (["www.example.com"], "rsa", {}),
    (["www.example.com", "example.com"], "ec", {}),
    (["*.example.com", "example.com"], "ec521", {}),
    (["xn--bcher-kva.example", "*.xn--fiqs8s.example"], "rsa", {}),
    (["shop.example.com"], "ec", {"organisation": "Example & Söhne GmbH", "country": "DE", "locality": "Köln"}),
]


def test_openssl_verify_agrees_about_every_certificate(db, folder: Path):
    at = timezone.now()
    issued = []
    for index, (names, key, company) in enumerate(CASES * 2):
        wanted = ready(*names, csr=openssl.csr(folder, names, key=key), at=at, **company)
        issued.append((wanted, issue(wanted, at=at)))
        if index % 2:
            authority.revoke(*issued[-1], "keyCompromise", at=at)
    published = openssl.Published(
        folder,
        root=publishing.root_pem(at=at),
        chain=publishing.chain_pem(at=at),
        crl=publishing.crl_der(CaIssuer.Kind.INTERMEDIATE, at=at),
        root_crl=publishing.crl_der(CaIssuer.Kind.ROOT, at=at),
    )
    for wanted, pem in issued:
        expected = "revoked" if authority.poll_revocation(wanted, pem, at=at) else "good"
        for name in wanted.names:
            assert published.verdict(pem, host=name.replace("*", "any")) == expected
    assert CaOrder.objects.filter(revoked_at=None).count() == CaOrder.objects.exclude(revoked_at=None).count() == 5


# --- Once, and for good ------------------------------------------------------------------------


def test_the_same_order_asked_twice_gives_the_same_certificate(db):
    wanted = ready()
    assert issue(wanted) == issue(wanted, at=NOON + timedelta(days=1))
    assert CaOrder.objects.count() == 1


def test_an_order_handed_in_twice_has_the_same_challenges_and_another_order_others(db):
    wanted, other = order(), order()
    first, second = authority.hand_in(wanted, at=NOON), authority.hand_in(wanted, at=NOON + timedelta(hours=1))
    assert first == second
    assert CaOrder.objects.get().handed_in_at == NOON
    others = authority.hand_in(other, at=NOON)
    assert {each.value for each in first.challenges} != {each.value for each in others.challenges}


def test_nothing_is_issued_before_the_order_is_ready(db):
    wanted = order()
    authority.hand_in(wanted, at=NOON)
    assert authority.poll(wanted, at=NOON) == Waiting({})
    assert CaOrder.objects.get().issued_at is None
    assert not CaIssuer.objects.exists()


def test_after_closing_nothing_is_ever_issued(db):
    wanted = ready()
    assert authority.close(wanted, at=NOON) == Closed()
    assert authority.close(wanted, at=NOON + timedelta(hours=1)) == Closed()
    assert isinstance(authority.poll(wanted, at=NOON), Refused)
    assert isinstance(authority.hand_in(wanted, at=NOON), Refused)
    stored = CaOrder.objects.get()
    assert (stored.closed_at, stored.issued_at) == (NOON, None)


def test_an_order_closed_before_it_came_is_refused_when_it_comes(db):
    wanted = order()
    assert authority.close(wanted, at=NOON) == Closed()
    assert isinstance(authority.hand_in(wanted, at=NOON), Refused)


def test_closing_too_late_gives_the_certificate(db):
    wanted = ready()
    pem = issue(wanted)
    assert authority.close(wanted, at=NOON) == Issued(pem)
    assert CaOrder.objects.get().closed_at is None


def test_the_first_moment_and_reason_of_a_revocation_stay(db):
    wanted = ready()
    pem = issue(wanted)
    assert authority.poll_revocation(wanted, pem, at=NOON) is None
    first = NOON + timedelta(days=3, microseconds=5)
    stands = first.replace(microsecond=0)
    assert authority.revoke(wanted, pem, "keyCompromise", at=first) == stands
    assert authority.revoke(wanted, pem, "superseded", at=first + timedelta(days=1)) == stands
    assert authority.poll_revocation(wanted, pem, at=first) == stands
    assert CaOrder.objects.get().revocation_reason == "keyCompromise"


def test_a_certificate_that_is_not_the_orders_is_not_revoked(db):
    mine, other = ready(), ready()
    issue(mine)
    pem = issue(other)
    for ask in (
        lambda: authority.revoke(mine, pem, "superseded", at=NOON),
        lambda: authority.poll_revocation(mine, pem, at=NOON),
        lambda: authority.revoke(order(), pem, "superseded", at=NOON),
        lambda: authority.poll_revocation(order(), pem, at=NOON),
        lambda: authority.poll(replace(order(), data={"ready": True}), at=NOON),
    ):
        with pytest.raises(AuthorityUnavailable, match="own authority"):
            ask()
    assert not CaOrder.objects.exclude(revoked_at=None).exists()


# --- What is to be published -------------------------------------------------------------------


def test_a_wildcard_shares_the_record_of_the_domain_beneath_it(db):
    challenges = authority.hand_in(order("*.example.com", "example.com", "www.example.com"), at=NOON).challenges
    assert [(each.name, each.place) for each in challenges] == [
        ("*.example.com", "_certificate-proof.example.com"),
        ("www.example.com", "_certificate-proof.www.example.com"),
    ]
    assert len({each.value for each in challenges}) == 1
    assert re.fullmatch("[0-9a-f]{64}", challenges[0].value)


def test_one_file_serves_all_domains_of_an_order(db):
    wanted = order("example.com", "www.example.com", verification=Verification.FILE)
    challenges = authority.hand_in(wanted, at=NOON).challenges
    assert [each.name for each in challenges] == ["example.com", "www.example.com"]
    [(place, value)] = {(each.place, each.value) for each in challenges}
    assert re.fullmatch(r"/\.well-known/pki-validation/[0-9a-f]{32}\.txt", place)
    assert re.fullmatch("[0-9a-f]{64}", value)
    assert value[:32] not in place


def test_what_cannot_be_published_is_refused_by_name(db):
    long = ".".join(["a" * 60] * 4)
    for wanted, words in [
        (order("*.example.com", verification=Verification.FILE), "wildcard"),
        (order(long), "verify it by file"),
    ]:
        answer = authority.hand_in(wanted, at=NOON)
        assert isinstance(answer, Refused)
        assert words in answer.cause
    assert isinstance(authority.hand_in(order(long, verification=Verification.FILE), at=NOON), HandedIn)


# --- What it refuses ---------------------------------------------------------------------------


def tampered() -> str:
    """A request whose key is not the one that signed it."""
    der = x509.load_pem_x509_csr(csr().encode()).public_bytes(Encoding.DER)
    other = x509.load_pem_x509_csr(csr().encode()).public_key().public_bytes(Encoding.X962, UNCOMPRESSED)
    mine = x509.load_der_x509_csr(der).public_key().public_bytes(Encoding.X962, UNCOMPRESSED)
    return x509.load_der_x509_csr(der.replace(mine, other)).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "nonsense", "cannot be read"),
        (lambda: "\udce4", "cannot be read"),
        (lambda: csr().replace("M", "N", 3), "cannot be read"),
        (tampered, "not signed with its own key"),
        (lambda: csr(rsa.generate_private_key(65537, 1024)), "2048 bits"),  # noqa: S505
        (lambda: csr(ec.generate_private_key(ec.SECP256K1())), "P-256"),
        (lambda: csr(ed25519.Ed25519PrivateKey.generate(), is_hashed=False), "RSA with"),
    ],
    ids=["text", "half a character", "broken", "tampered", "rsa1024", "secp256k1", "ed25519"],
)
def test_an_unfit_request_is_refused_with_the_cause(db, make, words):
    wanted = order(csr=make())
    for answer in (authority.hand_in(wanted, at=NOON), poll_as_ready(wanted)):
        assert isinstance(answer, Refused)
        assert words in answer.cause
    assert CaOrder.objects.get().issued_at is None


def poll_as_ready(wanted):
    fit = made_ready(replace(wanted, csr=csr()))
    return authority.poll(replace(fit, csr=wanted.csr), at=NOON)


@pytest.mark.parametrize(
    ("company", "words"),
    [
        ({"organisation": "B" * 65}, "64"),
        ({"organisation": "B", "locality": "C" * 129}, "128"),
        ({"organisation": "B", "country": "DEU"}, "two letters"),
        ({"organisation": "B", "country": "中国"}, "two letters"),
    ],
)
def test_a_company_that_does_not_fit_is_refused(db, company, words):
    answer = authority.hand_in(order(**company), at=NOON)
    assert isinstance(answer, Refused)
    assert words in answer.cause
    assert not CaOrder.objects.exists()


def test_a_domain_that_is_no_ascii_is_refused(db):
    assert "cannot stand in" in authority.hand_in(order("bücher.example"), at=NOON).cause


# --- Keys --------------------------------------------------------------------------------------


def test_without_a_key_to_encrypt_with_nothing_is_made(db, settings: Settings):
    wanted = ready()
    settings.KEY_ENCRYPTION_KEYS = []
    with pytest.raises(AuthorityUnavailable, match="KEY_ENCRYPTION_KEYS"):
        authority.poll(wanted, at=NOON)
    assert not CaIssuer.objects.exists()


def test_under_a_key_that_is_not_known_nothing_is_issued_and_what_was_stays(db, settings: Settings):
    issued, wanted = ready(), ready()
    pem = issue(issued)
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(AuthorityUnavailable, match="KEY_ENCRYPTION_KEYS"):
        authority.poll(wanted, at=NOON)
    assert CaOrder.objects.get(reference=wanted.reference).issued_at is None
    assert authority.close(issued, at=NOON) == Issued(pem)


def test_keys_stand_nowhere_in_the_clear(db, caplog):
    caplog.set_level(logging.DEBUG)
    wanted = ready()
    authority.revoke(wanted, issue(wanted), "superseded", at=NOON)
    publishing.crl_der(CaIssuer.Kind.INTERMEDIATE, at=NOON)
    kept = everything_stored()
    assert "BEGIN CERTIFICATE" in kept
    for row in CaIssuer.objects.all():
        issuer = signing(row)
        number = issuer.key.private_numbers().private_value
        pem = issuer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        secrets = [*pem.splitlines()[1:-1], f"{number:x}", str(number), "PRIVATE KEY"]
        for said in (kept, caplog.text, repr(issuer), repr(row), repr(vars(row)), str(row)):
            assert not [secret for secret in secrets if secret in said]


def everything_stored() -> str:
    """Every text of every row."""
    rows = [row for model in apps.get_models() for row in model._base_manager.values_list()]
    return "\n".join(str(value) for row in rows for value in row)


# --- At once -----------------------------------------------------------------------------------


@pytest.fixture
def at_once(transactional_db: None) -> None:
    """Threads with connections of their own."""


def test_of_several_that_come_first_one_makes_the_issuers(at_once):
    orders = [ready() for _ in range(6)]
    pems = together(*(lambda wanted=wanted: issue(wanted) for wanted in orders))
    assert sorted(CaIssuer.objects.values_list("kind", flat=True)) == ["intermediate", "root"]
    intermediate = signing(issuers(at=NOON).intermediate).certificate
    for pem in pems:
        read(pem).verify_directly_issued_by(intermediate)


def test_whoever_would_make_issuers_too_waits(at_once):
    first, second = overtake(lambda: issuers(at=NOON), lambda: issuers(at=NOON), at=(pki, "make_root"))
    assert first == second
    assert CaIssuer.objects.count() == 2


def test_an_order_polled_twice_at_once_is_issued_once(at_once):
    wanted = ready()
    issuers(at=NOON)
    pems = overtake(lambda: issue(wanted), lambda: issue(wanted), at=(module, "_lock"))
    assert pems[0] == pems[1]
    assert CaOrder.objects.count() == 1


def test_control_an_order_polled_twice_at_once_without_locks_is_issued_twice(at_once):
    wanted = ready()
    issuers(at=NOON)
    pems = overtake_unguarded(lambda: issue(wanted), lambda: issue(wanted), at=(module, "_lock"))
    assert read(pems[0]).serial_number != read(pems[1]).serial_number


@pytest.mark.parametrize("closing_is_first", [True, False])
def test_closing_and_issuing_at_once_end_as_one_of_both(at_once, closing_is_first):
    wanted = ready()
    issuers(at=NOON)
    acts = [lambda: authority.close(wanted, at=NOON), lambda: authority.poll(wanted, at=NOON)]
    first, second = acts if closing_is_first else acts[::-1]
    answers = overtake(first, second, at=(module, "_lock"))
    assert [type(answer) for answer in answers] == ([Closed, Refused] if closing_is_first else [Issued, Issued])


def test_of_two_revocations_at_once_the_first_stays(at_once):
    wanted = ready()
    pem = issue(wanted)
    later = NOON + timedelta(days=1)
    moments = overtake(
        lambda: authority.revoke(wanted, pem, "superseded", at=NOON),
        lambda: authority.revoke(wanted, pem, "keyCompromise", at=later),
        at=(module, "_lock"),
    )
    assert moments == [NOON, NOON]


def test_an_order_handed_in_many_times_at_once_is_one(at_once):
    wanted = order()
    answers = together(*[lambda: authority.hand_in(wanted, at=NOON)] * 6)
    assert {type(answer) for answer in answers} == {HandedIn}
    assert CaOrder.objects.count() == 1
