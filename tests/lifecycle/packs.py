"""Certificates with their chains and keys, and what is read out of a package."""

import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from django.http import HttpResponse

from certificates.models import Application, Certificate
from certificates.states import KeyType
from certificates.x509 import read_certificate
from core.encryption import encrypt
from core.models import User
from tests import factories
from tests.factories import NOON

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_key(kind: str = "ec") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def pem_of(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def sign(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: Key,
    *,
    names: tuple[str, ...] = (),
    ca: bool = False,
    begins: datetime = NOON - timedelta(days=10),
    days: int = 365,
    ends: datetime | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends or begins + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
    return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def text(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


@dataclass(frozen=True)
class Chain:
    """A leaf below two authorities and their root."""

    leaf: x509.Certificate
    lower: x509.Certificate
    upper: x509.Certificate
    root: x509.Certificate
    key: Key
    lower_key: Key

    @property
    def pem(self) -> str:
        """As an authority hands it over: without the root."""
        return text(self.leaf, self.lower, self.upper)

    @property
    def key_pem(self) -> str:
        return pem_of(self.key)


@cache
def chain_of(*names: str, kind: str = "ec", days: int = 365, begins: datetime = NOON - timedelta(days=10)) -> Chain:
    names = names or ("shop.example.com", "www.shop.example.com")
    key, lower, upper, root = new_key(kind), new_key(), new_key(), new_key()
    ages = {"ca": True, "begins": NOON - timedelta(days=400), "days": 4000}
    return Chain(
        sign(names[0][:60], key, "Lower", lower, names=names, days=days, begins=begins),
        sign("Lower", lower, "Upper", upper, **ages),
        sign("Upper", upper, "Root", root, **ages),
        sign("Root", root, "Root", root, **ages),
        key,
        lower,
    )


def bought(account: User, made: Chain, *, pem: str | None = None, key: bool = True, **fields) -> Certificate:
    """An issued certificate with what its authority handed over, its key made here or not."""
    read = read_certificate(made.pem if pem is None else pem)
    held = {name: getattr(read, name) for name in ("not_before", "not_after", "serial", "fingerprint", "pem")}
    stored = factories.issued(account, domains=read.names, **{**held, **fields})
    spki = made.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    Application.objects.create(
        certificate=stored,
        domains="\n".join(read.names),
        key_type=KeyType.EC_P256 if key else KeyType.PASTED,
        key=encrypt(made.key_pem.encode()) if key else "",
        key_fingerprint=digest.finalize().hex(),
    )
    return stored


# --- Packages ----------------------------------------------------------------------------------


def unpacked(content: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def is_file(answer: HttpResponse) -> bool:
    return answer.get("Content-Disposition", "").startswith("attachment")


def openssl(*arguments: str | Path | int, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def is_verified(path: list[x509.Certificate], root: x509.Certificate, folder: Path) -> bool:
    """Whether `openssl verify` takes the first certificate with those after it, trusting the root alone.

    As of noon, or of a certificate's first hour where that is later.
    """
    at = max(NOON, *(each.not_valid_before_utc + timedelta(hours=1) for each in (*path, root)))
    for name, content in (("root", text(root)), ("between", text(*path[1:])), ("leaf", text(path[0]))):
        (folder / f"{name}.verify").write_text(content)
    between = ("-untrusted", folder / "between.verify") if path[1:] else ()
    trusted = ("-CAfile", folder / "root.verify", "-no-CApath", *between)
    return b"OK" in openssl("verify", "-attime", int(at.timestamp()), *trusted, folder / "leaf.verify")
