"""Imports a file at NOON and kills itself inside its third batch, or between that and the next."""

import os
import signal
import sys
from itertools import count
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from certificates.importing import running  # noqa: E402
from tests.factories import NOON  # noqa: E402

batches = count(1)


def store_and_die(orders: list, store=running.store_orders) -> None:
    store(orders)
    if sys.argv[2] == "inside" and next(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def progress(act: str, _total: int):
    def advance(_done: int) -> None:
        if act == "Storing" and sys.argv[2] == "between" and next(batches) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    return advance


running.BATCH = 4  # two orders with one certificate for one domain each
running.store_orders = store_and_die
running.import_orders(Path(sys.argv[1]), at=NOON, progress=progress)
