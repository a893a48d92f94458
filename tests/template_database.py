"""A migrated database that every run of the tests copies; `migrate` then finds nothing left to do.

It's named after what the migrations say, so a changed one makes a new template.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
MIGRATED = ("core", "payments", "certificates", "refunds")


@contextmanager
def copied() -> Iterator[None]:
    """For the block, test databases are copies of the template, which the first one leaves behind."""
    plain = connection.creation.create_test_db

    def create(*arguments: Any, **options: Any) -> str:
        with _alone():
            return copy(lambda: plain(*arguments, **options))

    copy = {"sqlite": _on_sqlite, "postgresql": _on_postgresql}[connection.vendor]
    connection.creation.create_test_db = create
    try:
        yield
    finally:
        connection.creation.create_test_db = plain


def _on_sqlite(create: Callable[[], str]) -> str:
    template = settings.VAR_DIR / f"{_name()}.sqlite3"
    plain = connection.creation._create_test_db
    # Left behind by a run that was killed, they'd be read into the new database.
    for leftover in ("-wal", "-shm"):
        Path(f"{connection.creation._get_test_db_name()}{leftover}").unlink(missing_ok=True)

    def copy_template(*arguments: Any, **options: Any) -> str:
        name = plain(*arguments, **options)
        shutil.copyfile(template, name)
        return name

    if template.exists():
        connection.creation._create_test_db = copy_template
        try:
            return create()
        finally:
            connection.creation._create_test_db = plain
    name = create()
    # Under another name until it's whole: whoever is killed here must not leave half a template.
    half = template.with_suffix(".half")
    half.unlink(missing_ok=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(half)])
    half.rename(template)
    return name


def _on_postgresql(create: Callable[[], str]) -> str:
    template, test = _name(), connection.settings_dict["TEST"]
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template])
        exists = cursor.fetchone() is not None
    if exists:
        test["TEMPLATE"] = template
        return create()
    name = create()
    connection.close()
    connection.close_pool()  # else its connections keep PostgreSQL from copying
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{template}" TEMPLATE "{name}"')
    return name


def _name() -> str:
    """The template's name: another one for other migrations, of ours or of a library."""
    files = [path for app in MIGRATED for path in sorted((ROOT / app / "migrations").glob("*.py"))]
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in files:
        digest.update(path.name.encode() + path.read_bytes())
    return f"template_{digest.hexdigest()[:16]}"


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time makes the template, or copies it."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.VAR_DIR / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
