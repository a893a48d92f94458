"""`make bench`: pages against others, and how much money a machine moves. Prints a line a figure.

Pages: the Overview against a bare page and against Django's own list, at two sizes, under one gunicorn; all values are
ratios of CPU seconds of the server's processes per request, each the median over alternating slices.
Money: approvals and payouts a second on a new PostgreSQL of its own (`tests.bench.money`). Workers, database and the
channel share the machine, so on one that is busy otherwise these say nothing.
A line reads `NAME VALUE TARGET ok` or `… short`; nothing but a broken run ends with other than 0.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import django
from django.core.management import call_command

from tests.bench.figures import Figure

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = {
    "overview": "/",
    "bare": "/bench/bare/",
    "stock": "/bench/stock/certificates/certificate/?account__id__exact={pk}",
}


def main() -> None:
    options = _options()
    environment = {"BENCH_DIR": str(options.dir.resolve()), "DJANGO_SETTINGS_MODULE": "tests.bench.settings"}
    options.dir.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment)
    django.setup()
    _prepare(options.sizes)
    for figure in measure(environment, options.sizes, pairs=options.pairs, requests=options.requests):
        sys.stdout.write(f"{figure}\n")
        sys.stdout.flush()
    if options.payouts:
        _move_money(options.payouts)


def _move_money(payouts: int) -> None:
    from tests.faults.databases import own_server

    with own_server() as server:
        environment = {"DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-m", "tests.bench.money", str(payouts)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=[1_000, 200_000], metavar="N")
    parser.add_argument("--pairs", type=int, default=15, help="slices of each page, alternating")
    parser.add_argument("--requests", type=int, default=40, help="requests a slice")
    parser.add_argument("--payouts", type=int, default=300, metavar="N", help="none of the money's figures where 0")
    parser.add_argument("--dir", type=Path, default=ROOT / "var" / "bench")
    return parser.parse_args()


def _prepare(sizes: list[int]) -> None:
    from django.utils import timezone

    from core.guards import guards_lifted
    from tests.bench import data

    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    if not data.is_built(sizes):
        with guards_lifted():
            call_command("flush", verbosity=0, interactive=False)
        data.build(sizes, timezone.now())
        _update_statistics()


def _update_statistics() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def measure(environment: dict[str, str], sizes: list[int], *, pairs: int, requests: int) -> list[Figure]:
    """Measure every page at every size, in alternating slices, and compare them."""
    from tests.bench.server import gunicorn
    from tests.bench.sessions import sign_in

    taken: dict[tuple[str, int], list[float]] = {(page, size): [] for page in PAGES for size in sizes}
    customers = {size: sign_in(f"bench-{size}") for size in sizes}
    with gunicorn(environment) as server:
        for turn in range(pairs + 1):
            for (page, size), slices in taken.items():
                pk, cookie = customers[size]
                seconds = server.cpu_per_request(PAGES[page].format(pk=pk), cookie=cookie, times=requests)
                if turn:  # the first turn warms up
                    slices.append(seconds)
    return compare(taken, sizes)


def compare(taken: dict[tuple[str, int], list[float]], sizes: list[int]) -> list[Figure]:
    small, large = sizes
    figures = []
    for size in sizes:
        overview = taken["overview", size]
        figures.append(Figure(f"overview_speed_of_bare_{size}", _speed(taken["bare", size], overview), 0.5))
        figures.append(Figure(f"overview_speed_of_stock_{size}", _speed(taken["stock", size], overview), 5))
    growth = _speed(taken["overview", large], taken["overview", small])
    figures.append(Figure(f"overview_time_{large}_to_{small}", growth, 1.3, higher_is_better=False))
    for (page, size), slices in taken.items():
        sys.stderr.write(f"# {page} at {size}: {statistics.median(slices) * 1000:.2f} ms CPU a request\n")
    return figures


def _speed(other: list[float], ours: list[float]) -> float:
    """How many times the other takes our time: the median over pairs of slices that ran side by side."""
    return statistics.median(theirs / mine for theirs, mine in zip(other, ours, strict=True))


if __name__ == "__main__":
    main()
