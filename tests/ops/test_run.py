"""`make run`, for real: on a free port, with a folder of its own, until TERM."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A console that has just greeted. A user of its own stands in the database, so the demo is not loaded."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DEMO": "1",
        "PLAIN_STATIC": "1",
        "VAR_DIR": str(tmp_path),
        "PORT": str(port),
    }
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    make_account = "from core.models import User; User.objects.create(username='somebody')"
    subprocess.run([*manage, "shell", "--no-imports", "-c", make_account], cwd=ROOT, env=environment, check=True)
    with subprocess.Popen(
        [sys.executable, "-m", "console.start"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            process.greeting = [process.stdout.readline(), process.stdout.readline()]  # type: ignore
            process.port = port  # type: ignore[attr-defined]
            yield process
        finally:
            process.terminate()


def running_in(folder: Path, *ending: str) -> list[psutil.Process]:
    """Every process that was started with this folder as its VAR_DIR, whatever became of its parent.

    `ending` picks those whose command line ends so.
    """
    return [process for process in psutil.process_iter() if _is_of(process, folder, ending)]


def _is_of(process: psutil.Process, folder: Path, ending: tuple[str, ...]) -> bool:
    try:
        words = process.cmdline()
        return process.environ().get("VAR_DIR") == str(folder) and tuple(words[len(words) - len(ending) :]) == ending
    except psutil.Error:
        return False


def test_an_operator_starts_it_reads_where_it_is_and_ends_it_without_a_trace(
    console: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert "the demo was not loaded" in console.greeting[0]
    assert f"http://localhost:{console.port} " in console.greeting[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{console.port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    assert len(running_in(tmp_path)) >= 3
    console.send_signal(signal.SIGTERM)
    assert console.wait(30) == 0
    assert running_in(tmp_path) == []


def test_a_worker_that_died_restarts_and_the_console_goes_on(console: subprocess.Popen[str], tmp_path: Path) -> None:
    [worker] = running_in(tmp_path, "manage.py", "worker")
    with sqlite3.connect(tmp_path / "console.sqlite3") as database:
        # The worker refuses to run without its guards, so the next one dies at once.
        database.execute("DROP TRIGGER guard_core_auditentry_update")
    worker.kill()
    assert console.stdout.readline() == "The worker stopped (signal 9) and restarts in 1 second.\n"
    assert console.stdout.readline() == "The worker stopped (exit code 1) and restarts in 2 seconds.\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{console.port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    console.send_signal(signal.SIGTERM)
    assert console.wait(30) == 0
    assert running_in(tmp_path) == []


def test_when_the_server_dies_the_console_stops_and_says_so(console: subprocess.Popen[str], tmp_path: Path) -> None:
    server = min(running_in(tmp_path, "console.wsgi"), key=lambda process: process.pid)
    server.kill()
    assert "The server stopped (signal 9), so the console stops too." in console.stdout.read()
    assert console.wait(30) == 1
    assert running_in(tmp_path) == []
