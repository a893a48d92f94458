"""The gate: everything that must hold before a change lands. `make test`, and nothing else, is what CI runs.

Stages run in order; the first that fails ends the run by its name. Pytest on SQLite comes last, so that its closing
line closes the run. Options: --lint (the stages without a database), --shots (the browser tests alone, for their
pictures), --long FOLDER… (the long form of these tests).
"""

import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from chromium import NoChromium, chromium
from pebble import NoPebble, pebble
from postgresql import postgresql

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
MANAGE = [PYTHON, "manage.py"]
# Commands without an own module run as the scripts that stand beside the interpreter.
BESIDE = Path(PYTHON).parent
PYTEST = [PYTHON, "-m", "pytest", "-n", os.environ.get("WORKERS", "2"), "--dist", "loadgroup"]

# Nothing of the caller's own settings may turn a stage green.
OURS = (
    *("DEMO", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "PLAIN_STATIC", "BASE_URL", "BEHIND_PROXY"),
    *("VAR_DIR", "INSTANCE_REGION", "REFUND_POLICY", "CSRF_TRUSTED_ORIGINS", "LOG_LEVEL", "DEFAULT_FROM_EMAIL"),
    *("KEY_ENCRYPTION_KEYS", "CA_URL", "CA_NAME", "ACME_DIRECTORY", "ACME_CONTACT", "ACME_TRUST"),
    *("DNS_SERVERS", "VERIFICATION_PORT", "VERIFICATION_ALLOWS_PRIVATE"),
    *("STRIPE_API_KEY", "STRIPE_API_KEY_FILE", "STRIPE_WEBHOOK_SECRET", "STRIPE_WEBHOOK_SECRET_FILE", "STRIPE_URL"),
    *("ALIPAY_APP_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_PRIVATE_KEY_FILE", "ALIPAY_URL"),
    *("ALIPAY_PUBLIC_KEY", "ALIPAY_PUBLIC_KEY_FILE", "CHANNEL_TIMEOUT"),
    *("PYTEST_ADDOPTS", "HYPOTHESIS_PROFILE"),
)
IN_PRODUCTION = {
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "console.example.com",
    "DEFAULT_FROM_EMAIL": "Console <console@example.com>",
    "KEY_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}
IN_TESTS = {"DJANGO_SETTINGS_MODULE": "tests.settings"}


class Failed(Exception):
    """A stage that does not hold, by its name."""


def lint() -> None:
    run("format", [PYTHON, "-m", "ruff", "format", "--quiet", "--check", "."], hint="make format puts it right")
    run("lint", [PYTHON, "-m", "ruff", "check", "--quiet", "."])
    run("templates", [PYTHON, "-m", "djlint", "--quiet", "--lint", "templates"])
    run("types", [PYTHON, "-m", "mypy", "--no-error-summary"])
    run("imports", [PYTHON, BESIDE / "lint-imports", "--no-logo"], quiet=True)


def everything() -> None:
    lint()
    run("migrations", [*MANAGE, "makemigrations", "--check", "--dry-run"], IN_TESTS, quiet=True)
    run("deploy check", [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"], IN_PRODUCTION, quiet=True)
    pebble()
    on_both(PYTEST, {"CHROMIUM": chromium()})


def long_forms(*folders: str) -> None:
    """What the gate runs a sample of, in full and with other examples each time."""
    on_both([*PYTEST, "-m", "soak or not soak", *folders], {"HYPOTHESIS_PROFILE": "soak"})


def shots() -> None:
    run("pictures", [*PYTEST, "-m", "browser"], {"CHROMIUM": chromium()})


def on_both(command: list[str | Path], environment: dict[str, str]) -> None:
    """The tests of a command on PostgreSQL and, last, on SQLite."""
    say("== PostgreSQL")
    with postgresql() as address:
        run("tests on PostgreSQL", command, {**environment, "DATABASE_URL": address})
    run("tests on SQLite", command, environment)


def run(
    stage: str,
    command: list[str | Path],
    environment: dict[str, str] | None = None,
    *,
    quiet: bool = False,
    hint: str = "",
) -> None:
    """One stage. `quiet` shows its words only when it fails. Raises Failed."""
    say(f"== {stage}")
    began = time.monotonic()
    output = subprocess.PIPE if quiet else None
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment_of(environment or {}),
        stdout=output,
        stderr=subprocess.STDOUT if quiet else None,
    ) as child:
        try:
            words, _ = child.communicate()
        except BaseException:
            child.terminate()
            raise
    if child.returncode != 0:
        if words:
            say(words.decode(errors="replace"))
        raise Failed(f"The stage `{stage}` failed after {time.monotonic() - began:.0f} s{hint and '; ' + hint}.")


def environment_of(stage: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**inherited, "PYTHONUNBUFFERED": "1", **stage}


def say(words: str) -> None:
    sys.stdout.write(words.rstrip("\n") + "\n")
    sys.stdout.flush()


def leave(number: int, _: FrameType | None) -> None:
    """An exit by exception, so that what was started is stopped."""
    sys.exit(128 + number)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, leave)
    try:
        option, *rest = arguments or ["--everything"]
        {"--everything": everything, "--lint": lint, "--shots": shots, "--long": long_forms}[option](*rest)
    except (Failed, NoChromium, NoPebble) as reason:
        say(f"\n{reason}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
