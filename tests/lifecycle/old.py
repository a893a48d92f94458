"""Chains that the `openssl` command makes and `cryptography` cannot check."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.factories import NOON
from tests.lifecycle.openssl import run

# The issuers' keys: on a curve that isn't known here, and on one that is spelled out by its parameters.
UNCHECKED = {
    "curve": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160k1"),
    "parameters": (
        *("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160r1", "-pkeyopt", "ec_param_enc:explicit"),
    ),
}
_AUTHORITY = "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
_SERVER = (
    "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:old.example.com\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)


@dataclass(frozen=True)
class Made:
    """Leaf, intermediate and root in PEM, and the leaf's private key."""

    leaf: str
    between: str
    root: str
    key: str

    @property
    def pem(self) -> str:
        return self.leaf + self.between + self.root


def unchecked_chain(kind: str, folder: Path) -> Made:
    """A chain valid at noon. Its leaf has a key that is known here."""
    for name in ("root", "between"):
        run("genpkey", *UNCHECKED[kind], "-out", folder / f"{name}.key")
    run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder / "leaf.key")
    _sign(folder, "root", "root", _AUTHORITY)
    _sign(folder, "between", "root", _AUTHORITY)
    _sign(folder, "leaf", "between", _SERVER)
    read = {name: (folder / f"{name}.pem").read_text() for name in ("leaf", "between", "root")}
    return Made(**read, key=(folder / "leaf.key").read_text())


def _sign(folder: Path, name: str, issuer: str, extensions: str) -> None:
    """By `openssl ca`, which alone takes a beginning."""
    run("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN=Old {name}", "-out", folder / f"{name}.csr")
    for file, content in (("ca.cnf", _CONFIG.format(folder=folder)), ("index", ""), ("extensions", extensions)):
        (folder / file).write_text(content)
    signer = ("-selfsign",) if name == issuer else ("-cert", folder / f"{issuer}.pem")
    dates = [(NOON + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (-100, 265)]
    run(
        *("ca", "-config", folder / "ca.cnf", "-batch", "-notext", *signer),
        *("-keyfile", folder / f"{issuer}.key", "-in", folder / f"{name}.csr", "-out", folder / f"{name}.pem"),
        *("-extfile", folder / "extensions", "-startdate", dates[0], "-enddate", dates[1]),
    )


_CONFIG = """
[ca]
default_ca = it
[it]
database = {folder}/index
new_certs_dir = {folder}
default_md = sha256
rand_serial = yes
policy = any
[any]
commonName = supplied
"""
