"""The secrets that a console on one machine makes for itself, where none are set. Standard library: settings use it."""

import base64
import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path


def secret_key_in(folder: Path) -> str:
    """The secret key kept in the folder, made on the first call: readable by its owner alone, whole or not there."""
    return _kept(folder / "secret_key", lambda: secrets.token_urlsafe(64))


def encryption_keys_in(folder: Path) -> list[str]:
    """KEY_ENCRYPTION_KEYS as kept in the folder, one a line and the newest first; one is made on the first call."""
    return _kept(folder / "encryption_keys", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()).split()


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        _write_once(path, make())
    return path.read_text(encoding="ascii").strip()


def _write_once(path: Path, text: str) -> None:
    """The first of several writers wins; nobody ever reads half of it."""
    # mkstemp makes it with mode 600.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
