"""Alipay's daily bill of trades: a zip with the details as CSV in GBK, and a summary beside it.

Comment lines stand above and below the table, numbers end with a tab, and refunds have negative amounts.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from core.money import parse_amount
from payments.channels.alipay_gateway import read_time

# Bytes of all files of a bill, unpacked.
LARGEST_UNPACKED = 512 * 1024 * 1024

TRADE, ORDER, KIND = "支付宝交易号", "商户订单号", "业务类型"
DONE, AMOUNT, REQUEST = "完成时间", "订单金额", "退款批次号/请求号"
REFUND = "退款"


@dataclass(frozen=True, slots=True)
class BillLine:
    """A refund in a bill. `amount` in minor units of CNY; `number` is that of its request, `order` the merchant's."""

    trade: str
    order: str
    number: str
    amount: int
    at: datetime


def refunds_in(bill: bytes) -> list[BillLine]:
    """The refunds of a bill. Raises an exception of whatever kind for a file that is no bill."""
    with zipfile.ZipFile(io.BytesIO(bill)) as archive:
        files = archive.infolist()
        if sum(file.file_size for file in files) > LARGEST_UNPACKED:
            raise ValueError("the bill is too large")
        tables = [table for file in files if (table := _details(archive, file)) is not None]
    if not tables:
        raise ValueError("no table of trades in the bill")
    return [line for table in tables for line in table]


def _details(archive: zipfile.ZipFile, file: zipfile.ZipInfo) -> list[BillLine] | None:
    """The refunds of one file; None for one without a table of trades, such as the summary."""
    with archive.open(file) as raw, io.TextIOWrapper(raw, "gb18030", newline="") as text:
        rows = ([cell.strip() for cell in row] for row in csv.reader(text))
        for row in rows:
            names = [_name(cell) for cell in row]
            if {TRADE, REQUEST} <= set(names):
                return list(_refunds(names, rows))
    return None


def _refunds(names: list[str], rows: Iterator[list[str]]) -> Iterator[BillLine]:
    kind = names.index(KIND)
    for row in rows:
        # A refund that does not fit the columns makes the bill no bill: better than to miss it.
        if len(row) > kind and row[kind] == REFUND:
            yield _line(dict(zip(names, row, strict=True)))


def _line(cells: dict[str, str]) -> BillLine:
    return BillLine(
        trade=cells[TRADE],
        order=cells[ORDER],
        number=cells[REQUEST] or cells[ORDER],
        amount=parse_amount(cells[AMOUNT].removeprefix("-"), "CNY"),
        at=read_time(cells[DONE]),
    )


def _name(cell: str) -> str:
    """A column's name without its unit, which is written with either kind of brackets."""
    return cell.replace("（", "(").split("(", 1)[0]
