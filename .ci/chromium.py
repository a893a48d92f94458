"""Find the Chromium that the browser tests drive, or install one. Nothing is skipped where there is none."""

import os
import platform
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FROM_DEBIAN = (
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium"
)
FROM_PLAYWRIGHT = f"{sys.executable} -m playwright install --with-deps chromium"


class NoChromium(Exception):
    """There is none and none could be installed; says what to type."""


def chromium() -> str:
    """The path of a Chromium that runs, installed where there is none. Raises NoChromium."""
    if named := os.environ.get("CHROMIUM"):
        if not _runs(named):
            raise NoChromium(f"CHROMIUM names {named}, which does not run. Correct it, or leave it out.")
        return named
    found = installed()
    if found is None:
        subprocess.run(install_command(), shell=True, check=False, stdout=subprocess.DEVNULL)  # noqa: S602 - a constant
        found = installed()
    if found is None:
        raise NoChromium(f"The browser tests need Chromium. Type: {install_command()} (or set CHROMIUM to its path).")
    return found


def installed() -> str | None:
    """What is on the PATH, else playwright's own; None unless it runs."""
    on_path = next((path for name in NAMES if (path := shutil.which(name)) and _runs(path)), None)
    if on_path is None and _runs(own := playwrights_own()):
        return own
    return on_path


def playwrights_own() -> str:
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def install_command() -> str:
    return FROM_DEBIAN if os.geteuid() == 0 and _is_debian() else FROM_PLAYWRIGHT


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def _runs(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
