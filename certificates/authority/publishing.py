"""What the embedded authority tells everybody: its own certificates, lists of revoked ones, and OCSP answers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from django.db.models import QuerySet

from certificates.authority import pki
from certificates.authority.issuers import certificate_of, issuers, signing
from certificates.models import CaIssuer, CaOrder

# A list is signed anew every hour, and at once when it grows.
CRL_RENEWED, CRL_LASTS = timedelta(hours=1), timedelta(days=1)
OCSP_LASTS = timedelta(hours=1)
# RFC 9654, 2.1.
LONGEST_NONCE = 128
# A list's number: hours since 1970 above, how many it holds below.
ROOM_FOR_COUNT = 32


def root_pem(*, at: datetime) -> str:
    return issuers(at=at).root.pem


def chain_pem(*, at: datetime) -> str:
    """The intermediate and the root above it."""
    pair = issuers(at=at)
    return pair.intermediate.pem + pair.root.pem


def certificate_der(kind: str, *, at: datetime) -> bytes:
    return certificate_of(_issuer(kind, at=at)).public_bytes(Encoding.DER)


def _issuer(kind: str, *, at: datetime) -> CaIssuer:
    pair = issuers(at=at)
    return pair.root if kind == CaIssuer.Kind.ROOT else pair.intermediate


# --- Lists of revoked certificates -------------------------------------------------------------


def crl_der(kind: str, *, at: datetime) -> bytes:
    """The list of an issuer with everything it has revoked so far, expired or not."""
    count = _revoked(kind).count()
    return _signed_list(_issuer(kind, at=at).pem, count, int(at.timestamp() // CRL_RENEWED.total_seconds()))


@lru_cache(maxsize=4)
def _signed_list(issuer_pem: str, count: int, hour: int) -> bytes:
    """Nothing that is revoked becomes good again, so issuer, count and hour say all that a list says.

    Every process makes the same bytes of them; with either of the latter the list's number grows.
    """
    issuer = CaIssuer.objects.get(pem=issuer_pem)
    began = datetime.fromtimestamp(hour * CRL_RENEWED.total_seconds(), UTC)
    rows = _revoked(issuer.kind).order_by("revoked_at", "pk").values_list("serial", "revoked_at", "revocation_reason")
    revoked = [pki.Revoked(int(serial, 16), at, reason) for serial, at, reason in rows if serial and at]
    return pki.make_crl(
        signing(issuer),
        revoked,
        # Counted from the rows: another may have come since the caller counted.
        number=(hour << ROOM_FOR_COUNT) + len(revoked),
        # No list is older than what it holds, within its hour.
        begin=max([began, *(each.at for each in revoked if each.at < began + CRL_RENEWED)]),
        end=began + CRL_LASTS,
    )


def _revoked(kind: str) -> QuerySet[CaOrder]:
    """What the issuer has revoked. The root has issued the intermediate alone, which stays."""
    revoked = CaOrder.objects.filter(revoked_at__isnull=False)
    return revoked if kind == CaIssuer.Kind.INTERMEDIATE else revoked.none()


# --- OCSP --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    der: bytes
    # Whoever asks the same may be given it again for a while.
    is_for_all: bool = False


def answer_ocsp(request: bytes, *, at: datetime) -> OcspAnswer:
    """The signed status of the one certificate that a request in DER asks about (RFC 6960, RFC 5019)."""
    try:
        asked, nonce = _read(request)
    except Exception:  # cryptography raises many kinds for malformed DER; none of them is a fault of ours
        return _failed(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    intermediate = issuers(at=at).intermediate
    if not _asks_about_ours(asked, certificate_of(intermediate)):
        return _failed(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    order = CaOrder.objects.filter(serial=f"{asked.serial_number:x}").first()
    der = _signed_status(asked, nonce, order, signing(intermediate), at=pki.to_second(at))
    return OcspAnswer(der, is_for_all=order is not None and nonce is None)


def _read(request: bytes) -> tuple[ocsp.OCSPRequest, x509.OCSPNonce | None]:
    asked = ocsp.load_der_ocsp_request(request)
    if not 0 < asked.serial_number < 1 << 160:
        raise ValueError("no serial number")
    asked.hash_algorithm  # noqa: B018 - raises for one that is not known
    try:
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return asked, None
    if not 0 < len(nonce.nonce) <= LONGEST_NONCE:
        raise ValueError("no nonce")
    return asked, nonce


def _asks_about_ours(asked: ocsp.OCSPRequest, issuer: x509.Certificate) -> bool:
    key = issuer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (asked.issuer_name_hash, asked.issuer_key_hash) == (
        _hashed(issuer.subject.public_bytes(), asked.hash_algorithm),
        _hashed(key, asked.hash_algorithm),
    )


def _hashed(octets: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(octets)
    return digest.finalize()


def _signed_status(
    asked: ocsp.OCSPRequest, nonce: x509.OCSPNonce | None, order: CaOrder | None, issuer: pki.Issuer, *, at: datetime
) -> bytes:
    revoked_at = order.revoked_at if order else None
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        asked.issuer_name_hash,
        asked.issuer_key_hash,
        asked.serial_number,
        asked.hash_algorithm,
        _status_of(order),
        at,
        at + OCSP_LASTS,
        revoked_at,
        pki.reason_flag(order.revocation_reason) if order and revoked_at else None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    if nonce:
        builder = builder.add_extension(nonce, critical=False)
    return builder.sign(issuer.key, pki.SIGNED_WITH).public_bytes(Encoding.DER)


def _status_of(order: CaOrder | None) -> ocsp.OCSPCertStatus:
    if order is None:
        return ocsp.OCSPCertStatus.UNKNOWN
    return ocsp.OCSPCertStatus.REVOKED if order.revoked_at else ocsp.OCSPCertStatus.GOOD


def _failed(status: ocsp.OCSPResponseStatus) -> OcspAnswer:
    return OcspAnswer(ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER))
