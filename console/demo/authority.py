"""A certificate authority for one loading of the demo; nobody trusts it, and its key is thrown away."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certificates.x509 import Handover, read_certificate

# As public authorities do it, lest a slow clock refuse a fresh certificate.
BACKDATED = timedelta(hours=1)


class DemoAuthority:
    def __init__(self) -> None:
        self._key = _new_key()
        self._name = _name("Refund Console Demo CA")

    def issue(self, names: Sequence[str], at: datetime, *, until: datetime) -> Handover:
        """A certificate for DNS names, as handed over at `at`."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]))
            .issuer_name(self._name)
            .public_key(_new_key().public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - BACKDATED)
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return read_certificate(certificate.public_bytes(Encoding.PEM).decode())


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
