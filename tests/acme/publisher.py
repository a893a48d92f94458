"""A certificate authority's web server on loopback: whatever is put under its paths, OCSP answers and CRLs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.acme.pebble import LOOPBACK

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
# What was sent to a path, and what is answered: status, further headers, content.
Page = Callable[[bytes], tuple[int, dict[str, str], bytes]]


class Publisher:
    """Pages by path, and the paths that were asked for."""

    def __init__(self, port: int) -> None:
        self.address = f"http://{LOOPBACK}:{port}"
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []

    def put(self, path: str, content: bytes, *, status: int = 200, **headers: str) -> None:
        self.pages[path] = lambda _: (status, headers, content)


@contextmanager
def publishing() -> Iterator[Publisher]:
    publisher: Publisher

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            publisher.asked.append(self.path)
            status, headers, content = publisher.pages[self.path](sent)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        publisher = Publisher(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()


def ocsp_answer(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    key: SigningKey,
    *,
    at: datetime,
    revoked_at: datetime | None = None,
    status: ocsp.OCSPCertStatus | None = None,
    responder: x509.Certificate | None = None,
    lives: timedelta = timedelta(days=1),
) -> bytes:
    """An OCSP answer of `at`, signed by the issuer, or with `responder` by whom that names."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate,
        issuer,
        hashes.SHA1(),  # noqa: S303 - how OCSP names an issuer
        status or (ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD),
        at,
        at + lives,
        revoked_at,
        None,
    )
    if responder:
        builder = builder.certificates([responder])
    signed = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder or issuer).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


def crl(
    issuer: x509.Certificate,
    key: SigningKey,
    revoked: dict[int, datetime],
    *extensions: x509.ExtensionType,
    at: datetime,
    lives: timedelta = timedelta(days=1),
) -> bytes:
    """A CRL of `at` with these serial numbers."""
    builder = x509.CertificateRevocationListBuilder(issuer.subject, at, at + lives)
    for serial, moment in revoked.items():
        entry = x509.RevokedCertificateBuilder(serial, moment).build()
        builder = builder.add_revoked_certificate(entry)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
