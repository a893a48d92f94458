"""Certificates in an import as people have them, from where and in whatever encoding."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from time_machine import Traveller

from certificates.chains import load_chain
from certificates.models import Certificate
from tests.importing.files import EXAMPLES, row, run, write_csv
from tests.lifecycle.inputs import INPUTS

pytestmark = pytest.mark.django_db

EARLY = "2026-10-01T10:00:00+08:00"


@pytest.mark.parametrize(
    "content",
    [
        lambda pem: pem.encode("utf-16"),
        lambda pem: "".join(f"> {line}\r\n" for line in pem.splitlines()).encode(),
        lambda pem: pem.replace("-----", "\u2013" * 5).encode("cp1252"),
    ],
    ids=["PowerShell", "quoted mail", "en dashes"],
)
def test_certificate_is_read_as_people_have_it(folder: Path, content: Callable[[str], bytes]):
    pem = (EXAMPLES / "certificates" / "shop.example.com.pem").read_text()
    (folder / "shop.pem").write_bytes(content(pem))
    imported = run(write_csv(folder / "people.csv", [row(domains="", certificate="shop.pem", paid_at=EARLY)]))
    assert imported.problems == []
    assert _named("shop.example.com").pem == pem


def test_certificate_with_names_in_latin_1_is_imported_in_its_row(tmp_path: Path, time_machine: Traveller):
    time_machine.move_to(datetime(2026, 12, 1, tzinfo=UTC))
    quoted = "".join(f"> {line}\n" for line in INPUTS["upload-t61-latin1-issuer.pem"].splitlines())
    imported = run(write_csv(tmp_path / "orders.csv", [row(domains="", certificate=quoted, paid_at=EARLY)]))
    assert imported.problems == []
    assert len(load_chain(_named("up.example.com").pem)) == 2


def _named(name: str) -> Certificate:
    return Certificate.objects.get(name=name)
