"""Orders at the console's own authority, as the engine hands them over."""

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.authority.base import Enrolled, HandedIn, Issued, Waiting
from certificates.authority.embedded import EmbeddedAuthority
from certificates.states import Verification
from tests.factories import NOON

authority = EmbeddedAuthority()
_numbers = count(1)


def csr(key: Any = None, *, is_hashed: bool = True) -> str:
    """A request in PEM, signed with the key: a new one on P-256 unless given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256() if is_hashed else None).public_bytes(Encoding.PEM).decode()


def order(*names: str, **fields: Any) -> Enrolled:
    """An order not handed in yet, for www.example.com unless names are given."""
    known = {"reference": f"cas-sg-embedded-{next(_numbers)}", "verification": Verification.DNS} | fields
    return Enrolled(names=names or ("www.example.com",), csr=known.pop("csr", "") or csr(), **known)


def ready(*names: str, at: datetime = NOON, **fields: Any) -> Enrolled:
    """An order handed in and made ready: the next poll issues."""
    return made_ready(order(*names, **fields), at=at)


def made_ready(wanted: Enrolled, *, at: datetime = NOON) -> Enrolled:
    handed_in = authority.hand_in(wanted, at=at)
    assert isinstance(handed_in, HandedIn), handed_in
    waiting = authority.make_ready(replace(wanted, data=handed_in.data), at=at)
    assert isinstance(waiting, Waiting), waiting
    return replace(wanted, data=waiting.data)


def issue(wanted: Enrolled, *, at: datetime = NOON) -> str:
    """The certificate of an order made ready, with its chain."""
    answer = authority.poll(wanted, at=at)
    assert isinstance(answer, Issued), answer
    return answer.pem


def read(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())
