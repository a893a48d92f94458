"""Whatever chain an authority handed over, each of its downloads verifies with `openssl verify`."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certificates.chains import load_chain
from certificates.packages import KEYSTORES, Package
from certificates.services.downloading import download
from core.models import User
from tests.factories import NOON
from tests.lifecycle.inputs import INPUTS
from tests.lifecycle.old import unchecked_chain
from tests.lifecycle.packs import Chain, bought, chain_of, is_verified, openssl, sign, text, unpacked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

PASSWORD = "a-password-of-one-download"
INPUT_KEY = INPUTS["upload-key.pem"]


def disordered(_folder: Path) -> tuple[str, str]:
    """With the root, upside down, and with somebody else's in between."""
    made = chain_of()
    others = [made.root, chain_of("other.example.com").lower, made.upper, made.lower]
    return text(made.leaf, *others), made.key_pem


def crossed(_folder: Path) -> tuple[str, str]:
    """The root and its certificate by an older root."""
    made, root, old = chain_of(), ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    leaf = sign("shop.example.com", made.key, "New", root, names=("shop.example.com",))
    above = [sign("New", root, "New", root, ca=True), sign("New", root, "Old", old, ca=True)]
    return text(leaf, *above, sign("Old", old, "Old", old, ca=True)), made.key_pem


def unchecked(kind: str, folder: Path) -> tuple[str, str]:
    made = unchecked_chain(kind, folder)
    return made.pem, made.key


CHAINS = {
    "in order": lambda _folder: (chain_of().pem + text(chain_of().root), chain_of().key_pem),
    "disordered": disordered,
    "signed crosswise": crossed,
    "names in Latin-1": lambda _folder: (INPUTS["upload-t61-latin1-issuer.pem"], INPUT_KEY),
    "a name in two encodings": lambda _folder: (INPUTS["upload-issuer-utf8-vs-printable.pem"], INPUT_KEY),
    # OpenSSL itself refuses a curve that is spelled out by its parameters.
    "unchecked": lambda folder: unchecked("curve", folder),
}


@pytest.mark.parametrize("package", list(Package))
@pytest.mark.parametrize("make", CHAINS.values(), ids=CHAINS.keys())
def test_every_package_verifies(customer: User, make, package: Package, tmp_path: Path) -> None:
    pem, key = make(tmp_path)
    chain = load_chain(pem)
    certificate = bought(customer, _holding(key, chain[0]), pem=pem)
    got = download(certificate.pk, package, password=PASSWORD, by=customer, at=NOON).content
    root = load_chain(download(certificate.pk, Package.ROOT, by=customer, at=NOON).content.decode())[0]
    assert root in chain[1:]
    if package == Package.ROOT:
        return
    path = path_in(package, got, tmp_path)
    assert path[0] == chain[0]
    assert is_verified(path, root, tmp_path)


def _holding(key: str, leaf: x509.Certificate) -> Chain:
    return Chain(leaf, leaf, leaf, leaf, load_pem_private_key(key.encode(), None), None)


def path_in(package: Package, content: bytes, folder: Path) -> list[x509.Certificate]:
    """The leaf and what follows it, as the server reads them from its package."""
    files = unpacked(content)
    if package in KEYSTORES:
        (folder / "store").write_bytes(
            next(value for name, value in files.items() if name.endswith(KEYSTORES[package]))
        )
        opened = ("pkcs12", "-in", folder / "store", "-passin", f"pass:{PASSWORD}", "-nokeys")
        return [each for which in ("-clcerts", "-cacerts") for each in _loaded(openssl(*opened, which))]
    endings = {Package.APACHE: (".crt", "_chain.crt"), Package.OTHER: ("_fullchain.pem",), Package.NGINX: (".pem",)}
    stem = next(iter(files)).rsplit(package, 1)[0] + package
    return [each for ending in endings[package] for each in _loaded(files.get(f"{stem}{ending}", b""))]


def _loaded(content: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(content) if b"BEGIN CERT" in content else []
