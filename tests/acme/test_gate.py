"""The gate skips nothing: where there is no Pebble it installs one, or fails with what to type."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.acme import pebble as starter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`.ci/pebble.py` for root on a Debian without Pebble, where installing is only noted down."""
    spec = importlib.util.spec_from_file_location("pebble_finder", ROOT / ".ci" / "pebble.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.typed, module.there = [], set()
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}" if name in module.there else None)
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "_is_debian", lambda: True)
    monkeypatch.setattr(module.subprocess, "run", lambda command, **_: module.typed.append(command))
    return module


def test_a_missing_pebble_is_installed(finder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder.subprocess, "run", lambda *_, **__: finder.there.update(finder.NAMES))
    finder.pebble()


def test_pebble_that_is_there_is_taken(finder: ModuleType) -> None:
    finder.there.update(finder.NAMES)
    finder.pebble()
    assert finder.typed == []


def test_the_command_is_named_when_installing_did_not_help(finder: ModuleType) -> None:
    finder.there.add("pebble")
    with pytest.raises(finder.NoPebble, match="apt-get install"):
        finder.pebble()
    assert finder.typed == [finder.FROM_DEBIAN]


@pytest.mark.parametrize(("user", "debian"), [(1000, True), (0, False)])
def test_nobody_but_root_on_debian_installs(
    user: int, debian: bool, finder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder.os, "geteuid", lambda: user)
    monkeypatch.setattr(finder, "_is_debian", lambda: debian)
    with pytest.raises(finder.NoPebble, match="pebble-challtestsrv"):
        finder.pebble()
    assert finder.typed == []


def test_tests_without_pebble_fail_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter.shutil, "which", lambda _: None)
    with pytest.raises(pytest.fail.Exception, match="apt-get install pebble"):
        starter.program("pebble")
