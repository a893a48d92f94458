"""The embedded authority's root and intermediate: made on first use, their keys kept encrypted."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.urls import reverse

from certificates.authority import pki
from certificates.authority.base import AuthorityUnavailable
from certificates.models import CaIssuer
from core.encryption import WrongKey, decrypt, encrypt


@dataclass(frozen=True, slots=True)
class Issuers:
    root: CaIssuer
    intermediate: CaIssuer


def issuers(*, at: datetime) -> Issuers:
    """Root and intermediate, made as of `at` where there are none. Raises AuthorityUnavailable without keys."""
    return _found() or _make(at=at)


def certificate_of(issuer: CaIssuer) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issuer.pem.encode())


def signing(issuer: CaIssuer) -> pki.Issuer:
    """The issuer with its private key. Raises AuthorityUnavailable when that cannot be read."""
    try:
        key = load_pem_private_key(decrypt(issuer.key), password=None)
    except WrongKey as error:
        raise AuthorityUnavailable(
            "None of KEY_ENCRYPTION_KEYS opens the key of the console's own authority."
        ) from error
    except ImproperlyConfigured as error:
        raise AuthorityUnavailable(str(error)) from error
    assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101 - as it was made
    return pki.Issuer(certificate_of(issuer), key)


def places() -> pki.Places:
    """Where the authority publishes, for everybody."""
    return pki.Places(
        root=_place("ca_root_der"),
        root_crl=_place("ca_root_crl"),
        intermediate=_place("ca_intermediate_der"),
        intermediate_crl=_place("ca_intermediate_crl"),
        ocsp=_place("ca_ocsp"),
    )


def _place(name: str) -> str:
    return settings.CA_URL.rstrip("/") + reverse(name)


def _found() -> Issuers | None:
    rows = {row.kind: row for row in CaIssuer.objects.all()}
    if not rows:
        return None
    return Issuers(rows[CaIssuer.Kind.ROOT], rows[CaIssuer.Kind.INTERMEDIATE])


@transaction.atomic
def _make(*, at: datetime) -> Issuers:
    _lock_table()
    # Another process may have been first.
    return _found() or _made(at=at)


def _lock_table() -> None:
    """Whoever else would make issuers waits. On SQLite the transaction, being IMMEDIATE, is that lock already."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {CaIssuer._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


def _made(*, at: datetime) -> Issuers:
    root = pki.make_root(settings.CA_NAME, at=at)
    intermediate = pki.make_intermediate(root, settings.CA_NAME, places(), at=at)
    return Issuers(
        _store(CaIssuer.Kind.ROOT, root, at=at),
        _store(CaIssuer.Kind.INTERMEDIATE, intermediate, at=at),
    )


def _store(kind: str, issuer: pki.Issuer, *, at: datetime) -> CaIssuer:
    pem = issuer.certificate.public_bytes(Encoding.PEM).decode()
    key = issuer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        return CaIssuer.objects.create(kind=kind, pem=pem, key=encrypt(key), created_at=at)
    except ImproperlyConfigured as error:
        raise AuthorityUnavailable(str(error)) from error
