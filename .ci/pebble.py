"""Find the Pebble that the ACME tests talk to, or install it. Nothing is skipped where there is none."""

import os
import platform
import shutil
import subprocess

# The authority, and the DNS and web server that it looks at.
NAMES = ("pebble", "pebble-challtestsrv")
FROM_DEBIAN = (
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends pebble"
)


class NoPebble(Exception):
    """There is none and none could be installed; says what to type."""


def pebble() -> None:
    """Have Pebble on the PATH, installed where there is none. Raises NoPebble."""
    if not is_installed() and os.geteuid() == 0 and _is_debian():
        subprocess.run(FROM_DEBIAN, shell=True, check=False, stdout=subprocess.DEVNULL)  # noqa: S602 - a constant
    if not is_installed():
        raise NoPebble(
            f"The ACME tests need Pebble. Type as root, on Debian: {FROM_DEBIAN} "
            f"(elsewhere: put {' and '.join(NAMES)} of Pebble 2.4 or later on the PATH)."
        )


def is_installed() -> bool:
    return all(shutil.which(name) for name in NAMES)


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False
