"""`make run`, for real: on a free port, with a folder of its own, until TERM."""

import os
import signal
import socket
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


def running_in(folder: Path) -> list[psutil.Process]:
    """Every process that was started with this folder as its VAR_DIR, whatever became of its parent."""
    return [process for process in psutil.process_iter() if _folder_of(process) == str(folder)]


def _folder_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("VAR_DIR")
    except psutil.Error:
        return None


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


def test_when_one_of_the_two_dies_the_other_is_stopped_and_it_is_said(
    console: subprocess.Popen[str], tmp_path: Path
) -> None:
    [worker] = [process for process in running_in(tmp_path) if process.cmdline()[-2:] == ["manage.py", "worker"]]
    worker.kill()
    assert "The worker ended by itself (exit -9), so the console stops." in console.stdout.read()
    assert console.wait(30) == 1
    assert running_in(tmp_path) == []
