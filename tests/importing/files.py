"""Writes the files that the tests import, and runs the command as a shell would."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management import CommandError, call_command

from certificates.models import Order
from core.models import User

EXAMPLES = Path(__file__).parent / "examples"

# A row that nothing is wrong with: yesterday's purchase of a certificate that nobody has applied for.
ROW: dict[str, Any] = {
    "order_number": "A-1",
    "account": "alice",
    "paid_at": "2026-11-20T10:00:00+08:00",
    "currency": "CNY",
    "list_amount": "1250.00",
    "voucher_amount": "50.00",
    "paid_amount": "1200.00",
    "payments": "alipay:1200.00:ali-1",
    "brand": "DigiCert",
    "level": "DV",
    "domain_type": "single",
    "domains": "shop.example.com",
}


def row(number: int = 1, **fields: Any) -> dict[str, Any]:
    """The row of an order of its own."""
    return {**ROW, "order_number": f"A-{number}", "payments": f"alipay:1200.00:ali-{number}", **fields}


class Run(NamedTuple):
    """What a run of the command left: exit code, standard output, and the lines of standard error."""

    code: int
    out: str
    problems: list[str]


def run(file: Path, *options: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("import_orders", str(file), *options, stdout=out, stderr=err, no_color=True)
    except SystemExit as error:
        code = int(error.code or 0)
    except CommandError as error:
        code = error.returncode
        err.write(str(error))
    return Run(code, out.getvalue().strip(), err.getvalue().splitlines())


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    rows = list(rows)
    header = list(dict.fromkeys(name for given in rows for name in given))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(given) + "\n" for given in rows), encoding="utf-8")
    return path


def refuse(file: Path, *problems: str) -> None:
    """Import a file and see it refused for exactly these problems, and nothing stored."""
    refused = run(file)
    assert refused.problems == list(problems)
    assert refused.code == 1
    assert refused.out.startswith("Nothing was imported: ")
    assert not Order.objects.exists()
    assert not User.objects.exists()
