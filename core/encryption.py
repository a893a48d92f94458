"""Secrets at rest: private keys and what else must never stand in the database in the clear.

`KEY_ENCRYPTION_KEYS` holds Fernet keys, the newest first: the first encrypts, all of them decrypt, and
`manage.py rotate_keys` encrypts everything anew with the first.
"""

from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class WrongKey(Exception):
    """None of KEY_ENCRYPTION_KEYS opens a stored secret: its key is missing there, or the stored text was changed.

    These can't be told apart. The message is for staff and holds no secret.
    """

    def __init__(self) -> None:
        super().__init__("None of KEY_ENCRYPTION_KEYS opens it: add the key that it was encrypted with at their end.")


class EncryptedField(models.TextField):
    """Holds what `encrypt` gave, and gives it back as it is: whoever needs the secret says so with `decrypt`."""


def encrypt(secret: bytes) -> str:
    """The secret for an EncryptedField. Raises ImproperlyConfigured without KEY_ENCRYPTION_KEYS."""
    return _keys().encrypt(secret).decode()


def decrypt(token: str) -> bytes:
    """What `encrypt` was given. Raises WrongKey, and ImproperlyConfigured without KEY_ENCRYPTION_KEYS."""
    try:
        return _keys().decrypt(token.encode())
    except InvalidToken:
        raise WrongKey from None


def reencrypt(token: str) -> str:
    """The same secret under the newest key. Raises as `decrypt` does."""
    try:
        return _keys().rotate(token.encode()).decode()
    except InvalidToken:
        raise WrongKey from None


def is_under_newest(token: str) -> bool:
    """Whether the newest key alone opens it, so that the others are not needed for it. Raises as `encrypt` does."""
    newest = _each_key()[0]
    try:
        newest.decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def new_key() -> str:
    """A key for KEY_ENCRYPTION_KEYS."""
    return Fernet.generate_key().decode()


@register()
def check_keys(**_: Any) -> list[CheckMessage]:
    try:
        _each_key()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="core.E003")]
    return []


def _keys() -> MultiFernet:
    return MultiFernet(_each_key())


def _each_key() -> list[Fernet]:
    """The newest first."""
    if not settings.KEY_ENCRYPTION_KEYS:
        raise ImproperlyConfigured(
            "Set KEY_ENCRYPTION_KEYS to a key that `manage.py new_encryption_key` prints: without it no private key "
            "can be kept. Keep a copy of it apart from the database: nothing opens these without it."
        )
    return ciphers(settings.KEY_ENCRYPTION_KEYS)


def ciphers(keys: Sequence[str]) -> list[Fernet]:
    """What encrypts and decrypts with each of the keys. Raises ImproperlyConfigured, without repeating them."""
    try:
        return [Fernet(key) for key in keys]
    except ValueError as error:
        raise ImproperlyConfigured(
            "Each of KEY_ENCRYPTION_KEYS must be 32 random bytes in URL-safe base64, separated by commas: leave it "
            "unset while `manage.py new_encryption_key` prints one."
        ) from error
