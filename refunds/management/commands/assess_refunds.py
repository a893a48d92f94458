"""`manage.py assess_refunds`: the refund policy for support staff and other programs. docs/assess.md is the promise."""

import json
import os
import sys
from argparse import ArgumentParser
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from refunds.rules.assess_lines import answers

STANDARD_INPUT = 0


class Command(BaseCommand):
    help = (
        "Read JSON Lines, the facts of one certificate each, and answer each with a line: may it be refunded, by "
        "which rule, how much, until when. Exit 1 if a line had an error, 2 for wrong usage or an unreadable file."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a file, or - for standard input")

    def handle(self, *_args: Any, file: str, **_options: Any) -> None:
        has_errors = False
        try:
            with _open(file) as lines:
                for answer in answers(lines):
                    has_errors |= "error" in answer
                    self._write(answer)
        except _ReaderGone:
            _close_quietly()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}", returncode=2) from error
        if has_errors:
            sys.exit(1)

    def _write(self, answer: dict[str, Any]) -> None:
        """Write an answer as soon as it is known: the program that asks may be waiting for it."""
        try:
            self.stdout.write(json.dumps(answer))
            self.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except OSError as error:
            raise CommandError(f"the answers cannot be written: {error.strerror or error}", returncode=2) from error


class _ReaderGone(Exception):
    """Whoever read the answers has had enough of them."""


def _open(file: str) -> BinaryIO:
    return open(STANDARD_INPUT, "rb", closefd=False) if file == "-" else open(file, "rb")


def _close_quietly() -> None:
    """What is still in the buffer for a reader who has gone must not be complained about at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
