"""Keys and certificate signing requests: those made here, and those that customers paste."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certificates import foreign, pem
from certificates.names import UnfitName, ascii_form, shown
from certificates.states import KeyType
from core.encryption import encrypt

# A request for a hundred long names takes 30,000 characters.
LONGEST_TEXT = 64 * 1024
# X.520 gives a common name 64 characters; a longer name stands among the alternative names alone.
LONGEST_COMMON_NAME = 64
SMALLEST_RSA, LARGEST_RSA = 2048, 8192
SMALLEST_EXPONENT, LARGEST_EXPONENT = 65537, 2**256 - 1

LEAKED = gettext_lazy(
    "This held a private key. It was not stored, and is not shown again. A key that was sent anywhere should be "
    "replaced: make a new one, and paste only a CSR made with it."
)

# Found in the algorithm that a key is for, which comes before the key itself (RFC 5280, 4.1.2.7).
_BEFORE_THE_KEY = 40
_NOT_CARRIED = {
    bytes.fromhex("06092a864886f70d01010a"): gettext_lazy(
        "The CSR's key is for RSASSA-PSS alone, and certificates are issued for plain RSA keys, so that servers would "
        "refuse the two together. Make an RSA key without PSS (openssl genrsa) and a new CSR."
    ),
    # An EC key whose algorithm goes on with a sequence, where the name of a curve should be (RFC 5480, 2.1.1).
    bytes.fromhex("06072a8648ce3d020130"): gettext_lazy(
        "The CSR's EC key spells out the parameters of its curve, which no certificate may. Make a new key on a named "
        "curve (openssl: -pkeyopt ec_param_enc:named_curve) and a new CSR."
    ),
}
_OTHERWISE_ENCODED = gettext_lazy(
    "The CSR's key is encoded in an unusual way, such as a compressed EC point, so that the certificate would hold it "
    "differently. Make a new key and a new CSR with the usual encoding."
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class UnusableCsr(ValueError):
    """A text is no certificate signing request that can be used; the message is a sentence for the customer."""


class HoldsKey(UnusableCsr):
    """A private key was pasted: it must be shown, stored and logged nowhere."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request in PEM, and the SHA-256 of its public key (SubjectPublicKeyInfo) in hex."""

    pem: str
    fingerprint: str
    # The private key as `core.encryption` keeps it; empty where it stayed with the customer.
    key: str = ""


def make_request(key_type: str, names: Sequence[str]) -> SigningRequest:
    """Make a key of this type and a request for these names; the key leaves encrypted only."""
    key = _new_key(key_type)
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_subject(names[0]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningRequest(_pem(csr), _fingerprint(csr), encrypt(secret))


def read_request(text: str, names: Collection[str], *, is_exact: bool = False) -> SigningRequest:
    """Read a pasted request for `names`, lower-case ASCII; `is_exact` where it must hold every one of them.

    Raises UnusableCsr with the reason, HoldsKey where a private key was pasted.
    """
    csr = _load(text)
    _check_key(public_key_of(csr))
    try:
        _check_signature(csr)
        if is_exact:  # the authority reads all of the request itself, its subject too
            csr.subject  # noqa: B018 - raises for one that can't be read
        held = _names_in(csr)
    except UnusableCsr:
        raise
    except Exception as error:  # cryptography raises many kinds for malformed parts; none of them is a fault of ours
        raise UnusableCsr(
            _("A part of the CSR, such as its subject or an extension, can't be read. Make a new CSR.")
        ) from error
    _check_names(held, names, is_exact=is_exact)
    return SigningRequest(_pem(csr), _fingerprint(csr))


def key_fingerprint_of(text: str) -> str:
    """The SHA-256 of the public key in a stored request, hex."""
    return _fingerprint(x509.load_pem_x509_csr(text.encode()))


def public_key_of(csr: x509.CertificateSigningRequest) -> CertificatePublicKeyTypes:
    """The request's key, which a certificate will hold octet for octet as the request does. Raises UnusableCsr.

    A key that would be written differently is another key to the servers that read it: nginx refuses the pair of a
    certificate that says rsaEncryption and a key that says RSASSA-PSS.
    """
    asked = foreign.key_octets(csr)
    for mark, sentence in _NOT_CARRIED.items():
        if mark in asked[:_BEFORE_THE_KEY]:
            raise UnusableCsr(str(sentence))
    try:
        key = csr.public_key()
        carried = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:  # as in `read_request`
        raise UnusableCsr(_("The CSR's key is damaged, or of a kind that isn't supported.")) from error
    if carried != asked:
        raise UnusableCsr(str(_OTHERWISE_ENCODED))
    return key


# --- Made here ---------------------------------------------------------------------------------


def _new_key(key_type: str) -> PrivateKey:
    if key_type == KeyType.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(SMALLEST_EXPONENT, SMALLEST_RSA)


def _subject(name: str) -> x509.Name:
    fits = len(name) <= LONGEST_COMMON_NAME
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if fits else [])


def _pem(csr: x509.CertificateSigningRequest) -> str:
    """Encoded again: whatever else was in a pasted text is no part of the request."""
    return csr.public_bytes(Encoding.PEM).decode()


def _fingerprint(csr: x509.CertificateSigningRequest) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(foreign.key_octets(csr))
    return digest.finalize().hex()


# --- Pasted ------------------------------------------------------------------------------------


def _load(text: str) -> x509.CertificateSigningRequest:
    if pem.holds_private_key(text):
        raise HoldsKey(LEAKED)
    if len(text) > LONGEST_TEXT:
        raise UnusableCsr(_("This is too long for a CSR."))
    try:
        octets = _only_block(pem.blocks_of(text)).der()
    except pem.BadPem as bad:
        raise UnusableCsr(bad.sentence) from None
    try:
        return x509.load_der_x509_csr(octets)
    except Exception as error:  # as in `read_request`
        raise UnusableCsr(_("What is in it isn't a CSR, or is damaged. Copy it again, or make a new one.")) from error


def _only_block(blocks: Sequence[pem.Block]) -> pem.Block:
    if not blocks:
        raise UnusableCsr(_("This isn't a PEM-encoded CSR, which begins with -----BEGIN CERTIFICATE REQUEST-----."))
    if blocks[0].kind == pem.Kind.CERTIFICATE:
        raise UnusableCsr(_("This is a certificate. Paste the CSR, which begins with BEGIN CERTIFICATE REQUEST."))
    if blocks[0].kind != pem.Kind.REQUEST:
        raise UnusableCsr(_("This is something other than a CSR, which begins with BEGIN CERTIFICATE REQUEST."))
    if len(blocks) > 1:
        raise UnusableCsr(_("Paste one CSR alone."))
    return blocks[0]


def _check_key(key: object) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key)
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise UnusableCsr(_("The CSR's key is of another kind than RSA, EC P-256 or EC P-384."))


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    if not SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
        sentence = _("The CSR's RSA key has %(bits)s bits; it needs 2048 to 8192.")
        raise UnusableCsr(sentence % {"bits": key.key_size})
    numbers = key.public_numbers()
    is_sane = SMALLEST_EXPONENT <= numbers.e <= LARGEST_EXPONENT and numbers.e % 2 and numbers.n % 2
    if not is_sane:
        raise UnusableCsr(_("The CSR's RSA key is weak: its public exponent should be 65537. Make a new key."))


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    if not isinstance(csr.signature_hash_algorithm, _HASHES):
        raise UnusableCsr(_("The CSR is signed with an outdated algorithm; it needs SHA-256 or better."))
    if not csr.is_signature_valid:
        raise UnusableCsr(_("The CSR's signature does not fit its key: it was changed or damaged."))


def _names_in(csr: x509.CertificateSigningRequest) -> list[str]:
    """The common names and the alternative names, as they are written. Raises UnusableCsr for other than DNS names."""
    common_names = foreign.common_names(csr)
    try:
        alternatives = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return common_names
    strange = [each for each in alternatives if not isinstance(each, x509.DNSName)]
    if strange:
        sentence = _("The CSR is for something other than domain names too: “%(name)s”.")
        raise UnusableCsr(sentence % {"name": str(strange[0].value)[:100]})
    return [*common_names, *alternatives.get_values_for_type(x509.DNSName)]


def _check_names(held: list[str], names: Collection[str], *, is_exact: bool) -> None:
    known = {_comparable(name) for name in held}
    beyond = sorted(known - set(names))
    if beyond:
        sentence = _("The CSR is for “%(name)s”, which is not among the domains above.")
        raise UnusableCsr(sentence % {"name": beyond[0][:100]})
    missing = [name for name in names if name not in known]
    if is_exact and missing:
        sentence = _("The CSR must hold every domain above; “%(name)s” is missing.")
        raise UnusableCsr(sentence % {"name": shown(missing[0])})


def _comparable(name: str) -> str:
    try:
        return ascii_form(name)
    except UnfitName:
        return name
