"""The worker as a process of its own on the test's database, and what is asked of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

# Seconds: far longer than anything here takes, far shorter than anybody would wait for it.
PATIENCE = 30.0


def database_url() -> str:
    """The address of the test's own database."""
    there = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(there['NAME']))}"
    login = ":".join(quote(there[part], safe="") for part in ("USER", "PASSWORD") if there[part])
    port = f":{there['PORT']}" if there["PORT"] else ""
    return f"postgres://{login}@{quote(there['HOST'], safe='')}{port}/{there['NAME']}"


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a worker with the settings of `tests.faults.settings`; its words come on standard error."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "worker", *arguments],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "PGAPPNAME": "worker",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(worker: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, negative for a signal, and what it said since it was last listened to."""
    try:
        _, words = worker.communicate(timeout=PATIENCE)
    finally:
        worker.kill()
    return worker.returncode, words


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    return end_of(start(*arguments, **environment))


def listen_for(worker: subprocess.Popen[str], words: str) -> list[str]:
    """Read its lines until one holds these words; fails when it ends before."""
    said = []
    for line in worker.stderr or []:
        said.append(line)
        if words in line:
            return said
    raise AssertionError(f"the worker ended without saying {words!r}: {said}")


def wait_until(holds: Callable[[], bool], *, patience: float = PATIENCE, every: float = 0.01) -> None:
    """Wait until it holds; fails when it never does. Only real processes need real time."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < patience, "waited in vain"
        time.sleep(every)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
