"""Pebble, an ACME authority for tests, and the DNS that it asks: processes of their own on loopback."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.faults.process import wait_until

LOOPBACK = "127.0.0.1"
# It does not issue for this one.
BLOCKED = "blocked-domain.example"
VALIDITY = timedelta(days=90)


@dataclass(frozen=True)
class Pebble:
    """A Pebble that runs. `trust` is the file of the root that its https is trusted by."""

    directory: str
    management: str
    dns: str
    trust: Path

    def publish(self, name: str, value: str) -> None:
        """Let the DNS answer with this TXT record beside those that it has."""
        self._tell("set-txt", host=f"{name}.", value=value)

    def serve(self, path: str, content: str) -> None:
        """Let the web server, which every name leads to, answer with this file."""
        self._tell("add-http01", token=path.rpartition("/")[2], content=content)

    def published(self, place: str) -> Any:
        """A page of the management interface: a root or an intermediate, and their keys, as PEM."""
        # Its management begins to listen a moment after its directory.
        patient = requests.Session()
        patient.mount("https://", HTTPAdapter(max_retries=Retry(connect=8, backoff_factor=0.1)))
        answer = patient.get(f"{self.management}/{place}", verify=self.trust, timeout=10)
        answer.raise_for_status()
        return answer.content

    def status(self, serial: int) -> dict[str, Any]:
        """What it keeps of a certificate: its Status, and Reason and RevokedAt once it is revoked."""
        return json.loads(self.published(f"cert-status-by-serial/{serial:x}"))

    def _tell(self, what: str, **facts: str) -> None:
        requests.post(f"{self.dns}/{what}", data=json.dumps(facts), timeout=10).raise_for_status()


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.fail(f"No {name}: type `apt-get install pebble`, or run `make test`, which installs it where it can.")
    return found


@contextmanager
def running_pebble(folder: Path, *, responder: str = "", **environment: str) -> Iterator[Pebble]:
    """A Pebble with an own DNS, until the block ends. Its certificates name `responder` as theirs for OCSP."""
    acme, management, dns, dns_management, web, unused = (free_port() for _ in range(6))
    trust = make_tls_pair(folder)
    config = {
        "listenAddress": f"{LOOPBACK}:{acme}",
        "managementListenAddress": f"{LOOPBACK}:{management}",
        "certificate": str(folder / "server.pem"),
        "privateKey": str(folder / "server.key"),
        "httpPort": web,
        "tlsPort": unused,
        "ocspResponderURL": responder,
        "domainBlocklist": [BLOCKED],
        "certificateValidityPeriod": VALIDITY.days * 24 * 3600,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = [
        *(program("pebble-challtestsrv"), "-defaultIPv4", LOOPBACK, "-defaultIPv6", ""),
        *("-tlsalpn01", "", "-https01", ""),
        *("-management", f"{LOOPBACK}:{dns_management}", "-dns01", f"{LOOPBACK}:{dns}", "-http01", f"{LOOPBACK}:{web}"),
    ]
    authority = [program("pebble"), "-config", str(folder / "pebble.json"), "-dnsserver", f"{LOOPBACK}:{dns}"]
    settings = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", **environment}
    with ExitStack() as stack:
        stack.enter_context(_process(names, folder / "names.log", dns_management))
        stack.enter_context(_process(authority, folder / "pebble.log", acme, **settings))
        yield Pebble(
            directory=f"https://{LOOPBACK}:{acme}/dir",
            management=f"https://{LOOPBACK}:{management}",
            dns=f"http://{LOOPBACK}:{dns_management}",
            trust=trust,
        )


@contextmanager
def _process(command: list[str], log: Path, port: int, **environment: str) -> Iterator[None]:
    """A process that listens on a port, stopped with the block."""
    with (
        log.open("w") as words,
        subprocess.Popen(command, stdout=words, stderr=words, env={**os.environ, **environment}) as process,
    ):
        try:
            wait_until(partial(_has_started, process, port, log))
            yield
        finally:
            process.kill()


def _has_started(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket() as attempt:
        return attempt.connect_ex((LOOPBACK, port)) == 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return free.getsockname()[1]


def make_tls_pair(folder: Path) -> Path:
    """Write a certificate for loopback and its key; the certificate is its own root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pebble of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    (folder / "server.key").write_bytes(key_pem)
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "server.pem"
