"""Bring database, static files and demo to where the code is. Does nothing twice; one process at a time."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from django.db import connection

from console.start.environment import say

# Any number does, as long as every console on the same PostgreSQL takes the same one.
ADVISORY_LOCK = 7_402_113


def prepare() -> None:
    with _alone():
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        collect_static()
        if settings.DEMO:
            load_demo_once()


@contextmanager
def _alone() -> Iterator[None]:
    """Two consoles started at once on one folder or one PostgreSQL take turns."""
    with (settings.VAR_DIR / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # Let go with the connection, which `main` closes.
                cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        yield


def collect_static() -> None:
    """Collect only what changed since the last time: running consoles serve the same folder."""
    stamp = settings.VAR_DIR / "static.stamp"
    wanted = _fingerprint_of_sources()
    if settings.STATIC_ROOT.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(wanted)


def _fingerprint_of_sources() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def load_demo_once() -> None:
    """Fill an empty database with the demo; leave one that holds accounts alone, and say so where they are real."""
    if get_user_model().objects.filter(is_demo=False).exists():
        say("The database holds accounts of its own, so the demo was not loaded into it.")
    elif not get_user_model().objects.exists():
        say("Loading the demo ...")
        try:
            call_command("load_demo", verbosity=0)
        except CommandError as refusal:
            say(f"The demo was not loaded: {refusal}")


def demo_accounts() -> list[str]:
    return list(get_user_model().objects.filter(is_demo=True).order_by("id").values_list("username", flat=True))
