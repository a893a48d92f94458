"""Make .venv and install the pinned packages into it, unless that is done already.

    python3 -m console.start.environment requirements.txt

Runs before anything is installed, on whatever `python3` there is: standard library only, and a syntax that old
versions still read, so that they can say what is wrong with them.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)
QUIET_PIP = (
    "-qq",
    "--no-input",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
)


class NotReady(Exception):
    """Why it cannot start: one sentence that names the remedy."""


def check_python(version: Any = sys.version_info, executable: str = sys.executable) -> None:
    """Raise NotReady on a Python that is too old for the console."""
    if tuple(version[:2]) < OLDEST:
        found = ".".join(str(part) for part in version[:3])
        raise NotReady(
            f"Python 3.11 or later is needed and {executable} is {found}: install a newer one, or name it, as in "
            "`make run PYTHON=python3.11`."
        )


def check_ensurepip(find: Any = importlib.util.find_spec) -> None:
    """Raise NotReady where Python came without what makes a .venv, as Debian's does."""
    if find("ensurepip") is None or find("venv") is None:
        raise NotReady(
            "This Python comes without ensurepip, which makes .venv: install it (Debian and Ubuntu: "
            "`apt-get install python{}.{}-venv`) and try again.".format(*sys.version_info[:2])
        )


def ensure(requirements: str) -> None:
    """Leave a .venv that holds exactly the pins of the file. At once where it does already; one process at a time."""
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = digest(os.path.join(ROOT, requirements))
        stamp = os.path.join(VENV, "installed-" + requirements)
        if os.path.exists(PYTHON) and read(stamp) == wanted:
            return
        check_ensurepip()
        if os.path.exists(unfinished()) or not has_pip():
            make()
        write(unfinished(), "")
        install(requirements)
        write(stamp, wanted)
        os.remove(unfinished())


def unfinished() -> str:
    """Stands in .venv while it is being changed: where it is found, somebody was stopped in the middle."""
    return os.path.join(VENV, "unfinished")


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def has_pip() -> bool:
    return os.path.exists(PYTHON) and subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def make() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    os.mkdir(VENV)
    write(unfinished(), "")
    if call([sys.executable, "-m", "venv", VENV]) != 0:
        raise NotReady(f"{VENV} could not be made: see above, put that right, and try again.")


def install(requirements: str) -> None:
    say(f"Installing the packages of {requirements} into .venv, which takes a minute ...")
    if call([PYTHON, "-m", "pip", "install", *QUIET_PIP, "-r", os.path.join(ROOT, requirements)]) != 0:
        # It fails before it changes anything.
        os.remove(unfinished())
        raise NotReady(
            f"The packages of {requirements} could not be installed: see pip's words above, check the network, "
            "and try again."
        )


def call(command: Any) -> int:
    """Run to the end; when we must end before that, with everything that the command has started."""
    child = subprocess.Popen(command, start_new_session=True)
    try:
        return child.wait()
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def leave(number: int, _: Any) -> None:
    """An exit by exception, so that pip is stopped with us."""
    sys.exit(128 + number)


def main() -> None:
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        check_python()
        ensure(sys.argv[1])
    except NotReady as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
