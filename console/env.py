"""Reads settings from environment variables.

A bad value raises ImproperlyConfigured with one sentence that names the variable, its value and what it must be. A
secret's value is never repeated. An empty variable counts as unset.
"""

import os
import re
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail.message import sanitize_address
from django.core.validators import EmailValidator

YES, NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
LONGEST_SHOWN = 80

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
# As Django compares them: without a port, "*" for every host, a leading dot for every subdomain.
_ALLOWED_HOST = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?|\[[0-9A-Fa-f:.]+\]")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def verbatim(name: str) -> str:
    """The value with its spaces, which may belong to a password."""
    return os.environ.get(name, "")


def flag(name: str) -> bool:
    value = text(name)
    if value.lower() not in YES | NO:
        raise bad(name, value, "must be 1 or 0")
    return value.lower() in YES


def words(name: str) -> list[str]:
    """What the variable lists, separated by commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def number(name: str, default: int, *, lowest: int, highest: int) -> int:
    value = text(name, str(default))
    # The length first: Python refuses to convert thousands of digits.
    is_number = value.isascii() and value.isdecimal() and len(value) <= len(str(highest))
    if not (is_number and lowest <= int(value) <= highest):
        raise bad(name, value, f"must be a whole number from {lowest} to {highest}")
    return int(value)


def choice(name: str, default: str, options: Sequence[str]) -> str:
    """One of the options, which are in capitals; the variable may use small letters."""
    value = text(name, default)
    if value.upper() not in options:
        raise bad(name, value, f"must be {', '.join(options[:-1])} or {options[-1]}")
    return value.upper()


def matching(name: str, default: str, pattern: str, must: str) -> str:
    value = text(name, default)
    if not re.fullmatch(pattern, value):
        raise bad(name, value, must)
    return value


def secret(name: str) -> str:
    """A secret from NAME, or from the file that NAME_FILE names."""
    file = text(f"{name}_FILE")
    if not file:
        return text(name)
    return read_file(f"{name}_FILE", file).strip()


def file(name: str) -> str:
    """The path of a text file that can be read; empty where none is named."""
    path = text(name)
    if path:
        read_file(name, path)
    return path


def folder(name: str, default: Path, *, is_written: bool) -> Path:
    """A folder, made if it is missing; `is_written` when the console can't run without writing into it."""
    path = Path(text(name) or default).resolve()
    must = "must be a folder that this console can write to"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad(name, str(path), must) from error
    if is_written and not os.access(path, os.W_OK | os.X_OK):
        raise bad(name, str(path), must)
    return path


def hosts(name: str) -> list[str]:
    """Names that Django compares the Host header with: no scheme, no port."""
    found = words(name)
    for host in found:
        if not _ALLOWED_HOST.fullmatch(host):
            raise bad(name, host, "must list names such as console.example.com, without https:// or a port")
    return found


def host(name: str, default: str) -> str:
    """The name or address of another machine, without a port."""
    value = text(name, default)
    if not _is_host(value):
        raise bad(name, value, "must be a host name or an address, without a port")
    return value


def web_address(
    name: str, default: str = "", *, schemes: Sequence[str] = ("https", "http"), has_path: bool = True
) -> str:
    """A URL without a login or a query; empty where none is set. One that may have no path ends without a slash."""
    value = text(name, default)
    if value and not _is_web_address(value, schemes, has_path=has_path):
        raise bad(name, value, f"must be an address such as {default or schemes[0] + '://name/path'}")
    return value if has_path else value.rstrip("/")


def web_origins(name: str) -> list[str]:
    found = words(name)
    for origin in found:
        if not _is_web_address(origin.replace("://*.", "://", 1), ("https", "http"), has_path=False):
            raise bad(name, origin, "must list origins such as https://console.example.com")
    return [origin.rstrip("/") for origin in found]


def email_address(name: str) -> str:
    value = text(name)
    if value and not _is_email(value):
        raise bad(name, value, "must be an email address such as staff@example.com")
    return value


def sender(name: str, default: str, *, is_public: bool) -> str:
    """An email address, with or without a name before it. One that is public isn't at localhost."""
    value = text(name, default)
    if not value:
        raise ImproperlyConfigured(f"Set {name} to the sender of this console's email, such as console@example.com.")
    address = parseaddr(value)[1]
    if not _is_sender(value, address) or (is_public and address.lower().endswith("@localhost")):
        raise bad(name, value, "must be a sender such as Console <console@example.com>")
    return value


def each(name: str, read: Callable[[str], object], must: str) -> list[str]:
    """What the variable lists; `read` raises ValueError for what it can't use."""
    found = words(name)
    for word in found:
        try:
            read(word)
        except ValueError as error:
            raise bad(name, word, must) from error
    return found


def bad(name: str, value: str, must: str) -> ImproperlyConfigured:
    # The part before an @ may be a password.
    shown = repr(value[:LONGEST_SHOWN]) if "://" not in value or "@" not in value else "an address with a login"
    return ImproperlyConfigured(f"{name} {must}, not {shown}.")


def read_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # What stands there may be a secret that was meant for the file.
        raise ImproperlyConfigured(f"{name} must name a text file that this console can read.") from error


def _is_sender(value: str, address: str) -> bool:
    """Whether the mailer can write it as the only sender."""
    if not value.isprintable() or not _is_email(address):
        return False
    try:
        sanitize_address(value, "utf-8")
    except ValueError:
        return False
    return True


def _is_web_address(value: str, schemes: Sequence[str], *, has_path: bool) -> bool:
    # urlsplit drops line breaks and tabs silently.
    if not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_bare = "@" not in parts.netloc and not parts.query and not parts.fragment
    is_place = is_bare and is_port and _is_host(parts.hostname or "")
    return (
        value.startswith(tuple(f"{scheme}://" for scheme in schemes))
        and is_place
        and (has_path or parts.path in {"", "/"})
    )


def _is_host(value: str) -> bool:
    try:
        return bool(ip_address(value))
    except ValueError:
        return _NAME.fullmatch(value) is not None


def _is_email(value: str) -> bool:
    try:
        EmailValidator()(value)
    except ValidationError:
        return False
    return True
