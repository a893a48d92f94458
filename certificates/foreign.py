"""What a foreign certificate or request says, read so that nothing in it can raise. Pure.

`cryptography` parses a certificate's parts only when they are asked for, and then raises errors of many kinds for what
it doesn't know or doesn't allow: Latin-1 in a TeletexString, a curve spelled out by its parameters, an extension given
twice. So names, identifiers and the public key are taken from the DER itself here.
"""

import unicodedata
from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from certificates import der
from core.text import is_invisible

Holder = x509.Certificate | x509.CertificateSigningRequest
# Relative names in their order, each a set of attributes by OID and value; the DER of one that can't be taken apart.
Name = tuple[frozenset[tuple[bytes, str | bytes]], ...] | bytes
Extension = TypeVar("Extension", bound=x509.ExtensionType)

# OpenSSL reads a TeletexString as Latin-1, as those who wrote one meant it; so do we, to find the chains it finds.
_CODECS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "latin-1",  # NumericString
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # TeletexString
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_VERSION, _EXTENSIONS, _KEY_IDENTIFIER, _DNS_NAME = 0xA0, 0xA3, 0x80, 0x82
# The contents of DER's object identifiers.
_COMMON_NAME = bytes.fromhex("550403")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_BASIC_CONSTRAINTS = bytes.fromhex("551d13")
_SUBJECT_KEY, _AUTHORITY_KEY = bytes.fromhex("551d0e"), bytes.fromhex("551d23")
_TRUE = bytes.fromhex("0101ff")


class Unreadable(ValueError):
    """A part that is needed can't be read; the message is fit for "<field>: <reason>"."""


# --- Names -------------------------------------------------------------------------------------


def subject_of(holder: Holder) -> Name:
    """The subject, comparable as RFC 5280, section 7.1, compares names."""
    return _name(_subject(holder))


def issuer_of(certificate: x509.Certificate) -> Name:
    """The issuer, comparable with a subject."""
    return _name(_certificate_parts(certificate)[2])


def list_issuer_of(crl: x509.CertificateRevocationList) -> Name:
    """The issuer of a list of revoked certificates, comparable with a subject."""
    parts = der.first(crl.tbs_certlist_bytes).children()
    return _name(parts[2] if parts[0].tag == der.INTEGER else parts[1])


def common_names(holder: Holder) -> list[str]:
    """The subject's common names as they are written; those in no known encoding are left out."""
    try:
        found = [_text(value) for oid, value in _attributes(_subject(holder)) if oid == _COMMON_NAME]
    except ValueError:
        return []
    return [text for text in found if text is not None]


def _name(element: der.Element) -> Name:
    try:
        names = [frozenset(map(_comparable, _in_relative(each))) for each in element.children()]
    except ValueError:
        return element.whole
    return tuple(names)


def _attributes(name: der.Element) -> Iterator[tuple[bytes, der.Element]]:
    for relative in name.children():
        yield from _in_relative(relative)


def _in_relative(relative: der.Element) -> Iterator[tuple[bytes, der.Element]]:
    for attribute in relative.children():
        oid, value = attribute.children()
        yield oid.contents, value


def _comparable(attribute: tuple[bytes, der.Element]) -> tuple[bytes, str | bytes]:
    """Strings alike whatever their type: without regard to case, and with each run of spaces as one (RFC 4518)."""
    oid, value = attribute
    text = _text(value)
    if text is None:
        return oid, value.whole
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(" " if each.isspace() else each for each in folded if each.isspace() or not is_invisible(each))
    return oid, " ".join(seen.split())


def _text(value: der.Element) -> str | None:
    codec = _CODECS.get(value.tag)
    try:
        return value.contents.decode(codec) if codec else None
    except UnicodeDecodeError:
        return None


# --- Keys --------------------------------------------------------------------------------------


def key_octets(holder: Holder) -> bytes:
    """The SubjectPublicKeyInfo in DER, as it is written."""
    if isinstance(holder, x509.Certificate):
        return _certificate_parts(holder)[5].whole
    return _request_parts(holder)[2].whole


def key_of(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    """The public key; None where it is of a kind that isn't known here."""
    try:
        return certificate.public_key()
    except Exception:  # cryptography raises many kinds, for keys it doesn't support and for malformed ones
        return None


# --- Extensions --------------------------------------------------------------------------------


def extension_of(holder: x509.Certificate | x509.CertificateRevocationList, kind: type[Extension]) -> Extension | None:
    """An extension that may be missing; None also where it, or another one beside it, can't be read."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except Exception:  # x509.ExtensionNotFound, and many kinds for what is malformed
        return None


def dns_names(certificate: x509.Certificate) -> list[str] | None:
    """The DNS names among the alternative names, as they are written; None where it has no alternative names.

    Raises Unreadable: whom a certificate is for must not be guessed.
    """
    raw = _extension(certificate, _ALTERNATIVE_NAMES)
    if raw is None:
        return None
    try:
        return [each.contents.decode() for each in der.first(raw).children() if each.tag == _DNS_NAME]
    except (der.Malformed, UnicodeDecodeError):
        raise Unreadable("holds alternative names that cannot be read") from None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may issue others; where that can't be read, it may not."""
    try:
        raw = _extension(certificate, _BASIC_CONSTRAINTS)
        return raw is not None and der.first(raw).contents.startswith(_TRUE)
    except ValueError:
        return False


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        raw = _extension(certificate, _SUBJECT_KEY)
        return der.first(raw).contents if raw else None
    except ValueError:
        return None


def issuer_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """The identifier of the issuer's key, as the certificate gives it."""
    try:
        raw = _extension(certificate, _AUTHORITY_KEY)
        found = [each.contents for each in der.first(raw).children() if each.tag == _KEY_IDENTIFIER] if raw else []
        return found[0] if found else None
    except ValueError:
        return None


def _extension(certificate: x509.Certificate, oid: bytes) -> bytes | None:
    """The contents of an extension. Raises Unreadable where it is there twice, or none of them can be told apart."""
    try:
        extensions = [each.children() for each in _extensions(certificate)]
    except der.Malformed:
        raise Unreadable("holds extensions that cannot be read") from None
    found = [each[-1].contents for each in extensions if each and each[0].contents == oid]
    if len(found) > 1:
        raise Unreadable("holds the same extension twice")
    return found[0] if found else None


def _extensions(certificate: x509.Certificate) -> list[der.Element]:
    wrapped = [each for each in _certificate_parts(certificate)[6:] if each.tag == _EXTENSIONS]
    return der.first(wrapped[0].contents).children() if wrapped else []


# --- Where they stand: `cryptography` has checked the outer structure --------------------------


def _certificate_parts(certificate: x509.Certificate) -> list[der.Element]:
    """Serial number, signature algorithm, issuer, validity, subject, key, and what may follow (RFC 5280, 4.1)."""
    parts = der.first(certificate.tbs_certificate_bytes).children()
    return parts[1:] if parts[0].tag == _VERSION else parts


def _request_parts(request: x509.CertificateSigningRequest) -> list[der.Element]:
    """Version, subject, key and attributes (RFC 2986, 4.1)."""
    return der.first(request.tbs_certrequest_bytes).children()


def _subject(holder: Holder) -> der.Element:
    return _certificate_parts(holder)[4] if isinstance(holder, x509.Certificate) else _request_parts(holder)[1]
