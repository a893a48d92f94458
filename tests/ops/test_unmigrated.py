"""What a command says on a database that `manage.py migrate` hasn't been run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_MIGRATE = "The database lacks tables or columns that this command needs. Run `manage.py migrate` first.\n"


def manage(var: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(var), "DEMO": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["load_demo", "check_ledger", "rotate_keys", "unsettled_emails"])
def test_operator_of_a_database_without_tables_reads_what_to_run(command: str, tmp_path: Path) -> None:
    ended = manage(tmp_path, command)
    assert (ended.returncode, ended.stderr) == (1, RUN_MIGRATE)
