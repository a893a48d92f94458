"""Whether a private key is that of a certificate. Pure; nothing of a key is kept, logged or told."""

import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

# An RSA key of 16,384 bits takes 13,000 characters.
LONGEST_KEY = 16 * 1024
_BLOCK = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class UnusableKey(ValueError):
    """A text is no private key, or not the one; the message is a sentence for the customer and holds no secret."""


@sensitive_variables()
def check_key(text: str, certificate: x509.Certificate | None) -> None:
    """Raises UnusableKey unless `text` holds the certificate's private key in PEM; without one, unless it is any."""
    key = _load(_only_block(text))
    if isinstance(key, rsa.RSAPrivateKey) and not _adds_up(key.private_numbers()):
        raise _unreadable()
    if certificate and not is_key_of(key, certificate):
        raise UnusableKey(_("This is not the private key of the certificate: they do not belong together."))


@sensitive_variables()
def is_key_of(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    try:
        return bool(key.public_key() == certificate.public_key())
    except Exception:  # a public key of a kind that is not known here is no key's we could read
        return False


@sensitive_variables()
def _only_block(text: str) -> str:
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        raise UnusableKey(
            _("This is no private key in PEM: it begins with -----BEGIN PRIVATE KEY----- and has an END line.")
        )
    if len(blocks) > 1:
        raise UnusableKey(_("There is more than one private key. Give the certificate's alone."))
    block = blocks[0][0]
    if "ENCRYPTED" in block:
        raise UnusableKey(
            _(
                "This key is protected by a passphrase, so it cannot be compared with the certificate. Take the "
                "passphrase off on your own machine (openssl pkey -in protected.key -out plain.key) and give that one."
            )
        )
    return block


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
