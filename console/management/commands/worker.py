"""`manage.py worker`: carry out jobs, send emails, and do what time alone makes due."""

import logging
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, CommandError
from django.db import Error, connections

from console.worker import LaneDied, run_once, run_until_stopped
from core.guards import require_guards
from core.jobs import LEASE

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run due jobs (payouts, mails), lapse overdue requests and keep house, until TERM or Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due, and end")
        parser.add_argument(
            "--lease",
            type=float,
            default=LEASE.total_seconds(),
            metavar="SECONDS",
            help="after so long a job of a worker that died is taken over (%(default)s)",
        )

    def handle(self, *, once: bool, lease: float, **_: Any) -> None:
        # The pool logs each of its tries while the database is away; the worker says it once.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._require_guards()
        if once:
            run_once(lease=timedelta(seconds=lease))
            return
        connections.close_all()
        logger.info("The worker has started")
        try:
            run_until_stopped(lease=timedelta(seconds=lease))
        except LaneDied as error:
            raise CommandError("The worker has stopped by an error; see above.") from error
        logger.info("The worker has stopped")

    def _require_guards(self) -> None:
        try:
            require_guards()
        except ImproperlyConfigured as reason:
            raise CommandError(str(reason)) from reason
        except Error as error:
            words = " ".join(str(error).split()).rstrip(".")
            raise CommandError(f"The database cannot be reached ({words}): start it, or see DATABASE_URL.") from error
