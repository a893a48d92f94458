"""What a certificate is downloaded as: for each server the files it reads, and how it is told to. Pure.

Keystores are encrypted under a password made for one download. Tomcat's and Java's use AES-256 with HMAC-SHA256,
which Java reads since 8u301; the one for IIS uses 3DES with SHA-1, the only kind that Windows before 2019 imports too.
There, too, it is the password's 140 random bits that keep the key.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    PKCS12PrivateKeyTypes,
    serialize_key_and_certificates,
)
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from certificates.instructions import Files, instructions_for
from certificates.names import UnfitName, ascii_form


class Package(models.TextChoices):
    NGINX = "nginx", _("Nginx")
    APACHE = "apache", _("Apache")
    TOMCAT = "tomcat", _("Tomcat")
    JAVA = "java", _("Java")
    IIS = "iis", _("IIS")
    OTHER = "other", _("Other")
    ROOT = "root", _("Root certificate")


# One file with the certificate, its chain and its key; nothing without the key.
KEYSTORES = {Package.TOMCAT: "pfx", Package.JAVA: "p12", Package.IIS: "pfx"}


class Obstacle(StrEnum):
    """Why a package cannot be built."""

    NO_KEY = "no_key"  # the key was not made here
    NO_ROOT = "no_root"


@dataclass(frozen=True, slots=True)
class Material:
    """A certificate with its issuers up to the root, and its key where it was made here. `stem` begins file names."""

    path: list[x509.Certificate]
    stem: str
    key: PKCS12PrivateKeyTypes | None
    root: x509.Certificate | None


@dataclass(frozen=True, slots=True)
class Download:
    name: str
    content_type: str
    content: bytes
    holds_key: bool


def obstacle_to(package: Package, *, has_key: bool, has_root: bool) -> Obstacle | None:
    if package in KEYSTORES and not has_key:
        return Obstacle.NO_KEY
    return Obstacle.NO_ROOT if package == Package.ROOT and not has_root else None


# Without what is mistaken for something else: 0 and O, 1 and l and I.
_PASSWORD_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # noqa: S105
_PASSWORD_LENGTH = 24


def new_password() -> str:
    """A password of 140 random bits, in letters and digits alone."""
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _each in range(_PASSWORD_LENGTH))


def stem_of(name: str) -> str:
    """A domain name as the beginning of file names that every system takes: `_` for a wildcard, IDN in ASCII."""
    try:
        plain = ascii_form(name)
    except UnfitName:
        plain = name.lower()
    return re.sub(r"[^a-z0-9._-]", "_", plain)[:100].strip(".-") or "certificate"


@sensitive_variables()
def build(package: Package, material: Material, *, password: str = "", at: datetime) -> Download:
    """The package; `at` is the time its files bear. Keystores need the key and a password, the root its root."""
    stem = f"{material.stem}_{package}"
    if package == Package.ROOT:
        assert material.root is not None  # noqa: S101 - see `obstacle_to`
        return Download(f"{stem}.pem", "application/x-pem-file", _pem([material.root]), holds_key=False)
    files = _CONTENTS[package](package, material, stem, password)
    readme = instructions_for(package, Files(stem, material.path, has_key=material.key is not None))
    content = _zip({**files, "README.txt": readme.encode()}, at)
    return Download(f"{stem}.zip", "application/zip", content, holds_key=material.key is not None)


# --- The files of each -------------------------------------------------------------------------


@sensitive_variables()
def _nginx(package: Package, material: Material, stem: str, password: str) -> dict[str, bytes]:
    return {f"{stem}.pem": _pem(material.path), **_key_file(material, stem)}


@sensitive_variables()
def _apache(package: Package, material: Material, stem: str, password: str) -> dict[str, bytes]:
    own = {f"{stem}.crt": _pem(material.path[:1])}
    return {**own, **_chain_file(material, f"{stem}_chain.crt"), **_key_file(material, stem)}


@sensitive_variables()
def _other(package: Package, material: Material, stem: str, password: str) -> dict[str, bytes]:
    own = {f"{stem}.pem": _pem(material.path[:1])}
    whole = {f"{stem}_fullchain.pem": _pem(material.path)}
    return {**own, **_chain_file(material, f"{stem}_chain.pem"), **whole, **_key_file(material, stem)}


@sensitive_variables()
def _keystore(package: Package, material: Material, stem: str, password: str) -> dict[str, bytes]:
    assert material.key and password  # noqa: S101 - see `obstacle_to`
    content = serialize_key_and_certificates(
        material.stem.encode(),
        material.key,
        material.path[0],
        material.path[1:],
        _encryption(package, password),
    )
    return {f"{stem}.{KEYSTORES[package]}": content}


_CONTENTS = {
    Package.NGINX: _nginx,
    Package.APACHE: _apache,
    Package.TOMCAT: _keystore,
    Package.JAVA: _keystore,
    Package.IIS: _keystore,
    Package.OTHER: _other,
}


@sensitive_variables()
def _encryption(package: Package, password: str) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(10_000)
    if package == Package.IIS:
        builder = builder.key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(hashes.SHA1())  # noqa: S303
    else:
        builder = builder.key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC).hmac_hash(hashes.SHA256())
    return builder.build(password.encode())


def _chain_file(material: Material, name: str) -> dict[str, bytes]:
    return {name: _pem(material.path[1:])} if material.path[1:] else {}


@sensitive_variables()
def _key_file(material: Material, stem: str) -> dict[str, bytes]:
    if material.key is None:
        return {}
    return {f"{stem}.key": material.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())}


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@sensitive_variables()
def _zip(files: dict[str, bytes], at: datetime) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(_entry(name, at), content)
    return packed.getvalue()


def _entry(name: str, at: datetime) -> ZipInfo:
    entry = ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
    is_open = name.endswith((".txt", ".pem", ".crt"))
    entry.external_attr = (0o644 if is_open else 0o600) << 16
    entry.compress_type = ZIP_DEFLATED
    return entry
