"""Files that a spreadsheet has saved: what it only writes differently is read, what it has damaged is refused."""

import codecs
import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates.models import Certificate, Order
from core.csv_cells import cell_text, cell_texts
from payments.models import BankAccount, Payment
from payments.services import payer_of
from tests.importing.files import ROW, refuse, row, run, write_csv, write_json_lines

pytestmark = pytest.mark.django_db

DAMAGED = Path(__file__).parent / "damaged"
IMPORTED = "Imported: 1 certificate in 1 order."
ROUNDED = (
    "is a number with an exponent, so a spreadsheet has cut its digits off: export it again with this column "
    "formatted as text"
)
SERIAL = "is a spreadsheet's serial number instead of a date: export it again with this column formatted as text"
DAY_FIRST = "doesn't begin with the year, so day and month could be confused: write 2026-11-03"
NOT_QUOTED = "has a payments cell that holds ; and isn't quoted: put it in double quotes, or it becomes several cells"
BANK = {"bank_holder": "Wei Zhang", "bank_account": "6222020200012345678", "payments": "bank:1200.00:B-1"}


def example(folder: Path, name: str) -> Path:
    """A file as a customer sent it."""
    return Path(shutil.copy(DAMAGED / f"import-{name}.csv", folder))


def written(file: Path, *rows: dict[str, Any], delimiter: str = ",", first: str = "", encoding: str = "utf-8") -> Path:
    """A file of rows in another writing."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for given in rows for name in given)), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    file.write_bytes((first + text.getvalue()).encode(encoding))
    return file


# --- Only written differently ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["semicolons-excel-de", "tab-separated", "trailing-blank-columns"])
def test_seller_imports_what_a_spreadsheet_has_saved(folder: Path, name: str):
    assert run(example(folder, name)) == (0, IMPORTED, [])
    assert Payment.objects.get().amount == 120_000


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "le", "be"])
@pytest.mark.parametrize("names_it", [False, True])
def test_seller_may_use_any_of_these_encodings_and_delimiters(
    folder: Path, delimiter: str, encoding: str, *, names_it: bool
):
    marks = {"le": codecs.BOM_UTF16_LE, "be": codecs.BOM_UTF16_BE}
    given = row(account="alice", payments="card:600.00:pi_1;balance:600.00:", brand="Zoë", domains="a.example.com")
    first = f"sep={delimiter}\r\n" if names_it else ""
    file = written(folder / "one.csv", given, delimiter=delimiter, first=first)
    if encoding in marks:
        file.write_bytes(marks[encoding] + file.read_bytes().decode().encode(f"utf-16-{encoding}"))
    else:
        file.write_bytes(file.read_bytes().decode().encode(encoding))
    assert run(file) == (0, IMPORTED, [])
    assert Certificate.objects.get().product.brand == "Zoë"
    assert Payment.objects.count() == 2


def test_json_lines_may_be_in_utf_16(folder: Path):
    file = write_json_lines(folder / "one.jsonl", [row()])
    file.write_bytes(file.read_text().encode("utf-16"))
    assert run(file) == (0, IMPORTED, [])


def test_lines_are_counted_as_they_are_in_the_file_behind_a_sep_line(folder: Path):
    file = written(folder / "one.csv", row(), row(2, level="X"), delimiter=";", first="sep=;\r\n")
    refuse(file, "line 4: level: is not one of DV, OV, EV")


def test_a_header_decides_although_cells_hold_more_of_another_delimiter(folder: Path):
    names = ";".join(f"a{n}.example.com" for n in range(40))
    assert run(written(folder / "one.csv", row(domains=names, domain_type="multi"))).code == 0


@pytest.mark.parametrize("mark", ["'{}", '="{}"'])
def test_a_cell_marked_as_text_is_read_as_that_text(folder: Path, mark: str):
    given = {name: mark.format(value) for name, value in row(**BANK, instance_id="cas-1").items()}
    assert run(written(folder / "one.csv", given)) == (0, IMPORTED, [])
    assert Order.objects.get().number == "A-1"
    assert payer_of(BankAccount.objects.get()).number == BANK["bank_account"]


def test_the_apostrophe_that_begins_a_name_is_part_of_it(folder: Path):
    assert run(written(folder / "one.csv", row(**{**BANK, "bank_holder": "'t Hooft"}))).code == 0
    assert payer_of(BankAccount.objects.get()).holder == "'t Hooft"


def test_what_nobody_can_see_is_not_part_of_a_cell(folder: Path):
    given = {name: f"\ufeff{value}\u200b\u00a0" for name, value in row().items()}
    for file in (written(folder / "one.csv", given), write_json_lines(folder / "one.jsonl", [given])):
        assert run(file).code == 0
    assert Order.objects.get().number == "A-1"


def test_a_day_may_be_written_with_slashes(folder: Path):
    assert run(written(folder / "one.csv", row(paid_at="2026/11/3 10:00:00+08:00"))).code == 0
    assert Order.objects.get().paid_at.isoformat() == "2026-11-03T02:00:00+00:00"


COMMAS = {"list_amount": "1250,00", "voucher_amount": "50,00", "paid_amount": "1200,00", "price": "1250,00"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_amounts_may_have_a_decimal_comma_where_no_comma_separates_cells(folder: Path, delimiter: str):
    given = row(**{**COMMAS, "payments": "card:600,00:pi_1;balance:600,00:"})
    assert run(written(folder / "one.csv", given, delimiter=delimiter)) == (0, IMPORTED, [])
    assert Payment.objects.get(channel="card").amount == 60_000


def test_the_same_order_in_another_writing_is_known_again(folder: Path):
    run(write_csv(folder / "one.csv", [row(price="1250.00")]))
    other = row(**COMMAS, payments="alipay:1200,00:ali-1", paid_at="2026/11/20 10:00:00+08:00")
    again = run(written(folder / "other.csv", other, delimiter=";", first="sep=;\r\n", encoding="utf-16"))
    assert again.out.endswith("1 row known already.")


# --- Damaged -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scientific-merges-two-orders", "scientific-order-number"])
def test_order_number_that_a_spreadsheet_has_rounded_is_refused(folder: Path, name: str):
    problems = [f"line {line}: order_number: {ROUNDED}" for line in ([2, 3] if "two" in name else [2])]
    refuse(example(folder, name), *problems)


@pytest.mark.parametrize("number", ["1.23457E+15", "1,23457E+15", "1E+15", "-1.2e15", "1.23457E-5"])
@pytest.mark.parametrize("column", ["order_number", "account", "instance_id", "bank_account", "payments"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_identifier_that_a_spreadsheet_has_rounded_is_refused(folder: Path, ending: str, column: str, number: str):
    value, have = (f"bank:1200.00:{number}", "have a reference that ") if column == "payments" else (number, "")
    file, rows = folder / f"bad.{ending}", row(**{**BANK, column: value})
    file = written(file, rows, delimiter=";") if ending == "csv" else write_json_lines(file, [rows])
    refuse(file, f"line {2 if ending == 'csv' else 1}: {column}: {have}{ROUNDED}")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("#N/A", "is a spreadsheet's error value instead of what was there: export it again as text, without formulas"),
        ("####", "is a spreadsheet's error value instead of what was there: export it again as text, without formulas"),
        ("6,222,020", "is a number with thousands separators: export it again with this column formatted as text"),
    ],
)
def test_an_order_number_that_a_spreadsheet_has_lost_is_refused(folder: Path, cell: str, reason: str):
    """Two orders with the same error value would become one."""
    refuse(written(folder / "bad.csv", row(order_number=cell)), f"line 2: order_number: {reason}")


@pytest.mark.parametrize("number", ["12E3", "2026E-0012", "1234e567", "#17", "1,17"])
def test_an_order_number_that_only_resembles_such_a_number_is_read(folder: Path, number: str):
    assert run(written(folder / "one.csv", row(order_number=number))).code == 0
    assert Order.objects.get().number == number


@pytest.mark.parametrize("number", ["2e15", "20261117.0", "-5"])
@pytest.mark.parametrize("column", ["order_number", "account", "instance_id", "bank_account"])
def test_a_json_number_that_is_no_row_of_digits_identifies_nothing(folder: Path, column: str, number: str):
    file = write_json_lines(folder / "bad.jsonl", [row(**{**BANK, column: 424_242})])
    file.write_text(file.read_text().replace("424242", number))
    reason = "is a JSON number with a sign, a fraction or an exponent: write it as a string, in quotes"
    refuse(file, f"line 1: {column}: {reason}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("45992", SERIAL),
        ("45992.41667", SERIAL),
        ("3/11/2026", DAY_FIRST),
        ("3-11-26 10:00", DAY_FIRST),
        ("03.11.2026", DAY_FIRST),
    ],
)
@pytest.mark.parametrize("column", ["paid_at", "issued_at"])
def test_a_day_that_a_spreadsheet_has_rewritten_is_refused(folder: Path, column: str, value: str, reason: str):
    refuse(written(folder / "bad.csv", row(**{column: value})), f"line 2: {column}: {reason}")


PLAIN = "is not an amount, digits or digits.digits"
THOUSANDS = "write amounts without thousands separators"


@pytest.mark.parametrize(
    ("delimiter", "value", "currency", "reason"),
    [
        (",", "1,200.00", "CNY", PLAIN),
        (",", "1250,00", "CNY", PLAIN),
        (";", "1.200,00", "CNY", PLAIN),
        (";", "1 200,00", "CNY", PLAIN),
        (";", "1\u202f200,00", "CNY", PLAIN),
        ("\t", "1,200.00", "CNY", PLAIN),
        ("\t", "1,200", "CNY", f"has 3 digits after its comma, and CNY has 2: {THOUSANDS}"),
        (";", "1250,0", "CNY", f"has 1 digits after its comma, and CNY has 2: {THOUSANDS}"),
        ("\t", "1,200", "JPY", f"has 3 digits after its comma, and JPY has 0: {THOUSANDS}"),
        (";", "1250,00", "KWD", f"has 2 digits after its comma, and KWD has 3: {THOUSANDS}"),
        (";", "1.200", "CNY", "has more decimal digits than CNY (2)"),
    ],
)
def test_an_amount_with_another_comma_is_refused(folder: Path, delimiter: str, value: str, currency: str, reason: str):
    amounts = {"list_amount": value, "voucher_amount": "0", "paid_amount": "9", "payments": "card:9:pi_1"}
    file = written(folder / "bad.csv", row(currency=currency, **amounts), delimiter=delimiter)
    refuse(file, f"line 2: list_amount: {reason}")


def test_a_payment_with_a_thousands_separator_is_refused(folder: Path):
    file = written(folder / "bad.csv", row(payments="alipay:1,200:ali-1"), delimiter=";")
    refuse(file, f"line 2: payments: have an amount that has 3 digits after its comma, and CNY has 2: {THOUSANDS}")


@pytest.mark.parametrize("blank", [0, 1, 3])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_payments_cell_that_became_two_is_refused_with_the_reason(folder: Path, blank: int, *, is_last: bool):
    """Whatever blank columns hide it from the number of cells."""
    given = {name: value for name, value in ROW.items() if name != "domains"}
    if is_last:
        given["payments"] = given.pop("payments")
    given["payments"] = "card:600.00:pi_1;bank:600.00:B-1"
    file = folder / "bad.csv"
    file.write_text(";".join(given) + ";" * blank + "\n" + ";".join(given.values()) + "\n")
    refuse(file, f"line 2: row: {NOT_QUOTED}")


def test_another_cell_that_became_two_is_refused_with_the_reason(folder: Path):
    file = folder / "bad.csv"
    file.write_text(";".join(ROW) + "\n" + ";".join({**ROW, "domains": "a.example.com;b.example.com"}.values()) + "\n")
    refuse(file, "line 2: row: has 13 cells, the header has 12: a cell that holds ; must be in double quotes")


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "cp1251", "shift_jis"])
def test_an_encoding_that_does_not_say_which_it_is_is_refused_at_its_cell(folder: Path, encoding: str):
    brand = {"gbk": "张伟", "cp1252": "Zoë", "cp1251": "Зоя", "shift_jis": "テスト"}[encoding]
    reason = "is neither UTF-8 nor UTF-16 with a byte order mark: save the file as UTF-8 and import it again"
    refuse(written(folder / "bad.csv", row(brand=brand), encoding=encoding), f"line 2: brand: {reason}")


def test_a_sep_line_that_names_another_delimiter_is_refused(folder: Path):
    file = written(folder / "bad.csv", row(), delimiter="|", first="sep=|\r\n")
    refuse(file, "line 1: header: has a sep= line that names neither comma, semicolon nor tab")


# --- Cells -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'0012", "0012"),
        ('="0012"', "0012"),
        ('="a ""b"" c"', 'a "b" c'),
        ("'=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("''x", "'x"),
        ("'", ""),
        ('=""', ""),
        ("=1+2", "=1+2"),
        ("'s-Gravenhage", "'s-Gravenhage"),
        ("'t Hooft", "'t Hooft"),
        ("O'Neill", "O'Neill"),
        ("nul\x00bell\x07", "nul\x00bell\x07"),
        (" a\r\nb ", "a\nb"),
    ],
)
def test_a_cell_says(cell: str, text: str):
    assert cell_text(cell) == text


@given(st.lists(st.text(st.sampled_from("ab12='\"\n\x00\u200b\u3000é "), max_size=8), max_size=5))
def test_a_row_is_its_cells(cells: list[str]):
    assert cell_texts(cells) == [cell_text(cell) for cell in cells]
