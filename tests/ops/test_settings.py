"""The settings come from the environment, refuse what is unsafe, and stand in README."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAFE = {"SECRET_KEY": "long-and-random-" * 5, "ALLOWED_HOSTS": "console.example.com"}


def start(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of their own, with this environment and no other."""
    return subprocess.run(
        [sys.executable, "manage.py", "diffsettings"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_it_refuses_to_start_outside_the_demo_without(missing: str, tmp_path: Path) -> None:
    ended = start(tmp_path, **{**SAFE, missing: ""})
    assert ended.returncode != 0
    assert ended.stderr.startswith(f"Set {missing} to ")
    assert "Traceback" not in ended.stderr


def test_outside_the_demo_it_is_closed_and_speaks_https(tmp_path: Path) -> None:
    ended = start(tmp_path, **SAFE)
    assert ended.returncode == 0, ended.stderr
    for line in ("SESSION_COOKIE_SECURE = True", "CSRF_COOKIE_SECURE = True", "SECURE_SSL_REDIRECT = True"):
        assert line in ended.stdout
    assert "DEBUG = True" not in ended.stdout


def test_the_demo_is_never_in_debug(tmp_path: Path) -> None:
    assert "DEBUG = True" not in start(tmp_path, DEMO="1", DEBUG="1").stdout


@pytest.mark.parametrize("address", ["nonsense", "mysql://host/name", "postgres://me:hush@host:port/name", "sqlite://"])
def test_a_malformed_database_address_is_refused_without_repeating_it(address: str, tmp_path: Path) -> None:
    ended = start(tmp_path, DEMO="1", DATABASE_URL=address)
    assert ended.returncode != 0
    assert ended.stderr.startswith("DATABASE_URL must read sqlite:///path or postgres://")
    assert "hush" not in ended.stderr


def test_a_folder_with_odd_characters_holds_the_database(tmp_path: Path) -> None:
    odd = tmp_path / "what #1 is 100%?"
    assert str(odd / "console.sqlite3") in start(odd, DEMO="1").stdout


def names_read(path: str) -> set[str]:
    """Every environment variable that the file asks for: os.environ, and the helpers that wrap it."""
    wrappers = {"_flag", "_words", "_number", "_secret"}
    return {
        call.args[0].value
        for call in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(call, ast.Call)
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and (ast.unparse(call.func) in wrappers | {"os.environ.get", "os.environ.setdefault"})
        and isinstance(call.args[0].value, str)
    }


def test_readme_lists_every_setting_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    read = names_read("console/settings.py") | names_read("console/gunicorn.py")
    assert listed == read | {"PYTHON"}


def test_behind_a_proxy_it_believes_the_proxy_and_else_nobody(tmp_path: Path) -> None:
    behind = start(tmp_path, **SAFE, BEHIND_PROXY="1").stdout
    assert "ALLAUTH_TRUSTED_PROXY_COUNT = 1" in behind
    assert "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')" in behind
    assert "ALLAUTH_TRUSTED_PROXY_COUNT" not in start(tmp_path, **SAFE).stdout
