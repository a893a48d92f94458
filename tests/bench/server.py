"""A gunicorn to measure, and the CPU time that its processes take."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path


@contextmanager
def gunicorn(environment: dict[str, str]) -> Iterator["Server"]:
    """Start one on a free port of loopback, and stop it by its own process id."""
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi"]
    process = subprocess.Popen(command, env={**os.environ, **environment, "PORT": str(port), "WEB_WORKERS": "1"})
    try:
        server = Server(process.pid, port)
        server.wait_until_it_answers()
        yield server
    finally:
        process.terminate()
        process.wait(30)


class Server:
    """One gunicorn with one worker process, asked over one kept connection per cookie."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.get("/healthz", cookie="")
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("gunicorn did not answer within a minute")

    def get(self, path: str, *, cookie: str, times: int = 1) -> bytes:
        """Ask for a page so many times; return the last answer's body. Raises ValueError unless each answers 200."""
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            for _ in range(times):
                connection.request("GET", path, headers={"Cookie": cookie})
                response = connection.getresponse()
                body = response.read()
                if response.status != 200:
                    raise ValueError(f"{path} answered {response.status}")
        finally:
            connection.close()
        return body

    def cpu_per_request(self, path: str, *, cookie: str, times: int) -> float:
        """CPU seconds that the server's processes took for each of so many requests."""
        before = self._cpu_seconds()
        self.get(path, cookie=cookie, times=times)
        return (self._cpu_seconds() - before) / times

    def _cpu_seconds(self) -> float:
        """Time on the CPU of every thread of every process, from the scheduler, to the nanosecond."""
        nanoseconds = 0
        for pid in [self.pid, *_children(self.pid)]:
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
