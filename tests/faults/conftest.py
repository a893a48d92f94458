from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.outside import Outside, open_outside


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with open_outside(tmp_path / "mails") as world:
        yield world
