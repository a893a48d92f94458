"""A key is accepted only as what the certificate will say: octet for octet what stands in the request."""

from dataclasses import replace
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.test import Client

from certificates import foreign
from certificates.authority.base import Issued, Refused
from certificates.csr import UnusableCsr, make_request, read_request
from certificates.pem import blocks_of, text_of
from certificates.states import EnrollmentState, KeyType
from core.models import User
from tests.factories import NOON
from tests.lifecycle import openssl
from tests.lifecycle.applying import apply, bought, error_beside
from tests.lifecycle.embedded import authority, issue, order, read, ready
from tests.lifecycle.engine import FakeAuthority, advance, enrollment_of, fresh, handed_in, pem_for, prove
from tests.lifecycle.inputs import INPUTS
from tests.lifecycle.requests import csr_of, pem_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

VECTORS = Path(cryptography_vectors.__file__).parent
NAME = "shop.example.com"
PSS = INPUTS["csr-pss-key.pem"]


def made_by_openssl(folder: Path, *key: str) -> str:
    """A request whose key is made with these options."""
    openssl.run("genpkey", *key, "-out", folder / "made.key")
    asked = ("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}")
    openssl.run("req", "-new", "-key", folder / "made.key", *asked, "-out", folder / "made.csr")
    return (folder / "made.csr").read_text()


def p256(*options: str) -> tuple[str, ...]:
    return ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *options)


def compressed(folder: Path) -> str:
    """A request whose EC point is written in its short form."""
    openssl.run("genpkey", *p256(), "-out", folder / "long.key")
    openssl.run("ec", "-in", folder / "long.key", "-conv_form", "compressed", "-out", folder / "short.key")
    openssl.run("req", "-new", "-key", folder / "short.key", "-subj", f"/CN={NAME}", "-out", folder / "short.csr")
    return (folder / "short.csr").read_text()


# --- What is refused ---------------------------------------------------------------------------


def test_key_for_pss_alone_is_refused_beside_the_field(as_customer: Client, customer: User) -> None:
    page = apply(as_customer, bought(customer), key_type="pasted", csr=PSS)
    assert page.status_code == 422
    assert "RSASSA-PSS" in error_beside(page, "csr")


def test_ec_key_with_parameters_spelled_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableCsr, match="spells out the parameters of its curve"):
        read_request(made_by_openssl(tmp_path, *p256("-pkeyopt", "ec_param_enc:explicit")), [NAME])


def test_key_that_would_be_written_differently_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableCsr, match="compressed EC point"):
        read_request(compressed(tmp_path), [NAME])


def test_request_accepted_earlier_is_refused_by_the_authority() -> None:
    """What was stored before such keys were refused is issued no certificate that a server won't take."""
    answer = authority.hand_in(order(NAME, csr=PSS), at=NOON)
    assert isinstance(answer, Refused)
    assert "RSASSA-PSS" in answer.cause
    assert isinstance(authority.poll(replace(ready(NAME), csr=PSS), at=NOON), Refused)


# --- What is accepted --------------------------------------------------------------------------


KEYS = {
    "rsa 2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa 3072": lambda: rsa.generate_private_key(65537, 3072),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize("new_key", KEYS.values(), ids=KEYS.keys())
def test_issued_key_is_the_requests_octet_for_octet(new_key) -> None:
    require_same(read_request(csr_of([NAME], new_key()), [NAME]).pem)


@pytest.mark.parametrize("key_type", [KeyType.RSA_2048, KeyType.EC_P256])
def test_issued_key_is_the_one_made_here(key_type: str) -> None:
    require_same(make_request(key_type, [NAME]).pem)


@pytest.mark.parametrize(
    "key",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        p256("-pkeyopt", "ec_param_enc:named_curve"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    ],
    ids=["rsa", "p256", "p384"],
)
def test_issued_key_is_the_one_that_openssl_made(key: tuple[str, ...], tmp_path: Path) -> None:
    require_same(read_request(made_by_openssl(tmp_path, *key), [NAME]).pem)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_issued_key_is_the_same_for_every_vector_that_is_accepted() -> None:
    """The vectors' requests are for all kinds of names: what counts is whether the authority takes the key."""
    issued = refused = 0
    for path in sorted((VECTORS / "x509" / "requests").iterdir()):
        content = path.read_bytes()
        try:
            octets = blocks_of(text_of(content))[0].der() if b"-----BEGIN" in content else content
            csr = pem_of("CERTIFICATE REQUEST", octets)
        except ValueError:
            continue
        if isinstance(authority.hand_in(order(NAME, csr=csr), at=NOON), Refused):
            refused += 1
            continue
        require_same(csr)
        issued += 1
    assert issued > 8
    assert refused > 5


def require_same(csr: str) -> None:
    certificate = read(issue(ready(NAME, csr=csr)))
    assert foreign.key_octets(certificate) == foreign.key_octets(x509.load_pem_x509_csr(csr.encode()))


# --- Answers with another key ------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAuthority:
    made = FakeAuthority()
    monkeypatch.setattr("certificates.services.authority_job.authority_of", lambda name: made)
    return made


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (lambda: pem_for((NAME,), NOON, until=NOON.replace(year=2027)), "for another key than the request's"),
        (lambda: "no certificate", "is not an X.509 certificate"),
    ],
    ids=["another key", "no certificate"],
)
def test_answer_of_an_authority_that_cannot_be_the_one_asked_for_is_not_taken(
    customer: User, fake: FakeAuthority, monkeypatch: pytest.MonkeyPatch, answer, trouble: str
) -> None:
    certificate = handed_in(customer)
    advance(rounds=1)
    prove(certificate)
    monkeypatch.setattr(fake, "poll", lambda order, *, at: Issued(answer()))
    advance(rounds=3)
    enrollment = enrollment_of(certificate)
    assert enrollment.state == EnrollmentState.READY
    assert trouble in enrollment.trouble
    assert not fresh(certificate).pem
