"""`manage.py import_orders`: how a seller brings its real orders in. docs/import.md is the promise."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError
from django.utils import timezone
from tqdm import tqdm

from certificates.importing.reading import READERS, reader_for
from certificates.importing.running import Outcome, import_orders

INTERRUPTED = 130  # as a shell tells it of a program that Ctrl-C has ended


class Command(BaseCommand):
    help = (
        "Import orders with their certificates from a CSV or JSON Lines file, one row a certificate. Exit 1 if a row "
        "was bad (then nothing is imported, but with --skip-bad), 2 for wrong usage or an unreadable file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help=f"a file whose name ends in {', '.join(READERS)}")
        parser.add_argument("--dry-run", action="store_true", help="check everything, store nothing")
        parser.add_argument("--skip-bad", action="store_true", help="import the orders that have no bad row")

    def handle(self, *_args: Any, file: Path, dry_run: bool, skip_bad: bool, **_options: Any) -> None:
        outcome = self._import(file, dry_run=dry_run, skip_bad=skip_bad)
        self._tell_problems(outcome)
        self.stdout.write(closing(outcome, dry_run=dry_run))
        if outcome.problem_count:
            sys.exit(1)

    def _import(self, file: Path, **options: bool) -> Outcome:
        if reader_for(file) is None:
            raise CommandError(f"{file}: the name must end in {', '.join(READERS)}", returncode=2)
        try:
            with _Bars() as progress:
                return import_orders(file, at=timezone.now(), progress=progress, **options)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}", returncode=2) from error
        except IntegrityError as error:
            reason = "something that these orders need was stored by somebody else meanwhile"
            raise CommandError(f"{file}: {reason}; import the same file again", returncode=1) from error
        except KeyboardInterrupt:
            reason = "interrupted; the same file completes what was begun"
            raise CommandError(f"{file}: {reason}", returncode=INTERRUPTED) from None

    def _tell_problems(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            self.stderr.write(str(problem))
        untold = outcome.problem_count - len(outcome.problems)
        if untold:
            self.stderr.write(f"… and {_many(untold, 'more problem')}")


class _Bars:
    """One progress bar after another, on a terminal; elsewhere nothing."""

    bar: tqdm | None = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, act: str, total: int) -> Callable[[int], Any]:
        self.__exit__()
        # None: only where standard error is a terminal.
        self.bar = tqdm(desc=act, total=total, unit="", unit_scale=True, disable=None, leave=False)
        return self.bar.update


def closing(outcome: Outcome, *, dry_run: bool) -> str:
    """What came of it, in a sentence or two."""
    known = f" {_many(outcome.known_rows, 'row')} known already." if outcome.known_rows else ""
    problems = f"{_many(outcome.problem_count, 'problem')} in {_many(outcome.bad_rows, 'row')}"
    if not outcome.may_store:
        return f"Nothing was imported: {problems}.{known}"
    new = f"{_many(outcome.new_rows, 'certificate')} in {_many(outcome.new_orders, 'order')}"
    skipped = f" Skipped: {_many(outcome.skipped_rows, 'row')}, for {problems}." if outcome.problem_count else ""
    done = "Dry run, nothing was stored. To be imported" if dry_run else "Imported"
    return f"{done}: {new}.{known}{skipped}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
