"""docs/import.md says what is so."""

import re
from pathlib import Path

import pytest

from certificates.importing.reading import COLUMNS, REQUIRED
from certificates.models import Certificate
from tests.importing.files import run

DOCUMENT = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    return re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL)[1]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "orders", "certificates"), [("orders.csv", 2, 3), ("orders.jsonl", 2, 2)])
def test_the_documented_example_can_be_imported(folder: Path, name: str, orders: int, certificates: int):
    (folder / name).write_text(example(name), encoding="utf-8")
    assert run(folder / name) == (0, f"Imported: {certificates} certificates in {orders} orders.", [])
    assert Certificate.objects.count() == certificates


def test_every_column_is_documented_and_none_that_is_not():
    documented = {
        match[1]: bool(match[2]) for match in re.finditer(r"^\| `(\w+)` \| (yes)? ?\|", DOCUMENT, re.MULTILINE)
    }
    assert documented.keys() == COLUMNS
    assert {name for name, is_required in documented.items() if is_required} == set(REQUIRED)
