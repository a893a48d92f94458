"""Files that cannot be read, and how what is wrong is told."""

import os
from pathlib import Path

import pytest

from certificates.importing.running import MOST_PROBLEMS
from certificates.models import Order
from core.csv_files import LONGEST_LINE
from tests.importing.files import ROW, refuse, row, run, write_csv, write_json_lines

pytestmark = pytest.mark.django_db

NOT_UNICODE = "is neither UTF-8 nor UTF-16 with a byte order mark: save the file as UTF-8 and import it again"
PEM = "certificates/shop.example.com.pem"


def test_every_problem_of_every_row_is_told(folder: Path):
    file = write_csv(folder / "bad.csv", [row(level="X", free="?"), row(2, account="bob"), row(3, paid_at="")])
    refuse(
        file,
        "line 2: level: is not one of DV, OV, EV",
        "line 2: free: is not true or false",
        "line 4: paid_at: is missing",
    )
    assert run(file).out == "Nothing was imported: 3 problems in 2 rows."


def test_a_bad_value_hides_no_contradiction_of_others(folder: Path):
    file = write_csv(folder / "bad.csv", [row(level="X", revoked_at="2026-11-19T00:00:00Z", paid_amount="1200.01")])
    refuse(
        file,
        "line 2: level: is not one of DV, OV, EV",
        "line 2: paid_amount: is with the voucher_amount more than the list_amount",
        "line 2: payments: do not sum to the paid_amount",
        "line 2: revoked_at: is before paid_at",
        "line 2: revoked_at: needs issued_at or a certificate: nothing was issued that could be revoked",
    )


def test_what_a_bad_row_would_have_added_is_not_missed(folder: Path):
    file = write_csv(folder / "bad.csv", [row(price="625.00"), row(price="625.00", level="X")])
    refuse(file, "line 3: level: is not one of DV, OV, EV")


def test_only_the_first_problems_are_told_one_by_one(folder: Path):
    file = write_csv(folder / "bad.csv", [row(n, level="X") for n in range(MOST_PROBLEMS + 3)])
    refused = run(file)
    assert len(refused.problems) == MOST_PROBLEMS + 1
    assert refused.problems[-1] == "… and 3 more problems"


def test_lines_are_counted_as_they_stand_in_the_file(folder: Path):
    pem = (folder / PEM).read_text()
    spread = row(certificate=pem, paid_at="2026-11-17T10:00:00+08:00")
    file = write_csv(folder / "quoted.csv", [spread, {**row(2, level="X"), "certificate": ""}])
    refuse(file, f"line {2 + len(pem.strip().splitlines()) + 1}: level: is not one of DV, OV, EV")


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("", ["line 1: header: is missing: the first line names the columns"]),
        ("\n", ["line 1: header: is missing: the first line names the columns"]),
        (
            ",".join([*ROW, "colour", "level"]) + "\n",
            [
                "line 1: header: has the column level 2 times",
                "line 1: header: has an unknown column 'colour'",
            ],
        ),
        (
            ",".join(list(ROW)[2:]) + "\n",
            [
                "line 1: header: has no column order_number",
                "line 1: header: has no column account",
            ],
        ),
        (",".join(ROW) + "\na,b\n", ["line 2: row: has 2 cells, the header has 12"]),
        (
            ",".join(ROW) + "\n" + ",".join([*ROW.values(), "x"]) + "\n",
            ["line 2: row: has 13 cells, the header has 12"],
        ),
        (",".join(ROW) + '\n"A-1,b\n', ["line 2: row: is not CSV (unexpected end of data); the rest was not read"]),
        (",".join(ROW) + '\n"A-1"x,b\n', ["line 2: row: is not CSV (',' expected after '\"'); the rest was not read"]),
        (
            ",".join(ROW) + "\n" + "x" * (LONGEST_LINE + 1),
            ["line 2: row: is longer than 1,000,000 characters; the rest was not read"],
        ),
    ],
)
def test_a_file_that_is_no_such_csv_is_refused(folder: Path, content: str, problems: list[str]):
    file = folder / "bad.csv"
    file.write_text(content)
    refuse(file, *problems)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "row: is not JSON (Expecting property name enclosed in double quotes at character 2)"),
        ("[1]", "row: is not a JSON object"),
        ('{"level": NaN}', "row: is not JSON (NaN)"),
        ('{"level": "DV", "level": "OV"}', "row: has the key 'level' twice"),
        ("[" * 100_000, "row: is not JSON (too deeply nested)"),
    ],
)
def test_a_line_that_is_no_such_json_is_refused(folder: Path, content: str, problem: str):
    file = folder / "bad.jsonl"
    file.write_text("\n" + content + "\n")
    refuse(file, f"line 2: {problem}")


def test_a_key_that_is_not_known_is_refused_beside_all_else(folder: Path):
    file = write_json_lines(folder / "bad.jsonl", [row(colour="red", level="X")])
    refuse(file, "line 1: 'colour': is not a known key", "line 1: level: is not one of DV, OV, EV")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_value_that_is_not_utf_8_is_refused(folder: Path, ending: str):
    write = write_csv if ending == "csv" else write_json_lines
    file = write(folder / f"latin.{ending}", [row(brand="Xyz")])
    file.write_bytes(file.read_bytes().replace(b"Xyz", b"X\xfcz"))
    refuse(file, f"line {2 if ending == 'csv' else 1}: brand: {NOT_UNICODE}")


def test_half_a_character_in_json_is_refused(folder: Path):
    refuse(write_json_lines(folder / "half.jsonl", [row(brand="\ud800")]), f"line 1: brand: {NOT_UNICODE}")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_in_another_encoding_is_refused(folder: Path, ending: str, encoding: str):
    write = write_csv if ending == "csv" else write_json_lines
    file = write(folder / f"other.{ending}", [row()])
    file.write_bytes(file.read_text().encode(encoding))
    refused = run(file)
    assert refused.problems[0] == f"line 1: {'header' if ending == 'csv' else 'row'}: {NOT_UNICODE}"
    assert not Order.objects.exists()


@pytest.mark.parametrize("name", ["orders.txt", "orders", "csv"])
def test_another_ending_is_wrong_usage(folder: Path, name: str):
    refused = run(folder / name)
    assert (refused.code, refused.problems) == (
        2,
        [f"{folder / name}: the name must end in .csv, .jsonl, .ndjson"],
    )


@pytest.mark.parametrize(("name", "reason"), [("no.csv", "No such file or directory"), ("dir.csv", "Is a directory")])
def test_a_file_that_cannot_be_read_is_told(folder: Path, name: str, reason: str):
    os.mkdir(folder / "dir.csv")
    refused = run(folder / name)
    assert (refused.code, refused.problems) == (2, [f"{folder / name}: {reason}"])
