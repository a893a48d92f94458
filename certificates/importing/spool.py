"""What the first pass has read, on disk: memory stays small, rows of an order may stand anywhere in the file, and the
second pass stores exactly what the first one judged, whatever becomes of the file meanwhile."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Self

from certificates.importing.problems import BadRow, Problem
from certificates.importing.rows import Row
from certificates.x509 import Handover
from core.encryption import decrypt, encrypt
from payments.payers import NO_PAYER, Payer

KNOWN, BAD = "known", "bad"
NEW = ""

_TABLES = """
    CREATE TABLE rows (line INTEGER PRIMARY KEY, number TEXT NOT NULL, content TEXT NOT NULL);
    CREATE TABLE problems (line INTEGER NOT NULL, field TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE TABLE bad_rows (line INTEGER PRIMARY KEY, number TEXT NOT NULL);
    CREATE TABLE orders (line INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE);
    CREATE TABLE verdicts (number TEXT PRIMARY KEY, verdict TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE claims (kind TEXT, value TEXT, owner TEXT NOT NULL, line INTEGER NOT NULL, PRIMARY KEY (kind, value))
        WITHOUT ROWID;
    CREATE TABLE accounts (name TEXT PRIMARY KEY, folded TEXT NOT NULL, email TEXT NOT NULL, is_staff INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE VIEW judged_orders AS
        SELECT orders.line, number, COALESCE(verdict, '') AS verdict FROM orders LEFT JOIN verdicts USING (number);
    CREATE VIEW judged_rows AS
        SELECT rows.line, number, COALESCE(verdict, '') AS verdict FROM rows LEFT JOIN verdicts USING (number);
"""


@dataclass(frozen=True, slots=True)
class SpooledOrder:
    """The rows that share an order number, by line."""

    number: str
    rows: list[Row]
    verdict: str

    @property
    def first(self) -> Row:
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class KnownAccount:
    name: str
    email: str
    is_staff: bool


class Spool:
    """A nameless SQLite database in a temporary file that is gone with the process, however that ends."""

    def __init__(self) -> None:
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; " + _TABLES)
        self.db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    # --- The first pass writes -----------------------------------------------------------------

    def add(self, row: Row | BadRow) -> None:
        if isinstance(row, BadRow):
            self.add_problems(row.problems, row.number)
        else:
            self.db.execute("INSERT INTO rows VALUES (?, ?, ?)", (row.line, row.number, _written(row)))

    def add_problems(self, problems: Iterable[Problem], number: str = "") -> None:
        """Note what is wrong; the order by this number is bad with it."""
        for problem in problems:
            self.db.execute("INSERT INTO problems VALUES (?, ?, ?)", (problem.line, problem.field, problem.reason))
            self.db.execute("INSERT OR IGNORE INTO bad_rows VALUES (?, ?)", (problem.line, number))
            self.judge(number, BAD)

    def add_accounts(self, accounts: Iterable[tuple[str, str, bool]]) -> None:
        """Name, email and staffness of every account that there is."""
        rows = ((name, name.casefold(), email, is_staff) for name, email, is_staff in accounts)
        self.db.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?)", rows)

    def close_rows(self) -> None:
        """All rows are in: find the orders, and spoil those that may lack a row."""
        self.db.execute("INSERT INTO orders SELECT MIN(line), number FROM rows GROUP BY number")
        self.db.execute("CREATE INDEX rows_by_order ON rows (number, line)")
        self.db.execute("CREATE INDEX accounts_folded ON accounts (folded)")
        self.db.execute("CREATE INDEX accounts_by_email ON accounts (email) WHERE email <> ''")
        self._judge_neighbours_of_strays()

    def _judge_neighbours_of_strays(self) -> None:
        """A row whose order cannot be told may belong to the order beside it: that one is not whole then."""
        rows = self.db.execute(
            "SELECT line, number FROM rows UNION ALL SELECT line, number FROM bad_rows ORDER BY line"
        )
        previous, is_after_stray = "", False
        for _line, number in rows:
            if not number:
                self.judge(previous, BAD)
            elif is_after_stray:
                self.judge(number, BAD)
            previous, is_after_stray = number or previous, not number

    # --- Judging -------------------------------------------------------------------------------

    def judge(self, number: str, verdict: str) -> None:
        if number:
            self.db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (number, verdict))

    def claim(self, kind: str, value: str, owner: str, line: int) -> tuple[str, int] | None:
        """Take something that only one may have; returns who has it and since which line, when it is another."""
        taken = self.db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", (kind, value, owner, line)).rowcount
        if taken:
            return None
        holder, since = self.db.execute(
            "SELECT owner, line FROM claims WHERE kind = ? AND value = ?", (kind, value)
        ).fetchone()
        return None if holder == owner else (holder, since)

    def accounts_like(self, name: str) -> list[KnownAccount]:
        """The accounts of this name, in whatever case."""
        return self._accounts("folded = ?", name.casefold())

    def accounts_with_email(self, email: str) -> list[KnownAccount]:
        return self._accounts("email <> '' AND email = ?", email)

    def _accounts(self, condition: str, value: str) -> list[KnownAccount]:
        found = self.db.execute(f"SELECT name, email, is_staff FROM accounts WHERE {condition}", (value,))  # noqa: S608
        return [KnownAccount(name, email, bool(is_staff)) for name, email, is_staff in found]

    # --- What is in it -------------------------------------------------------------------------

    def orders(self) -> Iterator[SpooledOrder]:
        """Every order, by its first line."""
        found = self.db.execute(
            "SELECT o.number, verdict, rows.line, content FROM judged_orders o CROSS JOIN rows USING (number) "
            "ORDER BY o.line, rows.line"
        )
        for (number, verdict), rows in groupby(found, key=itemgetter(0, 1)):
            yield SpooledOrder(number, [_read(line, content) for _, _, line, content in rows], verdict)

    def problems(self, most: int) -> list[Problem]:
        """The first problems by line."""
        found = self.db.execute("SELECT line, field, reason FROM problems ORDER BY line, rowid LIMIT ?", (most,))
        return [Problem(*problem) for problem in found]

    def count_problems(self) -> int:
        return self._number("SELECT COUNT(*) FROM problems")

    def count_orders(self) -> int:
        return self._number("SELECT COUNT(*) FROM orders")

    def count_orders_judged(self, verdict: str) -> int:
        return self._number("SELECT COUNT(*) FROM judged_orders WHERE verdict = ?", verdict)

    def count_rows_judged(self, verdict: str) -> int:
        """The rows of the orders of a verdict."""
        return self._number("SELECT COUNT(*) FROM judged_rows WHERE verdict = ?", verdict)

    def count_skipped_rows(self) -> int:
        """The rows that are bad or stand in a bad order."""
        return self._number(
            "SELECT COUNT(*) FROM (SELECT line FROM bad_rows UNION SELECT line FROM judged_rows WHERE verdict = ?)", BAD
        )

    def count_bad_rows(self) -> int:
        return self._number("SELECT COUNT(*) FROM bad_rows")

    def _number(self, question: str, *values: str) -> int:
        return self.db.execute(question, values).fetchone()[0]


def _written(row: Row) -> str:
    kept = [row.values, row.handover and asdict(row.handover), _sealed(row.payer), row.names_policy]
    return json.dumps(kept, default=datetime.isoformat)


def _read(line: int, content: str) -> Row:
    values, handover, payer, names_policy = json.loads(content)
    return Row(line, values, handover and _handover(handover), _opened(payer), names_policy)


def _sealed(payer: Payer) -> str:
    """No account stands readable in a file, not even in a nameless one."""
    return encrypt(json.dumps([payer.holder, payer.number]).encode()) if payer else ""


def _opened(token: str) -> Payer:
    return Payer(*json.loads(decrypt(token))) if token else NO_PAYER


def _handover(kept: dict[str, Any]) -> Handover:
    moments = {name: datetime.fromisoformat(kept[name]) for name in ("not_before", "not_after")}
    lists = {"names": tuple(kept["names"]), "scts": tuple(map(datetime.fromisoformat, kept["scts"]))}
    return Handover(**{**kept, **moments, **lists})
