"""`manage.py check_ledger`: prove the books of all floors in one moment of the database."""

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand

from certificates import books as certificates
from certificates.models import Certificate
from core.books import Finding, snapshot
from payments import books as payments
from payments.models import LedgerEntry, Payout
from refunds import books as refunds
from refunds.models import RefundRequest

COUNTED = (Certificate, RefundRequest, Payout, LedgerEntry)


def offending() -> Iterator[Finding]:
    """What every floor found wrong in its own tables and in those below."""
    yield from payments.offending()
    yield from certificates.offending()
    yield from refunds.offending()


class Command(BaseCommand):
    help = "Prove the books: one line per offending row and exit 1, or OK with what was counted."

    def handle(self, **_: Any) -> None:
        with snapshot():
            found = 0
            for finding in offending():
                self.stdout.write(str(finding))
                found += 1
            counts = ", ".join(f"{model.objects.count()} {model._meta.verbose_name_plural}" for model in COUNTED)
        if found:
            sys.exit(1)
        self.stdout.write(f"OK: {counts}")
