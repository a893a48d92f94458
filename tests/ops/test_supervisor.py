"""The supervisor of `make run` restarts a worker that died, at growing pauses. Time is an argument; nobody sleeps."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from console.start import supervisor
from console.start.supervisor import Supervisor


class FakeProcess:
    """A child that runs until a test ends it."""

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        self.returncode = self.returncode or -15

    def wait(self, _timeout: float = 0) -> None:
        assert self.returncode is not None


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """Every process that was started, oldest first."""
    processes: list[FakeProcess] = []

    def popen(*_: Any, **__: Any) -> FakeProcess:
        processes.append(FakeProcess())
        return processes[-1]

    monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
    monkeypatch.setattr(supervisor.os, "killpg", lambda *_: None)
    return processes


@pytest.fixture
def watched(started: list[FakeProcess], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor whose server and worker started at 0."""
    handlers = {number: signal.getsignal(number) for number in supervisor.STOPPING}
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: 0.0)
    watching = Supervisor()
    watching.start("server", ["server"])
    watching.start("worker", ["worker"], is_restarted=True)
    yield watching
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_worker_that_dies_again_and_again_restarts_after_growing_pauses(
    watched: Supervisor, started: list[FakeProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    at, pauses = 0.0, [1, 2, 4, 8, 16, 32, 60, 60]
    for pause in pauses:
        running = len(started)
        started[-1].returncode = -9
        assert watched.look(at)
        assert watched.look(at + pause - 0.1)
        assert len(started) == running
        at += pause
        assert watched.look(at)
        assert len(started) == running + 1
    assert capsys.readouterr().out.splitlines() == [
        f"The worker stopped (signal 9) and restarts in {pause} second{'s' if pause > 1 else ''}." for pause in pauses
    ]


@pytest.mark.parametrize(("ran_for", "pause"), [(59, 4), (60, 1)])
def test_a_worker_that_ran_for_a_minute_restarts_after_the_first_pause_again(
    ran_for: int, pause: int, watched: Supervisor, started: list[FakeProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    for at in (0, 1):
        started[-1].returncode = 1
        watched.look(at)
        watched.look(at + 2)
    started[-1].returncode = 1
    watched.look(3 + ran_for)
    assert capsys.readouterr().out.splitlines()[-1].startswith("The worker stopped (exit code 1)")
    assert watched.children[-1].pause == pause


def test_a_worker_that_ended_without_an_error_restarts_too(watched: Supervisor, started: list[FakeProcess]) -> None:
    started[-1].returncode = 0
    assert watched.look(0)
    assert watched.look(1)
    assert len(started) == 3


def test_a_worker_that_cannot_be_started_is_tried_again(
    watched: Supervisor,
    started: list[FakeProcess],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    started[-1].returncode = -9
    watched.look(0)
    with monkeypatch.context() as machine:
        machine.setattr(supervisor.subprocess, "Popen", refuse)
        assert watched.look(1)
    assert "The worker stopped (Cannot allocate memory) and restarts in 2 seconds." in capsys.readouterr().out
    assert watched.look(3)
    assert len(started) == 3


def test_a_server_that_died_ends_the_console(
    watched: Supervisor, started: list[FakeProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    started[0].returncode = 1
    assert watched.watch(meanwhile=lambda: None) == 1
    assert capsys.readouterr().out == "The server stopped (exit code 1), so the console stops too.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_operator_ends_the_console_during_a_pause_at_once(
    number: signal.Signals, watched: Supervisor, started: list[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(supervisor.time, "sleep", naps.append)
    started[-1].returncode = -9
    assert watched.watch(meanwhile=lambda: signal.raise_signal(number)) == 0
    assert naps == [supervisor.SECONDS_BETWEEN_LOOKS]
    watched.stop()
    assert started[0].returncode == -15
    assert len(started) == 2
