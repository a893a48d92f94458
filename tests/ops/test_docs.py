"""What the docs name is there."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from core.hooks import Hook

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# A path of this repository in backquotes: a folder, or a file with an ending.
PATH = re.compile(r"`((?:\.ci|console|refunds|certificates|payments|core|templates|static|tests|docs)/[\w./-]*)`")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


def test_every_hook_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    hooks = {hook.setting for hook in Hook.known if hasattr(settings, hook.setting)}
    assert hooks
    assert [setting for setting in sorted(hooks) if f"`{setting}`" not in page] == []
