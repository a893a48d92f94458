"""The settings come from the environment, refuse what is unsafe, and stand in README."""

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "SECRET_KEY": "long-and-random-" * 5,
    "ALLOWED_HOSTS": "console.example.com",
    "DEFAULT_FROM_EMAIL": "Console <console@example.com>",
}


def start(tmp_path: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, which prints the settings unless told otherwise, with this environment and no other."""
    return subprocess.run(
        [sys.executable, *(command or ["manage.py", "diffsettings"])],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "DEFAULT_FROM_EMAIL"])
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


# --- Bad values ----------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads the settings with an environment and no other."""

    def settings(**environment: str) -> dict[str, Any]:
        for name in [*os.environ]:
            monkeypatch.delenv(name)
        for name, value in {"VAR_DIR": str(tmp_path), **environment}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "console/settings.py"))

    return settings


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        ("DEMO", "ture", "must be 1 or 0"),
        ("DEBUG", "2", "must be 1 or 0"),
        ("BEHIND_PROXY", "nginx", "must be 1 or 0"),
        ("PLAIN_STATIC", "-", "must be 1 or 0"),
        ("VERIFICATION_ALLOWS_PRIVATE", "all", "must be 1 or 0"),
        ("EMAIL_USE_TLS", "starttls", "must be 1 or 0"),
        ("ALLOWED_HOSTS", "https://console.example.com", "must list names such as console.example.com"),
        ("ALLOWED_HOSTS", "console.example.com:8000", "must list names such as console.example.com"),
        ("VAR_DIR", "/dev/null/var", "must be a folder that this console can write to"),
        ("PORT", "http", "must be a whole number from 1 to 65535"),
        ("PORT", "0", "must be a whole number from 1 to 65535"),
        ("PORT", "65536", "must be a whole number from 1 to 65535"),
        ("PORT", "1" * 5000, "must be a whole number from 1 to 65535"),
        ("WEB_WORKERS", "two", "must be a whole number from 1 to 256"),
        ("WEB_WORKERS", "0", "must be a whole number from 1 to 256"),
        ("CHANNEL_TIMEOUT", "26", "must be a whole number from 1 to 25"),
        ("CHANNEL_TIMEOUT", "2.5", "must be a whole number from 1 to 25"),
        ("VERIFICATION_PORT", "-1", "must be a whole number from 1 to 65535"),
        ("EMAIL_PORT", "smtp", "must be a whole number from 1 to 65535"),
        ("EMAIL_HOST", "smtp://mail.example.com", "must be a host name or an address, without a port"),
        ("EMAIL_HOST", "mail.example.com:587", "must be a host name or an address, without a port"),
        ("CSRF_TRUSTED_ORIGINS", "console.example.com", "must list origins such as https://console.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://console.example.com/page", "must list origins such as https://console"),
        ("INSTANCE_REGION", "SG 1", "must be 1 to 20 small letters, digits or hyphens"),
        ("CA_URL", "console.example.com", "must be an address such as http://"),
        ("ACME_DIRECTORY", "acme.example.com", "must be an address such as https://"),
        ("ACME_CONTACT", "nobody", "must be an email address such as staff@example.com"),
        ("DNS_SERVERS", "dns.example.com", "must list addresses such as 192.0.2.53"),
        ("DNS_SERVERS", "192.0.2.53:99999", "must list addresses such as 192.0.2.53"),
        ("STRIPE_URL", "api.stripe.com", "must be an address such as https://api.stripe.com"),
        ("ALIPAY_URL", "ftp://openapi.alipay.com/gateway.do", "must be an address such as https://openapi.alipay.com/"),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("BASE_URL", "ftp://console.example.com", "must be an address such as https://console.example.com"),
        ("BASE_URL", "http://console.example.com", "must be an address such as https://console.example.com"),
        ("BASE_URL", "console.example.com", "must be an address such as https://console.example.com"),
        ("BASE_URL", "https://console.example.com/console", "must be an address such as https://console.example.com"),
        ("BASE_URL", "https://console.example.com:port", "must be an address such as https://console.example.com"),
        ("BASE_URL", "https://", "must be an address such as https://console.example.com"),
        ("DEFAULT_FROM_EMAIL", "nonsense", "must be a sender such as Console <console@example.com>"),
        ("DEFAULT_FROM_EMAIL", "console@localhost", "must be a sender such as Console <console@example.com>"),
        ("DEFAULT_FROM_EMAIL", "Console <console@localhost>", "must be a sender such as"),
        ("DEFAULT_FROM_EMAIL", "a@example.com, b@example.com", "must be a sender such as"),
        ("DEFAULT_FROM_EMAIL", "Console <>", "must be a sender such as Console <console@example.com>"),
        ("DEFAULT_FROM_EMAIL", "käse@example.com", "must be a sender such as Console <console@example.com>"),
        ("DEFAULT_FROM_EMAIL", "c@example.com\nBcc: d@example.com", "must be a sender such as"),
    ],
)
def test_an_operator_reads_in_one_sentence_which_setting_is_wrong(name: str, value: str, must: str, read: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(**{**SAFE, name: value})
    sentence = str(refusal.value)
    assert sentence.startswith(f"{name} {must}")
    assert sentence.endswith(f", not {value[:80]!r}.")


@pytest.mark.parametrize("name", ["ACME_TRUST", "STRIPE_API_KEY_FILE"])
def test_a_key_put_where_its_file_belongs_is_not_repeated(name: str, read: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(**{**SAFE, name: "sk_live_secret"})
    assert str(refusal.value) == f"{name} must name a text file that this console can read."


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEMO", "no", False),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("ALLOWED_HOSTS", ".example.com, [::1], *", [".example.com", "[::1]", "*"]),
        ("BASE_URL", "https://console.example.com:8443/", "https://console.example.com:8443"),
        ("DEFAULT_FROM_EMAIL", "证书 <console@example.com>", "证书 <console@example.com>"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com", ["https://*.example.com"]),
        ("EMAIL_HOST", "2001:db8::25", "2001:db8::25"),
        ("DNS_SERVERS", "192.0.2.53, [2001:db8::1]:5353", ["192.0.2.53", "[2001:db8::1]:5353"]),
        ("PORT", "", 8000),
    ],
)
def test_a_good_value_is_taken(name: str, value: str, expected: object, read: Any) -> None:
    settings = read(**{**SAFE, "BASE_URL": "https://console.example.com", name: value})
    assert settings[name] == expected


def test_the_demo_takes_plain_http_and_the_default_sender(read: Any) -> None:
    settings = read(DEMO="1", BASE_URL="http://127.0.0.1:8001")
    assert (settings["BASE_URL"], settings["DEFAULT_FROM_EMAIL"]) == ("http://127.0.0.1:8001", "console@localhost")


@pytest.mark.parametrize("value", ["nonsense", "ftp://localhost"])
def test_the_demo_refuses_nonsense_too(value: str, read: Any) -> None:
    for name in ("DEFAULT_FROM_EMAIL", "BASE_URL"):
        with pytest.raises(ImproperlyConfigured, match=f"^{name} must be "):
            read(DEMO="1", **{name: value})


@pytest.mark.parametrize("host", ["*", ".example.com"])
def test_where_the_first_allowed_host_is_not_one_name_base_url_is_needed(host: str, read: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^Set BASE_URL to what links in emails begin with"):
        read(**{**SAFE, "ALLOWED_HOSTS": host})
    assert read(**{**SAFE, "ALLOWED_HOSTS": host, "BASE_URL": "https://console.example.com"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEY_ENCRYPTION_KEYS", "hush"),
        ("BASE_URL", "https://me:hush@console.example.com"),
        ("ALIPAY_URL", "https://me:hush@gateway.example.com/gateway.do"),
        ("DATABASE_URL", "mysql://me:hush@host/name"),
    ],
)
def test_a_refusal_never_repeats_a_secret(name: str, value: str, read: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as refusal:
        read(**{**SAFE, name: value})
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "check"],
        ["manage.py", "worker"],
        ["-m", "console.start"],
        ["-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi"],
    ],
    ids=["manage.py", "worker", "make run", "gunicorn"],
)
@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "LOUD"), ("ALIPAY_PRIVATE_KEY", "hush")])
def test_every_command_refuses_a_bad_setting_without_a_traceback(
    command: list[str], name: str, value: str, tmp_path: Path
) -> None:
    alipay = {"ALIPAY_APP_ID": "2021", "ALIPAY_PRIVATE_KEY": "k", "ALIPAY_PUBLIC_KEY": "k"}
    ended = start(tmp_path, *command, **{**SAFE, **(alipay if name in alipay else {}), name: value})
    assert ended.returncode != 0
    assert ended.stderr.strip().removeprefix("Error: ").startswith(f"{name} ")
    assert ended.stderr.strip().count("\n") == 0
    assert "hush" not in ended.stderr


@pytest.mark.parametrize(
    "command", [["manage.py", "load_demo"], ["-m", "console.start"]], ids=["manage.py", "make run"]
)
def test_a_demo_with_a_live_key_does_not_start(command: list[str], tmp_path: Path) -> None:
    ended = start(tmp_path, *command, DEMO="1", STRIPE_API_KEY="sk_live_hush")
    assert ended.returncode != 0
    assert ended.stderr.startswith(
        "The demo never pays with a live key: set STRIPE_API_KEY to one that begins with sk_"
    )
    assert ended.stderr.strip().count("\n") == 0


def test_gunicorn_refuses_an_address_that_is_none(tmp_path: Path) -> None:
    gunicorn = ["-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi"]
    for value in ("127.0.0.1:port", "127.0.0.1:99999"):
        ended = start(tmp_path, *gunicorn, **SAFE, BIND=value)
        assert ended.returncode != 0
        assert ended.stderr.strip() == f"Error: BIND must be address:port or unix:path, not '{value}'."


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
    return {
        call.args[0].value
        for call in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(call, ast.Call)
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and re.fullmatch(r"env\.\w+|os\.environ\.get", ast.unparse(call.func))
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
