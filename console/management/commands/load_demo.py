"""`manage.py load_demo`: an empty database becomes a demo, relative to today."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from console.demo.loading import Loaded, NotOurs, load_demo
from console.demo.people import PASSWORD


class Command(BaseCommand):
    help = "Load the demo into an empty database. Needs DEMO=1; leaves a loaded demo as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reset", action="store_true", help="take a loaded demo away first")

    def handle(self, *_args: Any, reset: bool, verbosity: int, **_options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("The demo is loaded only where DEMO=1 is set.")
        try:
            loaded = load_demo(at=timezone.now(), reset=reset)
        except NotOurs as others:
            raise CommandError(
                f"The database holds accounts that the demo did not make ({others}), so it was left as it is. "
                "Set DATABASE_URL to an empty database."
            ) from others
        if verbosity:
            self.stdout.write(_words_for(loaded))


def _words_for(loaded: Loaded | None) -> str:
    if loaded is None:
        return "The demo is loaded already; --reset rebuilds it."
    return (
        f"The demo is loaded: {loaded.accounts} accounts, {loaded.certificates} certificates, "
        f"{loaded.requests} refund requests. The password of each account: {PASSWORD}"
    )
