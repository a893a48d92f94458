"""What is read from a real X.509 certificate."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID


class UnreadableCertificate(ValueError):
    """A text is no X.509 certificate; the message is the reason, fit for "<field>: <reason>"."""


class HoldsPrivateKey(UnreadableCertificate):
    """A text holds a private key beside the certificate, or alone."""


class NeverValid(UnreadableCertificate):
    """A certificate ends before it begins."""


class Unstorable(UnreadableCertificate):
    """A certificate holds a serial number or a name that is none by any standard."""


# RFC 5280, 4.1.2.5: the last second of 9999 means that there is no meaningful end. A day before that it can be shown
# in every zone, and so can the first days of the calendar.
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)
# RFC 5280 allows 40 hexadecimal digits; what goes beyond by mistake is still told apart from others.
LONGEST_SERIAL = 64
_STORABLE_NAME = re.compile(r"[!-~]{1,253}")
# A common name that may be meant as a domain; most others are the names of people and companies.
_HOST_NAME = re.compile(r"(\*\.)?([a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}", re.ASCII | re.I)


@dataclass(frozen=True, slots=True)
class Handover:
    """What an authority hands over. Moments are UTC; serial and SHA-256 fingerprint are lower-case hex."""

    not_before: datetime
    not_after: datetime
    serial: str
    fingerprint: str
    names: tuple[str, ...]
    scts: tuple[datetime, ...]
    pem: str

    @property
    def earliest_issue(self) -> datetime:
        """The best guess at its issue where nobody recorded it: the earliest SCT, since notBefore is backdated."""
        return min(self.scts, default=self.not_before)


def read_certificate(pem: str) -> Handover:
    """Read the first certificate of a PEM text; its chain after it is kept too. Raises UnreadableCertificate."""
    if "PRIVATE KEY" in pem:
        raise HoldsPrivateKey("holds a private key, which belongs to nobody but its owner")
    try:
        return _read(x509.load_pem_x509_certificates(pem.encode()))
    except UnreadableCertificate:
        raise
    except Exception as error:  # cryptography raises many kinds for malformed DER; none of them is a fault of ours
        raise UnreadableCertificate(f"is not an X.509 certificate in PEM ({error})") from error


def _read(chain: list[x509.Certificate]) -> Handover:
    certificate = chain[0]
    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:
        raise NeverValid("ends before it begins")
    return Handover(
        not_before=_showable(certificate.not_valid_before_utc),
        not_after=_showable(certificate.not_valid_after_utc),
        serial=_serial(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        names=_names(certificate),
        scts=_sct_moments(certificate),
        # Written anew: whatever else stood in the text is no part of a certificate.
        pem="".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
    )


def _showable(moment: datetime) -> datetime:
    return min(max(moment, EARLIEST), LATEST)


def _serial(certificate: x509.Certificate) -> str:
    serial = f"{certificate.serial_number:x}"
    if len(serial) > LONGEST_SERIAL:
        raise Unstorable("has a serial number of more than 32 bytes")
    return serial


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of the subject alternative name, else the common name if it is one; lower-case, each once."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(name.value) for name in common_names if _HOST_NAME.fullmatch(str(name.value))]
    if not all(map(_STORABLE_NAME.fullmatch, names)):
        raise Unstorable("holds a domain name that is none")
    return tuple(dict.fromkeys(name.lower() for name in names))


def _sct_moments(certificate: x509.Certificate) -> tuple[datetime, ...]:
    try:
        oid = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
        scts = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(sct.timestamp.replace(tzinfo=UTC) for sct in scts)  # type: ignore[attr-defined]
