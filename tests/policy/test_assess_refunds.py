"""`manage.py assess_refunds` as a program: what it reads, writes and ends with."""

import json
import os
import re
import select
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.policy.test_assess_lines import line, told

PROMISE = settings.BASE_DIR / "docs" / "assess.md"


def assess_file(path: Path) -> tuple[list[str], int]:
    """The lines written for a file, and the exit status."""
    output, status = StringIO(), 0
    try:
        call_command("assess_refunds", str(path), stdout=output)
    except SystemExit as end:
        status = int(str(end.code))
    return output.getvalue().splitlines(), status


def environment(**more: str) -> dict[str, str]:
    """Of a process that buffers what it writes, as everybody's does."""
    return {**os.environ, "DEMO": "1", "PYTHONUNBUFFERED": "", **more}


def run(*arguments: str, given: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, with a database that is not there."""
    return subprocess.run(
        [sys.executable, "manage.py", "assess_refunds", *arguments],
        cwd=settings.BASE_DIR,
        input=given,
        capture_output=True,
        env=environment(DATABASE_URL="postgres://nobody@127.0.0.1:1/nowhere"),
        check=False,
    )


def test_the_promised_examples_are_answered_to_the_letter(tmp_path: Path):
    given, promised = re.findall(r"^```json\n(.*?)^```", PROMISE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    path = tmp_path / "examples.jsonl"
    path.write_text(given, encoding="utf-8")
    assert assess_file(path) == (promised.splitlines(), 1)


def test_a_line_without_a_policy_asks_for_the_product_pages_whatever_new_purchases_take(
    tmp_path: Path, settings: Settings
):
    """29 days after the payment: over under a window of 7 days, not under `intl-2021`."""
    settings.REFUND_POLICY = "intl-2026-03"
    late = {"purchased_at": "2026-08-26T10:00:00+08:00", "at": "2026-09-24T10:00:00+08:00"}
    late |= dict.fromkeys(("submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at"))
    path = tmp_path / "facts.jsonl"
    path.write_bytes(line(**late) + b"\n" + line(**late, policy="intl-2026-03"))
    lines, _status = assess_file(path)
    assert [json.loads(answer)["rule"] for answer in lines] == ["unissued-manual", "window-over"]


def test_every_line_answered_is_status_0(tmp_path: Path):
    path = tmp_path / "facts.jsonl"
    path.write_bytes(line() + b"\n" + line())
    assert assess_file(path) == ([json.dumps(told(line()))] * 2, 0)


def test_an_empty_file_has_no_answers(tmp_path: Path):
    path = tmp_path / "empty.jsonl"
    path.touch()
    assert assess_file(path) == ([], 0)


def test_line_n_answers_line_n_of_any_file(tmp_path: Path):
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + line() + b"\r\n\n\xff\n" + line(at="x").replace(b'"x"', b'"\xe2\x80\xa8"') + b"\n" + line()
    )
    lines, status = assess_file(path)
    found = [json.loads(text) for text in lines]
    assert [answer.get("error", "").partition(":")[0] for answer in found] == ["", "line", "line", "at", ""]
    assert [answer.get("line") for answer in found] == [None, 2, 3, 4, None]
    assert status == 1


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input_is_read_without_a_database(arguments: tuple[str, ...]):
    done = run(*arguments, given=line() + b"\n\n")
    assert done.returncode == 1
    assert [json.loads(text) for text in done.stdout.splitlines()] == [
        told(line()),
        {"error": "line: is blank", "line": 2},
    ]
    assert done.stderr == b""


def test_wrong_usage_is_status_2():
    done = run("one", "two")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"unrecognized arguments: two" in done.stderr


@pytest.mark.parametrize("name", ["nothing-there.jsonl", "."])
def test_an_unreadable_file_is_status_2(name: str, tmp_path: Path):
    with pytest.raises(CommandError) as refused:
        call_command("assess_refunds", str(tmp_path / name), stdout=StringIO())
    assert refused.value.returncode == 2


def test_a_closed_standard_input_is_status_2():
    script = f"exec <&-; exec {sys.executable} manage.py assess_refunds"
    done = subprocess.run(
        ["bash", "-c", script], cwd=settings.BASE_DIR, capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


@pytest.fixture
def conversation():
    """The command as a partner: both of its ends are pipes."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "assess_refunds"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as partner:
        yield partner
        if partner.poll() is None:
            partner.kill()


def test_an_answer_comes_before_the_next_question_and_a_reader_may_leave(conversation: subprocess.Popen[bytes]):
    assert conversation.stdin and conversation.stdout and conversation.stderr
    for _ in range(3):
        conversation.stdin.write(line() + b"\n")
        conversation.stdin.flush()
        assert select.select([conversation.stdout], [], [], 30)[0], "no answer while the next question is waited for"
        assert json.loads(conversation.stdout.readline()) == told(line())
    conversation.stdout.close()
    conversation.stdin.write(line() + b"\n")
    conversation.stdin.close()
    assert conversation.stderr.read() == b""
    assert conversation.wait() == 0


def test_at_least_3000_lines_a_second(tmp_path: Path):
    path = tmp_path / "many.jsonl"
    many = 6000
    path.write_bytes(b"".join(line(at=f"2026-09-{8 + n % 20:02}T{n % 24:02}:00:00Z") + b"\n" for n in range(many)))
    started = time.process_time()
    lines, status = assess_file(path)
    assert (len(lines), status) == (many, 0)
    assert time.process_time() - started < many / 3000
