"""What is read from a real X.509 certificate."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext as _

from certificates import foreign, pem, pkcs7
from certificates.chains import in_order


class UnreadableCertificate(ValueError):
    """A text is no X.509 certificate. The message is fit for "<field>: <reason>", `sentence` for whoever sent it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(reason)
        self.sentence = sentence


class HoldsPrivateKey(UnreadableCertificate):
    """A text holds a private key beside the certificate, or alone."""


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
    def key_fingerprint(self) -> str:
        """SHA-256 of the certificate's SubjectPublicKeyInfo, lower-case hex."""
        return hashlib.sha256(foreign.key_octets(x509.load_pem_x509_certificate(self.pem.encode()))).hexdigest()

    @property
    def earliest_issue(self) -> datetime:
        """The best guess at its issue where nobody recorded it: the earliest SCT, since notBefore is backdated."""
        return min(self.scts, default=self.not_before)


def read_certificate(text: str) -> Handover:
    """Read the first certificate of a PEM text; its chain after it is kept too. Raises UnreadableCertificate.

    Of PKCS#7, whose certificates have no order, the first is the one that issued none of the others.
    """
    if pem.holds_private_key(text):
        raise HoldsPrivateKey(
            "holds a private key, which belongs to nobody but its owner",
            _("There is a private key among the certificates; it was not kept. Give the certificates alone."),
        )
    return _read(_load(text))


# --- From a text to certificates ---------------------------------------------------------------


def _load(text: str) -> list[x509.Certificate]:
    try:
        blocks = pem.blocks_of(text)
        wanted = [each for each in blocks if each.kind in _HOLDERS]
        if not wanted:
            raise _something_else(blocks)
        return [certificate for block in wanted for certificate in _certificates_in(block)]
    except pem.BadPem as bad:
        raise _at(bad.position, str(bad), bad.sentence) from None


_HOLDERS = {pem.Kind.CERTIFICATE, pem.Kind.PKCS7}


def _certificates_in(block: pem.Block) -> list[x509.Certificate]:
    if block.kind == pem.Kind.CERTIFICATE:
        return [_parsed(block.der(), block.position)]
    found = [_parsed(each, block.position) for each in pkcs7.certificates_in(block)]
    if not found:
        raise _at(block.position, "is PKCS#7 without a certificate", _("This PKCS#7 holds no certificate."))
    return in_order(found)


def _parsed(octets: bytes, position: int) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(octets)
    except Exception:  # cryptography raises many kinds for malformed DER; none of them is a fault of ours
        reason = "is not an X.509 certificate"
        sentence = _("What is in it isn't an X.509 certificate, or is damaged. Copy the certificate again.")
        raise _at(position, reason, sentence) from None


def _at(position: int, reason: str, sentence: str) -> UnreadableCertificate:
    """With its number where it isn't the first."""
    if position == 1:
        return UnreadableCertificate(reason, sentence)
    told = {"position": position, "sentence": sentence}
    return UnreadableCertificate(f"{reason} (block {position})", _("Block %(position)s: %(sentence)s") % told)


def _something_else(blocks: Sequence[pem.Block]) -> UnreadableCertificate:
    if not blocks:
        return UnreadableCertificate(
            "is not an X.509 certificate in PEM",
            _("This isn't a PEM-encoded certificate, which begins with -----BEGIN CERTIFICATE-----."),
        )
    sentences = {
        pem.Kind.REQUEST: _("This is a certificate signing request. Give the certificate that was made from it."),
        pem.Kind.PUBLIC_KEY: _("This is a public key. Give the certificate that holds it."),
    }
    other = _("This isn't a certificate, which begins with -----BEGIN CERTIFICATE-----.")
    kind = blocks[0].kind
    return UnreadableCertificate(f"is {kind.value}, not a certificate", sentences.get(kind, other))


# --- From a certificate to what is kept of it --------------------------------------------------


def _read(chain: list[x509.Certificate]) -> Handover:
    certificate = chain[0]
    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:
        raise UnreadableCertificate(
            "ends before it begins", _("This certificate ends before it begins, so it is never valid.")
        )
    return Handover(
        not_before=_showable(certificate.not_valid_before_utc),
        not_after=_showable(certificate.not_valid_after_utc),
        serial=_serial(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        names=_names(certificate),
        scts=_sct_moments(certificate),
        # Encoded again: whatever else was in the text is no part of a certificate.
        pem="".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
    )


def _showable(moment: datetime) -> datetime:
    return min(max(moment, EARLIEST), LATEST)


def _serial(certificate: x509.Certificate) -> str:
    serial = f"{certificate.serial_number:x}"
    if len(serial) > LONGEST_SERIAL:
        raise UnreadableCertificate(
            "has a serial number of more than 32 bytes",
            _("This certificate's serial number has more than 32 bytes; standards allow 20."),
        )
    return serial


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of the subject alternative name, else the common name if it is one; lower-case, each once."""
    try:
        names = foreign.dns_names(certificate)
    except foreign.Unreadable as error:
        raise UnreadableCertificate(
            str(error),
            _("The names that this certificate is for can't be read: they break the rules of X.509."),
        ) from None
    if names is None:
        names = [name for name in foreign.common_names(certificate) if _HOST_NAME.fullmatch(name)]
    if not all(map(_STORABLE_NAME.fullmatch, names)):
        raise UnreadableCertificate(
            "holds a domain name that is not one", _("This certificate is for a domain name that isn't one.")
        )
    return tuple(dict.fromkeys(name.lower() for name in names))


def _sct_moments(certificate: x509.Certificate) -> tuple[datetime, ...]:
    try:
        scts = foreign.extension_of(certificate, x509.PrecertificateSignedCertificateTimestamps) or ()
        return tuple(each.timestamp.replace(tzinfo=UTC) for each in scts)
    except (ValueError, OverflowError):  # a moment beyond the calendar
        return ()
