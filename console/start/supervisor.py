"""Keeps server and worker running together: when one ends, or when it is asked to stop, both end."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from types import FrameType

from console.start.environment import say

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 20
# Loaded here, since nothing may be loaded between fork and exec.
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class Supervisor:
    def __init__(self) -> None:
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.asked_to_stop = Event()
        for number in STOPPING:
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, _: int, __: FrameType | None) -> None:
        self.asked_to_stop.set()

    def start(self, name: str, command: list[str], *, descriptors: tuple[int, ...] = ()) -> None:
        # In a session of its own, so that Ctrl-C reaches this process alone, and all of it can be stopped as one.
        self.children[name] = subprocess.Popen(
            command,
            pass_fds=descriptors,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads run yet
        )

    def watch(self, meanwhile: Callable[[], None]) -> int:
        """Wait for the end, looking after `meanwhile` now and then. 0 when asked to stop, 1 when a child died."""
        while not self.asked_to_stop.is_set():
            for name, child in self.children.items():
                if child.poll() is not None:
                    say(f"The {name} ended by itself (exit {child.returncode}), so the console stops.")
                    return 1
            meanwhile()
            self.asked_to_stop.wait(SECONDS_BETWEEN_LOOKS)
        return 0

    def stop(self) -> None:
        """End every child and whatever it started; by force what does not end in time."""
        for child in self.children.values():
            with suppress(ProcessLookupError):
                child.terminate()
        for child in self.children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(SECONDS_TO_STOP)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _end_with_parent() -> None:
    """On Linux the kernel ends a child whose parent was killed and could not."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
