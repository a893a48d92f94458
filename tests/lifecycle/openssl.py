"""What the `openssl` command says: another's word on what the console's own authority makes."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NEW_KEY = {
    "rsa": ("-newkey", "rsa:2048"),
    "ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ec521": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
}


def run(*arguments: str | Path, fails: bool = False) -> str:
    """Everything it says. A missing `openssl` fails the test, as any ending but the expected one does."""
    ended = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    words = ended.stdout + ended.stderr
    assert (ended.returncode != 0) is fails, words
    return words


def csr(folder: Path, names: list[str], *, key: str = "ec") -> str:
    """A request in PEM for these names, with a key made for it."""
    run(
        *("req", "-new", "-nodes", *NEW_KEY[key], "-subj", f"/CN={names[0]}"),
        *("-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)),
        *("-keyout", folder / "made.key", "-out", folder / "made.csr"),
    )
    return (folder / "made.csr").read_text()


@dataclass(frozen=True)
class Published:
    """What the authority publishes, as files in a folder."""

    folder: Path
    root: str
    chain: str
    crl: bytes
    root_crl: bytes

    def __post_init__(self) -> None:
        (self.folder / "root.pem").write_text(self.root)
        (self.folder / "chain.pem").write_text(self.chain)
        lists = [self._list("intermediate", self.crl), self._list("root", self.root_crl)]
        (self.folder / "crl.pem").write_text("".join(lists))

    def _list(self, name: str, der: bytes) -> str:
        file = self.folder / f"{name}.crl"
        file.write_bytes(der)
        return run("crl", "-inform", "DER", "-in", file)

    def kept(self, pem: str) -> Path:
        file = self.folder / "leaf.pem"
        file.write_text(pem)
        return file

    def verdict(self, pem: str, *, host: str) -> str:
        """`good` or `revoked`, as `openssl verify` finds it with both lists and the root alone trusted."""
        certificate = self.kept(pem)
        arguments = (
            *("verify", "-crl_check_all", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host),
            *("-CAfile", self.folder / "root.pem", "-untrusted", self.folder / "chain.pem"),
            *("-CRLfile", self.folder / "crl.pem", certificate),
        )
        ended = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
        words = ended.stdout + ended.stderr
        if ended.returncode == 0 and words == f"{certificate}: OK\n":
            return "good"
        assert "error 23 at 0 depth lookup: certificate revoked" in words, words
        return "revoked"

    def ask(self, *about: str | Path, hashed: str = "-sha1") -> bytes:
        """An OCSP request about `-cert FILE` or `-serial NUMBER`, with a nonce."""
        request = self.folder / "request.der"
        run("ocsp", "-issuer", self._intermediate(), hashed, *about, "-reqout", request)
        return request.read_bytes()

    def read(self, answer: bytes, *about: str | Path, hashed: str = "-sha1") -> str:
        """What it reads in the answer to the request asked last; fails on a bad signature or another nonce."""
        response = self.folder / "response.der"
        response.write_bytes(answer)
        words = run(
            *("ocsp", "-issuer", self._intermediate(), hashed, *about, "-respin", response),
            # It compares the request's own nonce; with -no_nonce it puts no other in its place.
            *("-reqin", self.folder / "request.der", "-no_nonce", "-CAfile", self.folder / "root.pem"),
        )
        assert "Response verify OK" in words, words
        assert "WARNING" not in words, words
        return words

    def ask_at(self, address: str, *about: str | Path) -> str:
        """What it reads when it asks by itself."""
        trusted = self.folder / "root.pem"
        words = run("ocsp", "-issuer", self._intermediate(), *about, "-url", address, "-CAfile", trusted)
        assert "Response verify OK" in words, words
        return words

    def _intermediate(self) -> Path:
        """openssl takes the first certificate of a file, which in a chain is the lowest."""
        return self.folder / "chain.pem"
