"""The gate skips nothing: where there is no Chromium it installs one, or fails with what to type."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`.ci/chromium.py` on a machine that has no Chromium, where installing is only noted down."""
    spec = importlib.util.spec_from_file_location("chromium", ROOT / ".ci" / "chromium.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    monkeypatch.setattr(module, "playwrights_own", lambda: "/nonexistent/chromium")
    module.typed = []
    monkeypatch.setattr(module.subprocess, "run", lambda command, **_: module.typed.append(command) or _failed())
    return module


def _failed() -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess([], 1)


def test_a_missing_browser_is_installed_and_else_the_command_is_named(finder: ModuleType) -> None:
    with pytest.raises(finder.NoChromium) as refusal:
        finder.chromium()
    assert finder.install_command() in finder.typed
    assert finder.install_command() in str(refusal.value)


@pytest.mark.parametrize(
    ("user", "debian", "command"),
    [(0, True, "apt-get install"), (1000, True, "playwright install"), (0, False, "playwright install")],
)
def test_root_on_debian_takes_its_package_and_everybody_else_playwrights(
    user: int, debian: bool, command: str, finder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder.os, "geteuid", lambda: user)
    monkeypatch.setattr(finder, "_is_debian", lambda: debian)
    assert command in finder.install_command()


def test_a_named_browser_that_does_not_run_is_refused_by_name(
    finder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMIUM", "/nonexistent/chrome")
    with pytest.raises(finder.NoChromium, match="CHROMIUM names /nonexistent/chrome"):
        finder.chromium()


def test_ci_runs_exactly_make_test() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith("#")]
    assert commands == ['cd "$(dirname "$0")/.." && exec make test']


def test_every_long_form_is_run_by_a_make_target() -> None:
    targets = re.findall(r"--long (.+)", (ROOT / "Makefile").read_text())
    tests = [file for file in (ROOT / "tests").rglob("test_*.py") if re.search(r"pytest\.mark\.soak", file.read_text())]
    folders = {str(file.parent.relative_to(ROOT)) for file in tests}
    assert folders
    assert folders <= {folder for target in targets for folder in target.split()}


def test_nothing_of_the_callers_settings_reaches_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    gate = importlib.import_module("gate")
    for name in ("PYTEST_ADDOPTS", "HYPOTHESIS_PROFILE", "DATABASE_URL", "DEMO", "VAR_DIR"):
        monkeypatch.setenv(name, "of the caller")
    assert "of the caller" not in gate.environment_of({}).values()
    assert gate.environment_of({"DATABASE_URL": "of the stage"})["DATABASE_URL"] == "of the stage"
