"""The two passes of an import, and what came of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from certificates import hooks
from certificates.importing.checking import judge_orders, load_accounts
from certificates.importing.orders import order_to_store
from certificates.importing.problems import BadRow, BrokenFile, Problem
from certificates.importing.reading import RawRow, reader_for
from certificates.importing.rows import Row, Rules, read_row
from certificates.importing.spool import KNOWN, NEW, Spool, SpooledOrder
from certificates.storing import store_orders
from payments.services import keep_payers
from payments.states import Channel

# How much is stored in one transaction: on SQLite nobody else writes meanwhile, so it lasts a fraction of a second.
BATCH = 1000  # certificates and domains together
MOST_PROBLEMS = 100  # told one by one
STEP = 500  # rows between two words of progress

# Told what is being done, and of how much; gives back what is told how much more of it is done.
Progress = Callable[[str, int], Callable[[int], Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an import: orders and rows that were new, rows that were known, and rows passed over.

    The rows passed over are the bad ones and all others of their orders.
    """

    problems: list[Problem]
    problem_count: int
    bad_rows: int
    skipped_rows: int
    known_rows: int
    new_rows: int
    new_orders: int
    # Whether what is new is stored, or in a dry run would be.
    may_store: bool


def import_orders(
    path: Path, *, at: datetime, progress: Progress, skip_bad: bool = False, dry_run: bool = False
) -> Outcome:
    """Import a file of orders as of `at`: everything in it, or with `skip_bad` every order without a bad row.

    Stores nothing where something is bad, otherwise batch after batch, each whole orders in a transaction of its own;
    what is stored already is passed over, so that the same file completes an import that was interrupted.
    Raises OSError for a file that cannot be read.
    """
    with Spool() as spool:
        is_whole = _read(path, spool, at, progress)
        advance = progress("Checking", spool.count_orders())
        for count in judge_orders(spool):
            advance(count)
        outcome = _outcome(spool, may_store=is_whole and (skip_bad or not spool.count_problems()))
        if outcome.may_store and not dry_run:
            advance = progress("Storing", outcome.new_orders)
            for batch in _batches(spool):
                # An order that somebody else has stored since it was judged fails by its number: what they stored
                # must be compared, which the same file does when it is imported again.
                with transaction.atomic():
                    _store(batch, at=at)
                advance(len(batch))
        return outcome


def _outcome(spool: Spool, *, may_store: bool) -> Outcome:
    return Outcome(
        may_store=may_store,
        problems=spool.problems(MOST_PROBLEMS),
        problem_count=spool.count_problems(),
        bad_rows=spool.count_bad_rows(),
        skipped_rows=spool.count_skipped_rows(),
        known_rows=spool.count_rows_judged(KNOWN),
        new_rows=spool.count_rows_judged(NEW),
        new_orders=spool.count_orders_judged(NEW),
    )


# --- The first pass -----------------------------------------------------------------------------


def _read(path: Path, spool: Spool, at: datetime, progress: Progress) -> bool:
    """Read and judge every row; whether the file could be read to its end."""
    rules = Rules(
        folder=path.parent,
        policies=hooks.order_policies(),
        default_policy=settings.REFUND_POLICY,
        at=at,
    )
    try:
        for row in _raw_rows(path, progress):
            spool.add(_judged(row, rules))
    except BrokenFile as error:
        spool.add_problems(error.problems)
        return False
    finally:
        load_accounts(spool)
        spool.close_rows()
    return True


def _raw_rows(path: Path, progress: Progress) -> Iterator[RawRow | BadRow]:
    size, read = path.stat().st_size, 0
    advance = progress("Reading", size)
    with path.open("rb") as file:
        for count, row in enumerate(reader_for(path)(file), 1):
            yield row
            if count % STEP == 0:
                advance(file.tell() - read)
                read = file.tell()
    advance(size - read)


def _judged(row: RawRow | BadRow, rules: Rules) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    try:
        return read_row(row, rules)
    except BadRow as error:
        return error


# --- The second pass ----------------------------------------------------------------------------


def _store(batch: Sequence[SpooledOrder], *, at: datetime) -> None:
    store_orders([order_to_store(spooled) for spooled in batch])
    payers = {_bank_reference(spooled): spooled.first.payer for spooled in batch if spooled.first.payer}
    keep_payers(payers, at=at)


def _bank_reference(spooled: SpooledOrder) -> str:
    """The reference of the bank payment that a payer's account belongs to; there is one."""
    return next(part["reference"] for part in spooled.first.values["payments"] if part["channel"] == Channel.BANK)


def _batches(spool: Spool) -> Iterator[list[SpooledOrder]]:
    """The new orders, as many at once as are quickly stored."""
    batch: list[SpooledOrder] = []
    size = 0
    for spooled in spool.orders():
        if spooled.verdict != NEW:
            continue
        batch.append(spooled)
        size += sum(1 + len(row.values["domains"]) for row in spooled.rows)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
