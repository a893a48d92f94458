"""Keeps server and worker running together until it is asked to stop; a worker that died is started again."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from console.start.environment import say

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 20
# The pause before a restart doubles from the first to the longest.
FIRST_PAUSE = 1
LONGEST_PAUSE = 60
# A child that ran this long was healthy, so its next restart begins with the first pause again.
SECONDS_TO_COUNT_AS_HEALTHY = 60
# Loaded here, since nothing may be loaded between fork and exec.
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One command that is kept running. Times are seconds of the monotonic clock."""

    name: str
    command: list[str]
    descriptors: tuple[int, ...]
    is_restarted: bool
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0
    pause: int = 0
    due_at: float = 0

    def run(self, at: float) -> None:
        """Raises OSError when the machine can't start another process."""
        self.started_at = at
        # In a session of its own, so that Ctrl-C reaches this process alone, and all of it can be stopped as one.
        self.process = subprocess.Popen(
            self.command,
            pass_fds=self.descriptors,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process runs no threads
        )

    def wait_for_restart(self, at: float) -> None:
        was_healthy = at - self.started_at >= SECONDS_TO_COUNT_AS_HEALTHY
        self.pause = FIRST_PAUSE if was_healthy or not self.pause else min(2 * self.pause, LONGEST_PAUSE)
        self.due_at = at + self.pause
        self.process = None


class Supervisor:
    def __init__(self) -> None:
        self.children: list[Child] = []
        self.is_asked_to_stop = False
        for number in STOPPING:
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, _: int, __: FrameType | None) -> None:
        # A plain attribute: the lock of an Event might be held by the very code that the signal interrupted.
        self.is_asked_to_stop = True

    def start(
        self, name: str, command: list[str], *, descriptors: tuple[int, ...] = (), is_restarted: bool = False
    ) -> None:
        """Start a child. When one that isn't restarted ends, `watch` ends too."""
        child = Child(name, command, descriptors, is_restarted)
        child.run(time.monotonic())
        self.children.append(child)

    def watch(self, meanwhile: Callable[[], None]) -> int:
        """Keep the children running and call `meanwhile` between looks.

        Returns 0 when asked to stop, 1 when a child that isn't restarted ended.
        """
        while not self.is_asked_to_stop:
            if not self.look(time.monotonic()):
                return 1
            meanwhile()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return 0

    def look(self, at: float) -> bool:
        """Restart what is due at `at`, and say what ended; False when the console can't go on."""
        return all(self._look_after(child, at) for child in self.children)

    def _look_after(self, child: Child, at: float) -> bool:
        if child.process is None:
            if at >= child.due_at:
                self._restart(child, at)
            return True
        code = child.process.poll()
        if code is None:
            return True
        _end_group(child.process)
        reason = f"exit code {code}" if code >= 0 else f"signal {-code}"
        if not child.is_restarted:
            say(f"The {child.name} stopped ({reason}), so the console stops too.")
            return False
        self._pause(child, reason, at)
        return True

    def _restart(self, child: Child, at: float) -> None:
        try:
            child.run(at)
        except OSError as error:
            self._pause(child, error.strerror or str(error), at)

    def _pause(self, child: Child, reason: str, at: float) -> None:
        child.wait_for_restart(at)
        seconds = "1 second" if child.pause == 1 else f"{child.pause} seconds"
        say(f"The {child.name} stopped ({reason}) and restarts in {seconds}.")

    def stop(self) -> None:
        """End every child and whatever it started; by force what does not end in time."""
        running = [child.process for child in self.children if child.process]
        for process in running:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_STOP)
            _end_group(process)
            process.wait()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a child and of the processes that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_parent() -> None:
    """On Linux the kernel ends a child whose parent was killed and could not."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
