"""Certificate signing requests as customers make them."""

import base64
import textwrap
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def csr_of(
    names: Sequence[str],
    key: Any = EC_KEY,
    signed_with: hashes.HashAlgorithm | None = hashes.SHA256(),  # noqa: B008 - it has no state
    *,
    common_names: Sequence[str] | None = None,
    others: Sequence[x509.GeneralName] = (),
) -> str:
    """A request for these names; the first one is the common name too, unless others are given."""
    common = names[:1] if common_names is None else common_names
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    alternatives = [*(x509.DNSName(name) for name in names), *others]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, signed_with).public_bytes(Encoding.PEM).decode()


def pem_of(label: str, der: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
