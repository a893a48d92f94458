import contextlib
import os
import secrets
import tempfile
from pathlib import Path


def secret_key_in(folder: Path) -> str:
    """The secret key kept in the folder, made on the first call: readable by its owner alone, whole or not there."""
    kept = folder / "secret_key"
    if not kept.exists():
        _write_once(kept, secrets.token_urlsafe(64))
    return kept.read_text(encoding="ascii").strip()


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
