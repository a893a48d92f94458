"""Whether a private key is that of a certificate. Pure; nothing of a key is kept, logged or told."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from certificates import foreign, pem

# An RSA key of 16,384 bits takes 13,000 characters.
LONGEST_KEY = 16 * 1024


class UnusableKey(ValueError):
    """A text is no private key, or not the one; the message is a sentence for the customer and holds no secret."""


@sensitive_variables()
def check_key(text: str, certificate: x509.Certificate | None) -> None:
    """Raises UnusableKey unless `text` holds the certificate's private key in PEM; without one, unless it is any."""
    key = _load(_pem_of(text))
    if isinstance(key, rsa.RSAPrivateKey) and not _adds_up(key.private_numbers()):
        raise _unreadable()
    if certificate and foreign.key_of(certificate) is None:
        raise UnusableKey(
            _("The certificate's public key is of a kind that isn't known here, so no private key can be compared.")
        )
    if certificate and not is_key_of(key, certificate):
        raise UnusableKey(_("This is not the private key of the certificate: they do not belong together."))


@sensitive_variables()
def is_key_of(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    try:
        return bool(key.public_key() == foreign.key_of(certificate))
    except Exception:  # a key of a kind that has no public half here
        return False


@sensitive_variables()
def _pem_of(text: str) -> str:
    """The one private key in a text, in clean PEM."""
    try:
        block = _only_key(pem.blocks_of(text))
        # OpenSSH's is no DER.
        octets = block.octets() if block.label.startswith("OPENSSH") else block.der()
    except pem.BadPem as bad:
        raise UnusableKey(bad.sentence) from None
    return pem.armor(block.label, octets)


@sensitive_variables()
def _only_key(blocks: list[pem.Block]) -> pem.Block:
    keys = [each for each in blocks if each.kind == pem.Kind.PRIVATE_KEY]
    if not keys:
        raise UnusableKey(_instead_of_a_key(blocks))
    if len(keys) > 1:
        raise UnusableKey(_("There is more than one private key. Give the certificate's alone."))
    if "ENCRYPTED" in keys[0].label or any("ENCRYPTED" in header for header in keys[0].headers):
        raise UnusableKey(
            _(
                "This key is protected by a passphrase, so it cannot be compared with the certificate. Take the "
                "passphrase off on your own machine (openssl pkey -in protected.key -out plain.key) and give that one."
            )
        )
    return keys[0]


def _instead_of_a_key(blocks: list[pem.Block]) -> str:
    sentences = {
        pem.Kind.CERTIFICATE: _("This is a certificate. Give its private key, which begins with BEGIN PRIVATE KEY."),
        pem.Kind.REQUEST: _("This is a certificate signing request. Give the private key that it was made with."),
        pem.Kind.PUBLIC_KEY: _("This is a public key. Give the private key that belongs to it."),
    }
    other = _("This isn't a PEM-encoded private key, which begins with -----BEGIN PRIVATE KEY-----.")
    return sentences.get(blocks[0].kind, other) if blocks else other


@sensitive_variables()
def _load(block: str) -> PrivateKeyTypes:
    try:
        # Proving that a crafted key's huge numbers are prime could take hours: `_adds_up` asks what matters.
        return load_pem_private_key(block.encode(), None, unsafe_skip_rsa_key_validation=True)
    except Exception:  # many kinds for what is malformed or unknown; without its cause, which may cite the text
        raise _unreadable() from None


@sensitive_variables()
def _adds_up(numbers: rsa.RSAPrivateNumbers) -> bool:
    """Whether the private numbers undo the public ones, whatever their size: arithmetic only."""
    p, q, exponent = numbers.p, numbers.q, numbers.d * numbers.public_numbers.e
    if min(p, q) <= 1 or p * q != numbers.public_numbers.n:
        return False
    return exponent % (p - 1) == 1 and exponent % (q - 1) == 1


def _unreadable() -> UnusableKey:
    return UnusableKey(_("This private key is damaged, or of a kind that is not known here. Copy it again, whole."))
