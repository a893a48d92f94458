"""The bank's files by themselves: what is written for it, and what is read of what it sends back."""

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import minor_digits, parse_amount
from payments.channels import Outcome
from payments.channels.bank import (
    ANSWER_COLUMNS,
    COLUMNS,
    LARGEST_ANSWER,
    AnswerLine,
    BatchRow,
    read_answer,
    read_statement,
    write_batch,
)
from payments.channels.bank_lines import BadFile, FileProblem
from payments.payers import Payer
from tests.factories import NOON

DAY = date(2026, 11, 23)
HEADER = ",".join(ANSWER_COLUMNS)
NOT_UNICODE = "is neither UTF-8 nor UTF-16 with a byte order mark: save the file as UTF-8 and import it again"
ROUNDED = (
    "is a number with an exponent, so a spreadsheet has cut its digits off: export it again with this column "
    "formatted as text"
)
GOOD = "RF-1/7,paid,B-1,1200.00,CNY,2026-11-23,"


def row(**fields: object) -> BatchRow:
    given_ = {
        "payout": "RF-20261123-ABCDEFGH/7",
        "payer": Payer("Wei Zhang", "6222020200012345678"),
        "amount": 120_000,
        "currency": "CNY",
        "purpose": "RF-20261123-ABCDEFGH",
    }
    return BatchRow(**{**given_, **fields})


def cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


# --- The file for the bank ---------------------------------------------------------------------


def test_bank_reads_a_header_and_a_line_per_payout() -> None:
    header, line = cells(write_batch("BATCH-000001", DAY, [row()]))
    assert header == list(COLUMNS)
    assert line == [
        "BATCH-000001",
        "1",
        "RF-20261123-ABCDEFGH/7",
        "Wei Zhang",
        "6222020200012345678",
        "1200.00",
        "CNY",
        "2026-11-23",
        "RF-20261123-ABCDEFGH",
    ]


def test_bank_reads_names_whatever_program_it_opens_the_file_with() -> None:
    content = write_batch("BATCH-000001", DAY, [row(payer=Payer("张伟", "12345"))])
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == content.count(b"\n") == 2
    assert "张伟" in content.decode("utf-8-sig")


def test_the_zone_of_the_day_stands_in_the_file_once() -> None:
    content = write_batch("BATCH-000001", DAY, [row(), row()]).decode("utf-8-sig")
    assert content.count("Asia/Shanghai") == 1
    assert COLUMNS[7] == "day (Asia/Shanghai)"


@pytest.mark.parametrize(("currency", "written"), [("CNY", "0.07"), ("JPY", "7"), ("KWD", "0.007")])
def test_amounts_have_their_currencys_digits(currency: str, written: str) -> None:
    assert cells(write_batch("B", DAY, [row(amount=7, currency=currency)]))[1][5] == written


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
@pytest.mark.parametrize("before", ["", " ", "\u3000", "\ufeff"])
def test_no_cell_is_a_formula_for_a_spreadsheet(sign: str, before: str) -> None:
    holder = f"{before}{sign}HYPERLINK(1)"
    assert cells(write_batch("B", DAY, [row(payer=Payer(holder, "12345"))]))[1][3] == f"'{holder}"


ACTIVE = tuple("=+-@\t\r\n＝＋－＠")
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rows = st.builds(
    BatchRow,
    any_text,
    st.builds(Payer, any_text, any_text),
    st.integers(1, 10**12),
    st.sampled_from(["CNY", "JPY", "KWD"]),
    any_text,
)


@given(rows)
def test_whatever_people_wrote_no_cell_begins_like_a_formula_and_all_of_it_is_there(given_row: BatchRow) -> None:
    line = cells(write_batch("BATCH-000001", DAY, [given_row]))[1]
    assert not [cell for cell in line if cell.lstrip(" \u3000\xa0\ufeff").startswith(ACTIVE)]
    texts = [given_row.payout, given_row.payer.holder, given_row.payer.number, given_row.purpose]
    read = [line[2], line[3], line[4], line[8]]
    for text, cell in zip(texts, read, strict=True):
        assert cell in {text, f"'{text}"}


@given(st.lists(rows, max_size=20))
def test_the_file_sums_to_the_cent(given_rows: list[BatchRow]) -> None:
    written = cells(write_batch("BATCH-000001", DAY, given_rows))[1:]
    for currency in ("CNY", "JPY", "KWD"):
        sums = sum(parse_amount(line[5], currency) for line in written if line[6] == currency)
        assert sums == sum(each.amount for each in given_rows if each.currency == currency)
        assert all(len(line[5].partition(".")[2]) == minor_digits(currency) for line in written if line[6] == currency)


# --- Its answer --------------------------------------------------------------------------------


def answer(*lines: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *lines, ""]).encode()


def problems(content: bytes) -> list[tuple[int, str, str]]:
    try:
        _lines, found = read_answer(content)
    except BadFile as error:
        found = error.problems
    return [(problem.line, problem.column, problem.reason) for problem in found]


def test_an_answer_is_read() -> None:
    [line], found = read_answer(answer(GOOD))
    assert found == []
    expected = AnswerLine(2, "RF-1/7", True, "B-1", 120_000, "CNY", DAY, "", GOOD)
    assert line == expected


CHINESE = "RF-1/7,failed,,1200.00,CNY,,账户已注销"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_an_answer_may_be_in_utf_8_or_utf_16_with_any_of_three_delimiters(encoding: str, separator: str) -> None:
    text = f"{HEADER}\n{CHINESE}\n".replace(",", separator)
    [line], found = read_answer(text.encode(encoding))
    assert (line.reason, line.is_paid, found) == ("账户已注销", False, [])


def test_an_answer_in_another_encoding_is_refused_at_the_cell_that_shows_it() -> None:
    assert problems(f"{HEADER}\n{CHINESE}\n".encode("gbk")) == [(2, "reason", NOT_UNICODE)]


@pytest.mark.parametrize(
    "written", ["2026/11/23", "20261123", "'2026-11-23", '="2026-11-23"', "2026-11-23,,", " 2026-11-23"]
)
def test_what_a_spreadsheet_writes_differently_is_read(written: str) -> None:
    day, *blank = written.split(",")
    [line], found = read_answer(answer(GOOD.replace("2026-11-23", day) + "," * len(blank), header=HEADER))
    assert (line.day, found) == (DAY, [])


@pytest.mark.parametrize(("separator", "first"), [(";", ""), ("\t", ""), (";", "sep=;\r\n"), ("\t", "SEP=\t\r\n")])
def test_an_answer_may_have_a_decimal_comma_where_none_separates_its_cells(separator: str, first: str) -> None:
    text = f"{HEADER}\r\n{GOOD}\r\n".replace(",", separator).replace("1200.00", "1200,00")
    [line], found = read_answer((first + text).encode())
    assert (line.amount, line.number, found) == (120_000, 3 if first else 2, [])


@pytest.mark.parametrize("column", ["payout", "reference"])
@pytest.mark.parametrize("number", ["1.23457E+15", "1,23457E+15", "2E+18", "6.2e15"])
def test_an_identifier_that_a_spreadsheet_has_rounded_is_refused(column: str, number: str) -> None:
    cells = {**dict(zip(ANSWER_COLUMNS, GOOD.split(","), strict=True)), column: number}
    assert problems(answer(";".join(cells.values()), header=HEADER.replace(",", ";"))) == [(2, column, ROUNDED)]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("#NAME?", "is a spreadsheet's error value"),
        ("#N/A", "is a spreadsheet's error value"),
        ("#######", "is a spreadsheet's error value"),
        ('"6,222,020"', "is a number with thousands separators"),
    ],
)
def test_a_reference_that_a_spreadsheet_has_lost_is_refused(damaged: str, reason: str) -> None:
    [(_line, column, told)] = problems(answer(GOOD.replace("B-1", damaged)))
    assert (column, told[: len(reason)]) == ("reference", reason)


@pytest.mark.parametrize("column", ["payout", "reference", "payment"])
def test_a_statement_refuses_an_identifier_that_a_spreadsheet_has_rounded(column: str) -> None:
    cells = {"reference": "B-9", "payout": "", "amount": "1.00", "currency": "CNY", "day": "2026-11-23", "payment": ""}
    cells[column] = "1.23457E+15"
    with pytest.raises(BadFile) as caught:
        read_statement(f"{','.join(cells)}\n{','.join(cells.values())}\n".encode())
    assert [(problem.column, problem.reason) for problem in caught.value.problems] == [(column, ROUNDED)]


@pytest.mark.parametrize("reference", ["12E3", "2026E-0012", "E+15", "1234e567"])
def test_an_identifier_that_only_resembles_such_a_number_is_read(reference: str) -> None:
    [line], found = read_answer(answer(GOOD.replace("B-1", reference)))
    assert (line.reference, found) == (reference, [])


def test_columns_may_stand_in_any_order_and_capitals() -> None:
    content = answer(
        "2026-11-23,CNY,1200.00,B-1,PAID,rf-1/7,", header="Day,Currency,Amount,Reference,Result,Payout,Reason"
    )
    [line], _found = read_answer(content)
    assert (line.payout, line.is_paid, line.amount) == ("RF-1/7", True, 120_000)


def test_days_may_be_written_without_dashes_and_blank_lines_are_passed_over() -> None:
    [line], found = read_answer(answer("", GOOD.replace("2026-11-23", "20261123"), ",,,,,,"))
    assert (line.day, line.number, found) == (DAY, 3, [])


def test_cells_of_several_lines_do_not_shift_the_numbers_of_those_after() -> None:
    lines = answer('RF-1/7,failed,,1200.00,CNY,,"closed', 'since May"', "RF-1/8,paid,,1.00,CNY,2026-11-23,")
    assert problems(lines) == [
        (2, "reason", "holds a character that cannot be printed"),
        (4, "reference", "is missing"),
    ]


BAD_LINES = {
    "unknown result": (GOOD.replace("paid", "done"), "result", "must be one of paid, failed, paid_before"),
    "no result": (GOOD.replace("paid", ""), "result", "is missing"),
    "no payout": (GOOD.replace("RF-1/7", ""), "payout", "is missing"),
    "no reference": (GOOD.replace("B-1", ""), "reference", "is missing"),
    "long reference": (GOOD.replace("B-1", "B" * 201), "reference", "is longer than 200 characters"),
    "no amount": (GOOD.replace("1200.00", ""), "amount", "is missing"),
    "no number": (GOOD.replace("1200.00", "1e3"), "amount", "is not an amount, digits or digits.digits"),
    "too many digits": (GOOD.replace("1200.00", "1.001"), "amount", "has more decimal digits than CNY (2)"),
    "too large": (GOOD.replace("1200.00", "9" * 25), "amount", "is too large"),
    "no currency": (GOOD.replace("CNY", ""), "currency", "is missing"),
    "bad currency": (GOOD.replace("CNY", "yuan"), "currency", "is no currency's code"),
    "no day": (GOOD.replace("2026-11-23", ""), "day", "is missing"),
    "bad day": (GOOD.replace("2026-11-23", "2026-02-30"), "day", "is no day, YYYY-MM-DD"),
    "serial day": (
        GOOD.replace("2026-11-23", "46349"),
        "day",
        "is a spreadsheet's serial number instead of a date: export it again with this column formatted as text",
    ),
    "day first": (
        GOOD.replace("2026-11-23", "3/11/2026"),
        "day",
        "doesn't begin with the year, so day and month could be confused: write 2026-11-03",
    ),
    "thousands": (GOOD.replace("1200.00", '"1,200.00"'), "amount", "is not an amount, digits or digits.digits"),
    "week": (GOOD.replace("2026-11-23", "2026-W48-1"), "day", "is no day, YYYY-MM-DD"),
    "far day": (GOOD.replace("2026-11-23", "9999-12-31"), "day", "is not in the years 1970 to 2200"),
    "cells": (GOOD + ",too,many", "", "has 9 cells, the header has 7"),
    "few cells": ("RF-1/7,paid", "", "has 2 cells, the header has 7"),
}


@pytest.mark.parametrize(("line", "column", "reason"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_not_right_is_told_by_line_and_column(line: str, column: str, reason: str) -> None:
    assert problems(answer("", line)) == [(3, column, reason)]
    [problem] = read_answer(answer(line))[1]
    assert problem.text.startswith(line.split(",", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("second", "column"),
    [(GOOD.replace("B-1", "B-2"), "payout"), (GOOD.replace("RF-1/7", "RF-1/8"), "reference")],
)
def test_a_payout_or_reference_that_stands_in_two_lines_is_told(second: str, column: str) -> None:
    assert problems(answer(GOOD, second)) == [(3, column, "is that of line 2 already")]


def test_two_failed_lines_may_lack_a_reference() -> None:
    assert problems(answer("RF-1/7,failed,,1.00,CNY,,", "RF-1/8,failed,,1.00,CNY,,")) == []


BAD_FILES = {
    "empty": (b"", (1, "", "The file is empty.")),
    "header alone": (answer(), (1, "", "The file has no line below its header.")),
    "no text": (b"\xff\xfe\x00", (1, "", NOT_UNICODE)),
    "no mark": (answer(GOOD).decode().encode("utf-16-le"), (1, "", NOT_UNICODE)),
    "other delimiter": (b"sep=|\n", (1, "", "has a sep= line that names neither comma, semicolon nor tab")),
    "no csv": (answer('"RF-1/7'), (2, "", "is not CSV (unexpected end of data); the rest was not read")),
    "too large": (b"x" * (LARGEST_ANSWER + 1), (1, "", "The file is larger than 1 MB.")),
    "too long": (answer(*["RF-1/7,failed,,1.00,CNY,,"] * 5001), (5002, "", "The file has more than 5000 lines.")),
    "no column": (answer(header=HEADER.replace(",reason", "")), (1, "reason", "the column is missing")),
    "unknown column": (answer(header=HEADER + ",holder"), (1, "holder", "is no column of this file")),
    "column twice": (answer(header=HEADER + ",day"), (1, "day", "the column is there twice")),
}


@pytest.mark.parametrize(("content", "problem"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_read_is_told(content: bytes, problem: tuple[int, str, str]) -> None:
    assert problems(content) == [problem]


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + "\n" + text).encode("utf-8", "replace"))
)
def test_whatever_is_uploaded_is_read_or_refused(content: bytes) -> None:
    try:
        lines, found = read_answer(content)
    except BadFile as error:
        found = error.problems
        lines = []
    assert lines or found


def test_a_problem_reads_as_a_sentence() -> None:
    assert str(FileProblem(3, "amount", "is missing")) == "line 3: amount: is missing"
    assert str(FileProblem(3, "", "The file is empty.")) == "line 3: The file is empty."


# --- Its statement -----------------------------------------------------------------------------

STATEMENT = b"reference,payout,amount,currency,day\n"


@pytest.mark.django_db
def test_a_transfer_that_names_no_payout_of_ours_is_read_without_a_key() -> None:
    [refund] = read_statement(STATEMENT + b"B-9,,12.50,CNY,2026-11-23\n")
    assert (refund.reference, refund.outcome, refund.amount, refund.key) == ("B-9", Outcome.PAID, 1250, "")
    assert refund.at is not None
    assert refund.at.isoformat() == "2026-11-23T00:00:00+08:00"
    assert refund.at < NOON


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (",,1.00,CNY,2026-11-23", "line 2: reference: is missing"),
        ("B-1,,x,CNY,2026-11-23", "line 2: amount: is not an amount, digits or digits.digits"),
        ("B-1,,1.00,CNY,tomorrow", "line 2: day: is no day, YYYY-MM-DD"),
        ("B-1,,1.00,CNY", "line 2: has 4 cells, the header has 5"),
        ("B-1,,1,CNY,2026-11-23\nB-1,,1,CNY,2026-11-23", "line 3: reference: is that of line 2 already"),
    ],
)
def test_a_statement_that_is_not_right_names_line_and_column(line: str, told: str) -> None:
    with pytest.raises(BadFile) as caught:
        read_statement(STATEMENT + line.encode())
    assert list(map(str, caught.value.problems)) == [told]
