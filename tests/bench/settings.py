"""The console as in production, with two more pages to measure it against; its own database in var/bench."""

import os
from pathlib import Path

BENCH_DIR = Path(os.environ["BENCH_DIR"])
os.environ.update(DEMO="1", VAR_DIR=str(BENCH_DIR), LOG_LEVEL="WARNING")

from console.settings import *  # noqa: E402, F403

ROOT_URLCONF = "tests.bench.urls"
TEMPLATES[0]["DIRS"].append(BASE_DIR / "tests" / "bench" / "templates")  # noqa: F405
