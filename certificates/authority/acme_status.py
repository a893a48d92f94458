"""What an authority publishes about a certificate of its own: by OCSP (RFC 6960), else by CRL (RFC 5280, 5)."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from certificates.authority.base import AuthorityUnavailable
from certificates.authority.calls import BoundedSession
from certificates.chains import is_issued_by
from certificates.foreign import extension_of, key_of, list_issuer_of, subject_of

# Seconds for one question, and bytes of its answer.
PATIENCE = 8.0
LONGEST_OCSP = 64 * 1024
LONGEST_CRL = 16 * 1024 * 1024
# Clocks differ.
SKEW = timedelta(minutes=5)
# One list speaks of many certificates: for so many seconds it is not fetched again, and so many are kept.
KEEP_CRL = 600.0
CRLS_KEPT = 8

# The moment of revocation, None while good. Raises NoAnswer and what `_fetch` and the parsers raise.
Ask = Callable[[str, x509.Certificate, x509.Certificate, datetime], datetime | None]


class NoAnswer(Exception):
    """What is published there cannot be trusted, or says nothing about the certificate."""


def published_revocation(pem: str, *, at: datetime) -> datetime | None:
    """The moment (UTC) at which a certificate, followed by its chain, was revoked; None while it is good at `at`.

    Raises AuthorityUnavailable when nothing that can be trusted is published about it.
    """
    certificate, *chain = x509.load_pem_x509_certificates(pem.encode())
    if not chain:
        raise AuthorityUnavailable("The certificate was issued without its chain: nothing about it can be checked.")
    troubles = []
    for ask, address in _places(certificate):
        try:
            return ask(address, certificate, chain[0], at)
        except (NoAnswer, requests.RequestException, OSError, ValueError, TypeError, UnsupportedAlgorithm) as trouble:
            troubles.append(f"{address}: {' '.join(str(trouble).split()) or type(trouble).__name__}")
    raise AuthorityUnavailable("; ".join(troubles) or "The certificate names neither an OCSP responder nor a CRL.")


def _places(certificate: x509.Certificate) -> Iterator[tuple[Ask, str]]:
    """Where to ask, and how: the responders first, since they answer about the one certificate."""
    access = extension_of(certificate, x509.AuthorityInformationAccess) or ()
    locations = [each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP]
    yield from ((_ask_responder, address) for address in _addresses(locations))
    points = extension_of(certificate, x509.CRLDistributionPoints) or ()
    locations = [name for point in points for name in point.full_name or ()]
    yield from ((_look_in_list, address) for address in _addresses(locations))


def _addresses(names: list[x509.GeneralName]) -> list[str]:
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]


def _fetch(method: str, address: str, longest: int, **options: Any) -> bytes:
    with BoundedSession(seconds=PATIENCE, longest=longest) as session:
        response = session.request(method, address, **options)
    if response.status_code != requests.codes.ok:
        raise NoAnswer(f"answered {response.status_code}")
    return response.content


def _require_fresh(begins: datetime, ends: datetime | None, at: datetime) -> None:
    """An old answer could be played back by anybody."""
    if begins > at + SKEW or (ends and ends < at - SKEW):
        raise NoAnswer(f"speaks of the time from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC only")


# --- OCSP --------------------------------------------------------------------------------------


def _ask_responder(
    address: str, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> datetime | None:
    # SHA-1 only names the issuer here, and is what every responder knows.
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # noqa: S303
    asked = question.public_bytes(Encoding.DER)
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    answer = ocsp.load_der_ocsp_response(_fetch("POST", address, LONGEST_OCSP, data=asked, headers=headers))
    if answer.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise NoAnswer(f"answered {answer.response_status.name}")
    if not any(_is_signed_by(answer, signer) for signer in _signers(answer, issuer, at)):
        raise NoAnswer("answered without a signature of the issuer")
    return _moment_in(answer, question, at)


def _moment_in(answer: ocsp.OCSPResponse, question: ocsp.OCSPRequest, at: datetime) -> datetime | None:
    wanted = (question.serial_number, question.issuer_name_hash, question.issuer_key_hash)
    for each in answer.responses:
        if (each.serial_number, each.issuer_name_hash, each.issuer_key_hash) != wanted:
            continue
        _require_fresh(each.this_update_utc, each.next_update_utc, at)
        if each.certificate_status == ocsp.OCSPCertStatus.REVOKED:
            return each.revocation_time_utc
        if each.certificate_status == ocsp.OCSPCertStatus.GOOD:
            return None
    raise NoAnswer("knows nothing of the certificate")


def _signers(answer: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> list[x509.Certificate]:
    """The issuer, and those it has charged with answering (RFC 6960, 4.2.2.2)."""
    return [issuer, *(each for each in answer.certificates if _is_charged(each, issuer, at))]


def _is_charged(responder: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    if not is_issued_by(responder, issuer):
        return False
    uses = extension_of(responder, x509.ExtendedKeyUsage) or ()
    is_valid = responder.not_valid_before_utc <= at + SKEW and at - SKEW <= responder.not_valid_after_utc
    return is_valid and ExtendedKeyUsageOID.OCSP_SIGNING in uses


def _is_signed_by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, digest = key_of(signer), answer.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest:
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


# --- CRL ---------------------------------------------------------------------------------------


def _look_in_list(
    address: str, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> datetime | None:
    published = _list_at(address, issuer)
    _require_fresh(published.last_update_utc, published.next_update_utc, at)
    entry = published.get_revoked_certificate_by_serial_number(certificate.serial_number)
    return entry.revocation_date_utc if entry else None


def _list_at(address: str, issuer: x509.Certificate) -> x509.CertificateRevocationList:
    key = f"{address} {issuer.fingerprint(hashes.SHA256()).hex()}"
    fetched, kept = _crls.get(key, (0.0, None))
    if kept and time.monotonic() - fetched < KEEP_CRL:
        return kept
    published = x509.load_der_x509_crl(_fetch("GET", address, LONGEST_CRL))
    _require_right_list(published, address, issuer)
    while len(_crls) >= CRLS_KEPT:
        _crls.pop(next(iter(_crls)), None)
    _crls[key] = (time.monotonic(), published)
    return published


_crls: dict[str, tuple[float, x509.CertificateRevocationList | None]] = {}


def _require_right_list(published: x509.CertificateRevocationList, address: str, issuer: x509.Certificate) -> None:
    """Signed by the issuer, complete, and the one of this address: an issuer may spread its list over several."""
    if list_issuer_of(published) != subject_of(issuer) or not published.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        raise NoAnswer("is not signed by the issuer")
    if extension_of(published, x509.DeltaCRLIndicator):
        raise NoAnswer("holds changes only")
    scope = extension_of(published, x509.IssuingDistributionPoint)
    if scope and scope.full_name and address not in _addresses(scope.full_name):
        raise NoAnswer("is the list of another address")
