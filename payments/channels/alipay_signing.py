"""Alipay's signatures: RSA2, which is SHA-256 with RSA (PKCS #1 v1.5).

What is signed are sorted parameters, or a part of an answer as its text stands there.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from django.core.exceptions import ImproperlyConfigured

# Bits; Alipay itself takes no shorter ones for RSA2.
SHORTEST_KEY = 2048

# Amounts stay the text that they came as.
_JSON = json.JSONDecoder(parse_float=str, parse_int=str)
_SPACE = re.compile(r"[ \t\n\r]*")


class Keys:
    """Our private key and Alipay's public one: each as PEM or bare base64, PKCS #1 or PKCS #8 (SPKI).

    Raises ImproperlyConfigured, without repeating them, for keys that are not.
    """

    def __init__(self, private_key: str, public_key: str) -> None:
        self._private = _private_key(private_key)
        self._public = _public_key(public_key)
        if self._public == self._private.public_key():
            raise ImproperlyConfigured("ALIPAY_PUBLIC_KEY is the application's own; the one of Alipay is needed.")

    def sign(self, params: Mapping[str, str]) -> str:
        signature = self._private.sign(signed_content(params), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()

    def has_signed(self, content: bytes, signature: str) -> bool:
        """Whether the signature under the content is Alipay's."""
        try:
            self._public.verify(
                base64.b64decode(signature, validate=True), content, padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def open(self, answer: bytes, node: str) -> dict[str, Any]:
        """The object that stands under `node` in an answer of Alipay's. Raises ValueError where it is not signed so.

        What is signed is its very text, not what it means.
        """
        members = _members(answer.decode("utf-8"))
        signature = _JSON.decode(members.get("sign", '""'))
        text = members.get(node, "")
        # Alipay writes slashes with and without a backslash, and signs them without.
        for signed in (text, text.replace("\\/", "/")):
            if self.has_signed(signed.encode(), str(signature)):
                return dict(_JSON.decode(signed))
        raise ValueError("not signed by Alipay")


def signed_content(params: Mapping[str, str]) -> bytes:
    """What is signed of parameters: sorted by name, as they are before any escaping."""
    return "&".join(f"{name}={value}" for name, value in sorted(params.items())).encode()


def _members(text: str) -> dict[str, str]:
    """The members of a JSON object, each as its own text. Raises ValueError for anything else, and for a name twice."""
    members: dict[str, str] = {}
    at, mark = _after(text, 0, "{")
    while mark != "}":
        # Looked at before it is read: numbers are read as texts too.
        if text[at : at + 1] != '"':
            raise ValueError("a name expected")
        name, at = _JSON.raw_decode(text, at)
        at, _ = _after(text, at, ":")
        _value, end = _JSON.raw_decode(text, at)
        if name in members:
            raise ValueError("a name twice")
        members[name] = text[at:end]
        at, mark = _after(text, end, ",}")
    if text[at:]:
        raise ValueError("more than one object")
    return members


def _after(text: str, at: int, marks: str) -> tuple[int, str]:
    """Where the text goes on after one of these marks, and which it was."""
    at = _space(text, at)
    mark = text[at : at + 1]
    if not mark or mark not in marks:
        raise ValueError(f"{marks!r} expected")
    return _space(text, at + 1), mark


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


# --- Keys --------------------------------------------------------------------------------------


def _private_key(text: str) -> rsa.RSAPrivateKey:
    try:
        if "-----BEGIN" in text:
            key = load_pem_private_key(text.encode(), None)
        else:
            key = load_der_private_key(_bare(text), None)
    except Exception:
        # Whatever it is, it may repeat a part of the key.
        key = None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < SHORTEST_KEY:
        raise ImproperlyConfigured(_unreadable("ALIPAY_PRIVATE_KEY", "private"))
    return key


def _public_key(text: str) -> rsa.RSAPublicKey:
    try:
        key = load_pem_public_key(text.encode()) if "-----BEGIN" in text else load_der_public_key(_bare(text))
    except Exception:
        key = None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SHORTEST_KEY:
        raise ImproperlyConfigured(_unreadable("ALIPAY_PUBLIC_KEY", "public"))
    return key


def _unreadable(setting: str, kind: str) -> str:
    return f"{setting} is no {kind} RSA key of {SHORTEST_KEY} bits or more, in PEM or base64, without a password."


def _bare(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None
