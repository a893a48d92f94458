"""A real HTTP server for the fakes of outside channels, and what it can be told to do wrong.

It runs in threads of the test's own process, on loopback, and keeps its books in memory; workers in other processes
reach it over HTTP like anybody. A fake subclasses `FakeChannel` and answers requests in `answer`.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, RLock, Thread
from typing import Any


class Fault(StrEnum):
    """What goes wrong with one request."""

    TIMEOUT_BEFORE = "no answer, and nothing was done"
    TIMEOUT_AFTER = "done, and no answer"
    ERROR_BEFORE = "500, and nothing was done"
    ERROR_AFTER = "done, and 500"
    DROPPED_AFTER = "done, and the connection is cut"
    GARBAGE_AFTER = "done, and the answer makes no sense"
    WRONG_SIGNATURE = "done, and the answer is signed wrongly"  # where answers are signed at all
    LATE = "taken on, and done later"  # pending until `finish_late`


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class FakeChannel:
    """The base of a fake: `answer` acts under `lock`, and minds LATE and WRONG_SIGNATURE itself."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.requests: list[Request] = []
        self.faults: deque[Fault | None] = deque()
        # Which requests faults befall; all by default.
        self.is_faulty: Callable[[Request], bool] = lambda _: True
        self.fault_rate = 0.0
        self.chance = random.Random(1)  # noqa: S311 - chooses faults
        self.random_faults: list[Fault] = [
            Fault.TIMEOUT_BEFORE,
            Fault.TIMEOUT_AFTER,
            Fault.ERROR_BEFORE,
            Fault.ERROR_AFTER,
            Fault.DROPPED_AFTER,
        ]
        # How long each answer takes, seconds.
        self.latency = 0.0
        self.closing = Event()
        self.url = ""

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        raise NotImplementedError

    def serve(self, request: Request) -> Answer | None:
        """The answer, or None where the connection is cut without one."""
        with self.lock:
            self.requests.append(request)
            fault = self._next_fault(request)
            done = None if fault in {Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE} else self.answer(request, fault)
        if self.latency:
            self.closing.wait(self.latency)
        return self._spoilt(done, fault)

    def _next_fault(self, request: Request) -> Fault | None:
        if not self.is_faulty(request):
            return None
        if self.faults:
            return self.faults.popleft()
        if self.fault_rate and self.chance.random() < self.fault_rate:
            return self.chance.choice(self.random_faults)
        return None

    def _spoilt(self, done: Answer | None, fault: Fault | None) -> Answer | None:
        if fault in {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}:
            # The client gives up first; its time limit in tests is far below this.
            self.closing.wait(30)
            return None
        if fault in {Fault.ERROR_BEFORE, Fault.ERROR_AFTER}:
            return Answer(b"Internal Server Error", status=500)
        if fault == Fault.DROPPED_AFTER:
            return None
        if fault == Fault.GARBAGE_AFTER:
            return Answer(b"<html>We are back soon</html>")
        return done

    @contextmanager
    def running(self) -> Iterator[Any]:
        """Serve on a free port of loopback for the block; `url` says where."""
        server = QuietServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            server.shutdown()
            thread.join()
            server.server_close()


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    # All workers at once come in.
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that has given up is what the faults are for."""


def _handler_of(fake: FakeChannel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else each answer waits 40 ms for an acknowledgement that the client delays.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = fake.serve(Request(self.command, self.path, dict(self.headers), body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            """Tests say what they want to know."""

    return Handler
