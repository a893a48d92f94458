"""X.509 as the embedded authority makes it: root, intermediate, certificates, and lists of revoked ones.

Nothing here knows a database or a clock. Moments are aware and are signed in UTC, to the second. Root and intermediate
are EC P-384: beyond RSA 4096 in strength, known to every client of today, made in a millisecond (so they are made
under a short lock), and what they sign is small.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from django.utils.translation import gettext as _

from certificates.authority.base import Enrolled
from certificates.csr import UnusableCsr, public_key_of
from certificates.states import RevocationReason

SIGNED_WITH = hashes.SHA384()
# As public authorities do it, lest a slow clock refuse a fresh certificate.
BACKDATED = timedelta(hours=1)
ONE_YEAR = timedelta(days=365)
LONGEST_TERM = timedelta(days=397)
# Issuers begin before they were made: orders of the past, as a demo or an import brings them, stand under them too.
BEGUN_BEFORE = timedelta(days=730)
ROOT_LASTS, INTERMEDIATE_LASTS = timedelta(days=20 * 365), timedelta(days=15 * 365)

# CA/Browser Forum, Baseline Requirements 7.1.6.1: what was checked before issuing.
DOMAIN_CHECKED = x509.ObjectIdentifier("2.23.140.1.2.1")
ORGANISATION_CHECKED = x509.ObjectIdentifier("2.23.140.1.2.2")
ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")

CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
SMALLEST_RSA = 2048
# RFC 5280, A.1: in characters.
LONGEST_COMMON_NAME = LONGEST_COMPANY = 64
LONGEST_CITY = 128
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class UnfitRequest(ValueError):
    """No certificate can be made of an order; the message is the cause, fit for the customer."""


@dataclass(frozen=True, slots=True)
class Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses at which the authority publishes, as they stand in certificates."""

    root: str
    root_crl: str
    intermediate: str
    intermediate_crl: str
    ocsp: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order asks to be certified."""

    subject: x509.Name
    names: tuple[x509.DNSName, ...]
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    policy: x509.ObjectIdentifier
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    serial: int
    at: datetime
    reason: str  # certificates.states.RevocationReason


# --- What is asked for -------------------------------------------------------------------------


def read_order(order: Enrolled) -> Wanted:
    """What the order asks for. Raises UnfitRequest."""
    return Wanted(
        subject=_subject(order),
        names=_names(order),
        key=_key_of(order.csr),
        # An EV certificate tells more of its holder than an order does, so none claims to be one.
        policy=ORGANISATION_CHECKED if order.organisation else DOMAIN_CHECKED,
        until=order.until,
    )


def _subject(order: Enrolled) -> x509.Name:
    if len(order.organisation) > LONGEST_COMPANY or len(order.locality) > LONGEST_CITY:
        raise UnfitRequest(
            _(
                "The company's name or city is too long for a certificate, which has room for 64 and 128 characters. "
                "Shorten it and apply again."
            )
        )
    said = [
        (NameOID.COUNTRY_NAME, order.country.upper()),
        (NameOID.LOCALITY_NAME, order.locality),
        (NameOID.ORGANIZATION_NAME, order.organisation),
        (NameOID.COMMON_NAME, order.names[0] if len(order.names[0]) <= LONGEST_COMMON_NAME else ""),
    ]
    try:
        return x509.Name([x509.NameAttribute(oid, words) for oid, words in said if words])
    except ValueError as error:
        raise UnfitRequest(_("The country must be its two letters. Correct it and apply again.")) from error


def _names(order: Enrolled) -> tuple[x509.DNSName, ...]:
    try:
        return tuple(x509.DNSName(name) for name in order.names)
    except ValueError as error:
        raise UnfitRequest(
            _("One of the domains cannot stand in a certificate. Correct it and apply again.")
        ) from error


def _key_of(csr: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """The public key of a request in PEM, which must be signed with its private one."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key, is_signed = public_key_of(request), request.is_signature_valid
    except UnusableCsr as error:
        raise UnfitRequest(str(error)) from error
    except Exception as error:  # cryptography raises many kinds for malformed DER; none of them is a fault of ours
        raise UnfitRequest(
            _("The certificate signing request cannot be read. Make a new one and apply again.")
        ) from error
    if not is_signed:
        raise UnfitRequest(
            _("The certificate signing request is not signed with its own key. Make a new one and apply again.")
        )
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES):
        return key
    raise UnfitRequest(
        _("The key must be RSA with 2048 bits or more, or EC on P-256, P-384 or P-521. Make another and apply again.")
    )


# --- Issuers -----------------------------------------------------------------------------------


def make_root(name: str, *, at: datetime) -> Issuer:
    """A new root: self-signed, over exactly one level of issuers."""
    key, subject = ec.generate_private_key(ec.SECP384R1()), _issuer_name(name, "Root CA")
    builder = _begin(subject, subject, key.public_key(), at - BEGUN_BEFORE, at + ROOT_LASTS)
    builder = _as_issuer(builder, path_length=1, usages=("key_cert_sign", "crl_sign"))
    return Issuer(_sign(builder, key), key)


def make_intermediate(root: Issuer, name: str, places: Places, *, at: datetime) -> Issuer:
    """A new intermediate, which signs certificates, its CRL and, directly, OCSP answers."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = _issuer_name(name, "Intermediate CA")
    builder = _begin(subject, root.certificate.subject, key.public_key(), at - BEGUN_BEFORE, at + INTERMEDIATE_LASTS)
    builder = _as_issuer(builder, path_length=0, usages=("key_cert_sign", "crl_sign", "digital_signature"))
    builder = _under(builder, root, issuer_at=places.root, crl_at=places.root_crl, policy=ANY_POLICY)
    return Issuer(_sign(builder, root.key), key)


def _issuer_name(name: str, role: str) -> x509.Name:
    # The library counts octets.
    words = name.encode()[: LONGEST_COMMON_NAME - len(role) - 1].decode(errors="ignore")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, words),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{words} {role}"),
        ]
    )


def _as_issuer(
    builder: x509.CertificateBuilder, *, path_length: int, usages: tuple[str, ...]
) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(_usage(*usages), critical=True)


# --- Certificates ------------------------------------------------------------------------------


def make_certificate(issuer: Issuer, wanted: Wanted, places: Places, *, at: datetime) -> x509.Certificate:
    """A server's certificate for a year from `at`, or to the end of a service that a renewal made longer.

    It is never longer than browsers take it (398 days), and ends with its issuer at the latest.
    """
    end = min(max(at + ONE_YEAR, wanted.until or at), at + LONGEST_TERM, issuer.certificate.not_valid_after_utc)
    builder = _begin(wanted.subject, issuer.certificate.subject, wanted.key, at - BACKDATED, end)
    builder = _under(
        builder,
        issuer,
        issuer_at=places.intermediate,
        crl_at=places.intermediate_crl,
        ocsp_at=places.ocsp,
        policy=wanted.policy,
    )
    builder = (
        builder
        # RFC 5280, 4.2.1.6: critical where it alone says whose certificate it is.
        .add_extension(x509.SubjectAlternativeName(wanted.names), critical=not wanted.subject.rdns)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage_of(wanted.key), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return _sign(builder, issuer.key)


def _usage_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> x509.KeyUsage:
    """An RSA key also takes the session's key in TLS before 1.3; an EC key only signs."""
    return _usage("digital_signature", *(("key_encipherment",) if isinstance(key, rsa.RSAPublicKey) else ()))


def _usage(*used: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in used for usage in USAGES})


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())  # 159 bits from the system's source
        .not_valid_before(to_second(begin))
        .not_valid_after(to_second(end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _under(
    builder: x509.CertificateBuilder,
    issuer: Issuer,
    *,
    issuer_at: str,
    crl_at: str,
    policy: x509.ObjectIdentifier,
    ocsp_at: str = "",
) -> x509.CertificateBuilder:
    """What a certificate says of its issuer: its key, and where it and its list of revoked ones are found."""
    methods = [(AuthorityInformationAccessOID.OCSP, ocsp_at), (AuthorityInformationAccessOID.CA_ISSUERS, issuer_at)]
    access = [x509.AccessDescription(method, _address(place)) for method, place in methods if place]
    list_at = x509.DistributionPoint(full_name=[_address(crl_at)], relative_name=None, reasons=None, crl_issuer=None)
    return (
        builder.add_extension(_authority_key(issuer), critical=False)
        .add_extension(x509.AuthorityInformationAccess(access), critical=False)
        .add_extension(x509.CRLDistributionPoints([list_at]), critical=False)
        .add_extension(x509.CertificatePolicies([x509.PolicyInformation(policy, None)]), critical=False)
    )


def _address(place: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(place)


def _authority_key(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, SIGNED_WITH)


# --- Lists of revoked certificates -------------------------------------------------------------


def make_crl(issuer: Issuer, revoked: Iterable[Revoked], *, number: int, begin: datetime, end: datetime) -> bytes:
    """The list in DER. The same arguments give the same bytes, whichever process signs."""
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.certificate.subject,
        last_update=to_second(begin),
        next_update=to_second(end),
        # Handed over at once: added one by one, the builder copies all of them each time.
        revoked_certificates=[_entry(each) for each in revoked],
    )
    builder = builder.add_extension(_authority_key(issuer), critical=False)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    return builder.sign(issuer.key, SIGNED_WITH, ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(revoked.serial, to_second(revoked.at))
    if reason := reason_flag(revoked.reason):
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def reason_flag(reason: str) -> x509.ReasonFlags | None:
    """RFC 5280, 5.3.1: the reason "unspecified" is said by saying none."""
    return None if reason == RevocationReason.UNSPECIFIED else x509.ReasonFlags(reason)


def to_second(moment: datetime) -> datetime:
    """In UTC, to the second: what X.509 can say."""
    return moment.astimezone(UTC).replace(microsecond=0)
