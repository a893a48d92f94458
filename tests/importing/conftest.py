"""A folder with the example files in it, and the clock at NOON."""

import shutil
from pathlib import Path

import pytest

from tests.importing.files import EXAMPLES


@pytest.fixture
def folder(tmp_path: Path, frozen: object) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "orders"))
