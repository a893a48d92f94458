"""Orders as the authority is told of them, and the way of one to its certificate."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone

from certificates.authority.acme import AcmeAuthority
from certificates.authority.base import Challenge, Closed, Enrolled, HandedIn, Issued, Refused, Waiting
from certificates.models import Enrollment, Product
from certificates.states import AuthorityName, CertificateState, Verification
from core.models import User
from tests import factories
from tests.acme.pebble import Pebble
from tests.faults.process import wait_until

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Answer = Waiting | Issued | Refused | Closed

_numbers = count(1)


def a_name() -> str:
    """A name that no other test has: the authority and its DNS remember."""
    return f"shop-{uuid4().hex[:12]}.example.com"


def ec_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key() -> Key:
    return rsa.generate_private_key(65537, 2048)


def csr_of(names: tuple[str, ...], key: Key | None = None) -> str:
    request = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    signed = request.add_extension(alternatives, critical=False).sign(key or ec_key(), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def acme_product(**fields: str) -> Product:
    return factories.ProductFactory(brand="Brand of ACME", authority=AuthorityName.ACME, **fields)


def an_order(
    account: User, *names: str, verification: str = Verification.DNS, key: Key | None = None, csr: str = ""
) -> Enrolled:
    """An order of a certificate of its own, stored and not handed in yet."""
    names = names or (a_name(),)
    certificate = factories.certificate(
        account, domains=names, product=acme_product(), state=CertificateState.VALIDATING_APPLICATION
    )
    stored = Enrollment.objects.create(
        certificate=certificate,
        reference=f"{certificate.instance_id}-{next(_numbers)}",
        authority=AuthorityName.ACME,
        names=list(names),
        verification=verification,
        csr=csr or csr_of(names, key),
        ordered_at=timezone.now(),
    )
    return Enrolled(stored.reference, names, verification, stored.csr)


def hand_in(order: Enrolled) -> tuple[Enrolled, tuple[Challenge, ...]]:
    """The order as it is known from then on, and what must be published."""
    answer = AcmeAuthority().hand_in(order, at=timezone.now())
    assert isinstance(answer, HandedIn), answer
    Enrollment.objects.filter(reference=order.reference).update(data=answer.data)
    return replace(order, data=answer.data), answer.challenges


def publish(pebble: Pebble, challenges: tuple[Challenge, ...], *, value: str = "") -> None:
    for each in challenges:
        tell = pebble.serve if each.place.startswith("/") else pebble.publish
        tell(each.place, value or each.value)


def prove(pebble: Pebble, order: Enrolled) -> Enrolled:
    """Hand in, publish, and let the authority look."""
    order, challenges = hand_in(order)
    publish(pebble, challenges)
    assert AcmeAuthority().make_ready(order, at=timezone.now()) == Waiting(order.data)
    Enrollment.objects.filter(reference=order.reference).update(proven_at=timezone.now())
    return order


def end_of(order: Enrolled, ask: Callable[..., Answer] | None = None) -> Answer:
    """What the authority answers once it is no longer waiting."""
    answers: list[Answer] = []

    def has_ended() -> bool:
        answers.append((ask or AcmeAuthority().poll)(order, at=timezone.now()))
        return not isinstance(answers[-1], Waiting)

    wait_until(has_ended)
    return answers[-1]


def issue(pebble: Pebble, order: Enrolled) -> tuple[Enrolled, Issued]:
    order = prove(pebble, order)
    issued = end_of(order)
    assert isinstance(issued, Issued), issued
    return order, issued


def chain_of(issued: Issued) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(issued.pem.encode())


def names_of(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))
