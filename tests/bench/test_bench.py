"""A small sample of `make bench`, so that it still runs on the day it is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from payments.models import Payout
from tests.bench import money
from tests.bench.__main__ import compare
from tests.bench.figures import Figure


def test_the_bench_measures_and_prints_a_line_a_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--sizes", "25", "50", "--pairs", "2", "--requests", "2"]
    command += ["--payouts", "0", "--dir", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "overview_speed_of_bare_25",
        "overview_speed_of_stock_25",
        "overview_speed_of_bare_50",
        "overview_speed_of_stock_50",
        "overview_time_50_to_25",
    ]
    for line in lines:
        assert re.fullmatch(r"\w+ \d+\.\d\d [\d.]+ (ok|short)", line)


@pytest.mark.django_db(transaction=True)
def test_the_bench_moves_money_and_says_how_quickly() -> None:
    figures = list(money.measure(10))
    assert [figure.name for figure in figures] == ["approvals_per_second", "payouts_per_second_of_2_workers"]
    assert all(0 < figure.value < 1000 for figure in figures)
    assert Payout.objects.filter(state="paid").count() == 10


def test_the_pace_is_that_of_the_middle() -> None:
    slow_start, slow_end = [0.0], [100.0]
    assert money.rate([*slow_start, *(50 + number / 4 for number in range(8)), *slow_end]) == 4


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("speed", 0.5, 0.5), "speed 0.50 0.5 ok"),
        (Figure("speed", 0.49, 0.5), "speed 0.49 0.5 short"),
        (Figure("time", 1.3, 1.3, higher_is_better=False), "time 1.30 1.3 ok"),
        (Figure("time", 1.31, 1.3, higher_is_better=False), "time 1.31 1.3 short"),
    ],
)
def test_a_figure_says_whether_it_meets_its_target(figure: Figure, line: str) -> None:
    assert str(figure) == line


def test_figures_compare_slices_that_ran_side_by_side() -> None:
    taken = {
        ("overview", 1): [1.0, 2.0, 4.0],
        ("bare", 1): [2.0, 4.0, 8.0],
        ("stock", 1): [6.0, 12.0, 24.0],
        ("overview", 2): [2.0, 4.0, 8.0],
        ("bare", 2): [2.0, 4.0, 8.0],
        ("stock", 2): [20.0, 40.0, 80.0],
    }
    assert [figure.value for figure in compare(taken, [1, 2])] == [2.0, 6.0, 1.0, 10.0, 2.0]
