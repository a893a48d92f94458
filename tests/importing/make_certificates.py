"""Makes the example certificates, byte for byte the same each time: `python -m tests.importing.make_certificates`.

Real X.509 certificates of a small authority of our own, on keys that everybody can know.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

FOLDER = Path(__file__).parent / "examples" / "certificates"
AUTHORITY = "Example Authority"


def key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(0xC0FFEE + number, ec.SECP256R1())


def certificate(
    names: Sequence[str],
    *,
    not_before: datetime,
    not_after: datetime,
    scts: Sequence[datetime] = (),
    serial: int,
    common_name: str = "",
) -> x509.Certificate:
    """A leaf for these DNS names; without names it has its common name alone."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name or names[0]))
        .issuer_name(_name(AUTHORITY))
        .public_key(key(serial).public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    if scts:
        builder = builder.add_extension(sct_list(scts), critical=False)
    return builder.sign(key(0), hashes.SHA256(), ecdsa_deterministic=True)


def authority() -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(AUTHORITY))
        .issuer_name(_name(AUTHORITY))
        .public_key(key(0).public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key(0), hashes.SHA256(), ecdsa_deterministic=True)
    )


def sct_list(moments: Sequence[datetime]) -> x509.UnrecognizedExtension:
    """Signed certificate timestamps as RFC 6962, 3.3 lays them out: `cryptography` reads them and writes none."""
    entries = b"".join(_opaque(_sct(number, moment)) for number, moment in enumerate(moments, 1))
    return x509.UnrecognizedExtension(
        ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, _octet_string(_opaque(entries))
    )


def _sct(log: int, moment: datetime) -> bytes:
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    signed = b"\x00" + log.to_bytes(32, "big") + milliseconds.to_bytes(8, "big") + _opaque(b"")
    signature = key(log).sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return signed + b"\x04\x03" + _opaque(signature)


def _opaque(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _octet_string(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([0x04, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x04, 0x80 | len(size)]) + size + content


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def examples() -> Iterator[tuple[str, str]]:
    """File name and PEM text of each."""
    yield (
        "shop.example.com.pem",
        _pem(
            certificate(
                ["shop.example.com", "www.shop.example.com"],
                not_before=datetime(2026, 11, 18, 3, 0, tzinfo=UTC),
                not_after=datetime(2027, 11, 18, 2, 59, 59, tzinfo=UTC),
                # Half an hour and 20 minutes after the backdated notBefore.
                scts=[datetime(2026, 11, 18, 3, 30, 5, 250000, tzinfo=UTC), datetime(2026, 11, 18, 3, 20, tzinfo=UTC)],
                serial=0x5A17,
            )
        ),
    )
    yield (
        "wildcard.example.net.pem",
        _pem(
            certificate(
                ["*.example.net", "example.net"],
                not_before=datetime(2026, 10, 9, tzinfo=UTC),
                not_after=datetime(2027, 10, 9, tzinfo=UTC),
                serial=0x77,
            ),
            authority(),
        ),
    )
    yield (
        "common-name-only.pem",
        _pem(
            certificate(
                [],
                common_name="Old.Example.org",
                not_before=datetime(2026, 11, 1, tzinfo=UTC),
                not_after=datetime(2027, 11, 1, tzinfo=UTC),
                serial=0x99,
            )
        ),
    )


def _pem(*chain: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, pem in examples():
        (FOLDER / name).write_text(pem)


if __name__ == "__main__":
    main()
