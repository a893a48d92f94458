"""Each package opens with the tools of its server, its key is its certificate's, its chain is whole and in order."""

import re
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs12

from certificates.chains import path_of, root_of
from certificates.instructions import own_keystore_command
from certificates.packages import (
    KEYSTORES,
    Download,
    Material,
    Obstacle,
    Package,
    build,
    new_password,
    obstacle_to,
    stem_of,
)
from tests.factories import NOON
from tests.lifecycle.packs import Chain, chain_of, is_verified, openssl, pem_of, unpacked

ALL_BUT_ROOT = [each for each in Package if each != Package.ROOT]
PLAIN = [each for each in ALL_BUT_ROOT if each not in KEYSTORES]
PASSWORD = "a-password-of-one-download"


@pytest.fixture(params=["ec", "rsa"])
def made(request: pytest.FixtureRequest) -> Chain:
    return chain_of("shop.example.com", "www.shop.example.com", kind=request.param)


def material(made: Chain, *, key: bool = True, stem: str = "shop.example.com") -> Material:
    return Material([made.leaf, made.lower, made.upper], stem, made.key if key else None, made.root)


def packed(package: Package, made: Chain, **options) -> Download:
    return build(package, material(made, **options), password=PASSWORD, at=NOON)


def files(package: Package, made: Chain, **options) -> dict[str, bytes]:
    return unpacked(packed(package, made, **options).content)


def certificates(content: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(content)


def belongs(key: bytes, certificate: x509.Certificate) -> bool:
    return load_pem_private_key(key, None).public_key() == certificate.public_key()


# --- In PEM ------------------------------------------------------------------------------------


def test_nginx_gets_one_file_with_the_whole_chain_and_the_key(made: Chain, tmp_path: Path):
    found = files(Package.NGINX, made)
    assert set(found) == {"shop.example.com_nginx.pem", "shop.example.com_nginx.key", "README.txt"}
    path = certificates(found["shop.example.com_nginx.pem"])
    assert path == [made.leaf, made.lower, made.upper]
    assert belongs(found["shop.example.com_nginx.key"], path[0])
    assert is_verified(path, made.root, tmp_path)


def test_apache_gets_certificate_chain_and_key_apart(made: Chain):
    found = files(Package.APACHE, made)
    stem = "shop.example.com_apache"
    assert set(found) == {f"{stem}.crt", f"{stem}_chain.crt", f"{stem}.key", "README.txt"}
    assert certificates(found[f"{stem}.crt"]) == [made.leaf]
    assert certificates(found[f"{stem}_chain.crt"]) == [made.lower, made.upper]
    assert belongs(found[f"{stem}.key"], made.leaf)


def test_other_gets_everything_in_pem(made: Chain):
    found = files(Package.OTHER, made)
    stem = "shop.example.com_other"
    assert certificates(found[f"{stem}.pem"]) == [made.leaf]
    assert certificates(found[f"{stem}_chain.pem"]) == [made.lower, made.upper]
    assert certificates(found[f"{stem}_fullchain.pem"]) == [made.leaf, made.lower, made.upper]
    assert belongs(found[f"{stem}.key"], made.leaf)


def test_root_comes_alone_and_without_any_key(made: Chain):
    root = packed(Package.ROOT, made)
    assert (root.name, root.holds_key) == ("shop.example.com_root.pem", False)
    assert certificates(root.content) == [made.root]


@pytest.mark.parametrize("package", PLAIN)
def test_key_that_was_not_made_here_is_in_no_file(package: Package, made: Chain):
    download = packed(package, made, key=False)
    assert not download.holds_key
    found = unpacked(download.content)
    assert not any(name.endswith(".key") for name in found)
    assert b"PRIVATE KEY" not in b"".join(found.values())
    assert "your.key" in found["README.txt"].decode()


# --- Keystores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("package", list(KEYSTORES))
def test_keystore_opens_with_its_password_alone(package: Package, made: Chain):
    [name, readme] = files(package, made)
    assert (name, readme) == (f"shop.example.com_{package}.{KEYSTORES[package]}", "README.txt")
    content = files(package, made)[name]
    key, leaf, between = pkcs12.load_key_and_certificates(content, PASSWORD.encode())
    assert leaf == made.leaf
    assert set(between) == {made.lower, made.upper}
    assert key.public_key() == made.leaf.public_key()
    for wrong in (b"", None, PASSWORD.upper().encode()):
        with pytest.raises(ValueError, match=r"password|PKCS12"):
            pkcs12.load_key_and_certificates(content, wrong)


@pytest.mark.parametrize("package", list(KEYSTORES))
def test_openssl_reads_the_keystore(package: Package, made: Chain, tmp_path: Path):
    content = next(iter(files(package, made).values()))
    (tmp_path / "store").write_bytes(content)
    (tmp_path / "password").write_text(PASSWORD)
    opened = ("pkcs12", "-in", tmp_path / "store", "-passin", f"file:{tmp_path / 'password'}", "-nodes")
    assert belongs(openssl(*opened, "-nocerts"), made.leaf)
    assert certificates(openssl(*opened, "-nokeys", "-clcerts")) == [made.leaf]
    between = certificates(openssl(*opened, "-nokeys", "-cacerts"))
    assert is_verified([made.leaf, *between], made.root, tmp_path)


def test_keystores_are_encrypted_as_their_servers_read_it(made: Chain, tmp_path: Path):
    told = {}
    for package in KEYSTORES:
        (tmp_path / package).write_bytes(next(iter(files(package, made).values())))
        asked = ["openssl", "pkcs12", "-in", tmp_path / package, "-passin", f"pass:{PASSWORD}", "-info", "-noout"]
        told[package] = subprocess.run(asked, capture_output=True, text=True, check=True).stderr
    assert "pbeWithSHA1And3-KeyTripleDES-CBC" in told[Package.IIS]
    assert "MAC: sha1" in told[Package.IIS]
    for package in (Package.TOMCAT, Package.JAVA):
        assert "AES-256-CBC" in told[package]
        assert "MAC: sha256" in told[package]


@pytest.mark.skipif(shutil.which("keytool") is None, reason="Java is not installed; openssl has read the same file")
@pytest.mark.parametrize("package", list(KEYSTORES))
def test_java_reads_the_keystore(package: Package, made: Chain, tmp_path: Path):
    (tmp_path / "store").write_bytes(next(iter(files(package, made).values())))
    asked = ["keytool", "-list", "-rfc", "-storetype", "PKCS12", "-keystore", tmp_path / "store"]
    listed = subprocess.run([*asked, "-storepass", PASSWORD], capture_output=True, text=True, check=True).stdout
    assert "PrivateKeyEntry" in listed
    assert "Alias name: shop.example.com" in listed
    assert certificates(listed.encode()) == [made.leaf, made.lower, made.upper]


def test_passwords_are_long_random_and_plain():
    passwords = {new_password() for _each in range(200)}
    assert len(passwords) == 200
    assert all(re.fullmatch(r"[2-9A-HJ-NP-Za-km-z]{24}", each) for each in passwords)


@pytest.mark.parametrize("package", list(KEYSTORES))
def test_password_stands_nowhere_in_the_package(package: Package, made: Chain):
    assert PASSWORD.encode() not in b"".join(files(package, made).values())


@pytest.mark.parametrize("package", list(KEYSTORES))
def test_command_shown_makes_the_keystore_where_the_key_is(package: Package, tmp_path: Path):
    made = chain_of()
    found = unpacked(packed(Package.NGINX, made, key=False).content)
    (tmp_path / "shop.example.com_nginx.pem").write_bytes(found["shop.example.com_nginx.pem"])
    (tmp_path / "your.key").write_text(pem_of(made.key))
    command = own_keystore_command(package, "shop.example.com", KEYSTORES[package]).split()
    subprocess.run([*command, "-passout", f"pass:{PASSWORD}"], cwd=tmp_path, check=True, capture_output=True)
    content = (tmp_path / f"shop.example.com.{KEYSTORES[package]}").read_bytes()
    key, leaf, between = pkcs12.load_key_and_certificates(content, PASSWORD.encode())
    assert (leaf, set(between)) == (made.leaf, {made.lower, made.upper})
    assert key.public_key() == made.leaf.public_key()


# --- What every package has --------------------------------------------------------------------


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("package", ALL_BUT_ROOT)
def test_readme_names_every_file_of_the_package_and_no_other(package: Package, has_key: bool):
    if package in KEYSTORES and not has_key:
        return
    found = files(package, chain_of(), key=has_key)
    readme = found.pop("README.txt").decode()
    assert set(re.findall(r"shop\.example\.com_[\w.]+\.(?:pem|crt|key|pfx|p12)", readme)) == set(found)


@pytest.mark.parametrize("package", ALL_BUT_ROOT)
def test_certificate_without_a_chain_names_none(package: Package):
    made = chain_of()
    alone = Material([made.leaf], "shop.example.com", made.key, None)
    found = unpacked(build(package, alone, password=PASSWORD, at=NOON).content)
    assert "_chain" not in " ".join(found) + found["README.txt"].decode()


@pytest.mark.parametrize("package", ALL_BUT_ROOT)
def test_only_the_owner_may_read_what_holds_a_key(package: Package):
    with ZipFile(BytesIO(packed(package, chain_of()).content)) as archive:
        for entry in archive.infolist():
            is_secret = entry.filename.endswith((".key", ".pfx", ".p12"))
            assert entry.external_attr >> 16 == (0o600 if is_secret else 0o644)
            assert entry.date_time == (2026, 11, 23, 4, 0, 0)


def test_what_stands_in_the_way_of_a_package():
    for package in Package:
        without_key = Obstacle.NO_KEY if package in KEYSTORES else None
        assert obstacle_to(package, has_key=False, has_root=True) == without_key
        assert obstacle_to(package, has_key=True, has_root=True) is None
    assert obstacle_to(Package.ROOT, has_key=True, has_root=False) == Obstacle.NO_ROOT


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("shop.example.com", "shop.example.com"),
        ("Shop.Example.COM", "shop.example.com"),
        ("*.example.com", "_.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.例え.jp", "_.xn--r8jz45g.jp"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"b\r\nc.example', "a_b__c.example"),
        ("DigiCert DV Single Domain", "digicert_dv_single_domain"),
        ("...", "certificate"),
        ("a" * 300, "a" * 100),
    ],
)
def test_file_names_are_safe_on_every_system(name: str, stem: str):
    assert stem_of(name) == stem
    assert re.fullmatch(r"[a-z0-9._-]+", stem_of(name))


def test_wildcard_stands_in_the_readme_as_the_server_writes_it():
    found = files(Package.NGINX, chain_of(), stem="_.example.com")
    assert "server_name *.example.com;" in found["README.txt"].decode()
    assert "_.example.com_nginx.pem" in found


# --- The path and its root ---------------------------------------------------------------------


def test_path_is_put_in_order_and_the_root_left_out():
    made = chain_of()
    assert path_of([made.leaf, made.root, made.upper, made.lower]) == [made.leaf, made.lower, made.upper]
    assert path_of([made.leaf]) == [made.leaf]
    assert path_of([made.root]) == [made.root]


def test_foreign_certificates_are_no_part_of_the_path():
    made, other = chain_of(), chain_of("other.example.com")
    assert path_of([made.leaf, other.lower, made.lower]) == [made.leaf, made.lower]


def test_root_is_the_one_that_signed_the_last_of_the_path():
    made, other = chain_of(), chain_of("other.example.com")
    path = [made.leaf, made.lower, made.upper]
    assert root_of(path, [other.root, made.lower, made.root]) == made.root
    # Of the same name, with another key.
    assert root_of(path, [other.root]) is None
    assert root_of(path[:2], [made.upper]) is None


def test_key_is_written_as_every_server_reads_it(made: Chain):
    key = files(Package.NGINX, made)["shop.example.com_nginx.key"]
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
    public = made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert openssl("pkey", "-pubout", given=key) == public
