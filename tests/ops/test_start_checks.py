"""What `make run` says when the machine is not ready: one sentence each, that names the remedy."""

import socket
import sys
from pathlib import Path

import pytest
from django.db import connection

from console.start import environment
from console.start.checks import check_database, listen_on
from console.start.environment import NotReady, check_ensurepip, check_python
from console.start.secret_key import secret_key_in


def test_an_old_python_is_told_what_to_type() -> None:
    with pytest.raises(NotReady, match=r"3\.11 or later is needed and /usr/bin/python3 is 3\.9\.2.*make run PYTHON="):
        check_python((3, 9, 2), "/usr/bin/python3")


def test_the_oldest_python_that_will_do_passes() -> None:
    check_python((3, 11, 0))


@pytest.mark.parametrize("missing", ["ensurepip", "venv"])
def test_a_python_without_ensurepip_is_told_which_package_brings_it(missing: str) -> None:
    with pytest.raises(NotReady, match=r"apt-get install python3.*-venv"):
        check_ensurepip(find=lambda name: None if name == missing else object())


def test_an_environment_that_holds_the_pins_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VENV", str(tmp_path))
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    monkeypatch.setattr(environment, "has_pip", lambda: True)
    monkeypatch.setattr(environment, "install", lambda _: pytest.fail("installed again"))
    stamp = tmp_path / "installed-requirements.txt"
    stamp.write_text(environment.digest(f"{environment.ROOT}/requirements.txt"))
    environment.ensure("requirements.txt")


def test_changed_pins_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(environment, "VENV", str(tmp_path))
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    monkeypatch.setattr(environment, "has_pip", lambda: True)
    monkeypatch.setattr(environment, "install", installed.append)
    (tmp_path / "installed-requirements.txt").write_text("other pins")
    environment.ensure("requirements.txt")
    assert installed == ["requirements.txt"]


def test_an_environment_whose_making_was_broken_off_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(environment, "VENV", str(tmp_path))
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    monkeypatch.setattr(environment, "has_pip", lambda: True)
    monkeypatch.setattr(environment, "make", lambda: done.append("made"))
    monkeypatch.setattr(environment, "install", lambda _: done.append("installed") or sys.exit(143))
    for _ in range(2):
        with pytest.raises(SystemExit):
            environment.ensure("requirements.txt")
    assert done == ["installed", "made", "installed"]


def test_a_busy_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NotReady, match=f"Port {port} is busy.*make run PORT={port + 1}"):
            listen_on(port)


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NotReady, match="There is no port 99999"):
        listen_on(99_999)


def test_a_free_port_is_held_on_loopback_only() -> None:
    with listen_on(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_postgresql_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        monkeypatch.setattr(type(connection._connections["default"]), "vendor", "postgresql")  # type: ignore[attr-defined]
    monkeypatch.setattr(
        connection,
        "get_connection_params",
        lambda: {"host": "127.0.0.1", "port": 1, "user": "console", "password": "hush", "dbname": "books"},
    )
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    with pytest.raises(NotReady, match=r"cannot be reached.*make run DATABASE_URL=") as refusal:
        check_database()
    assert "hush" not in str(refusal.value)


def test_the_secret_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = secret_key_in(tmp_path)
    assert len(key) >= 50
    assert secret_key_in(tmp_path) == key
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_of_two_that_make_the_secret_key_at_once_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.start.secret_key.secrets.token_urlsafe", lambda _: _made_by_another(tmp_path))
    assert secret_key_in(tmp_path) == "the other's"


def _made_by_another(folder: Path) -> str:
    (folder / "secret_key").write_text("the other's")
    return "mine"
