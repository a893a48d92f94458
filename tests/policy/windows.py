"""Where `assess` and the oracle of the policies that count from the payment disagree.

`python -m tests.policy.windows 100000` compares as many questions; the gate compares a few thousand of them.
"""

import sys
from collections import Counter
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from refunds.rules.assess import Assessment, Facts, assess
from tests.policy import window_oracle
from tests.policy.questions import questions
from tests.policy.window_oracle import WINDOWS


def as_told(assessment: Assessment) -> dict[str, Any]:
    """Everything that an assessment says, in plain values."""
    told = {field.name: getattr(assessment, field.name) for field in fields(assessment)}
    changes_at = assessment.changes_at and assessment.changes_at.astimezone(UTC)
    derived = {"supported": assessment.supported, "button": assessment.button}
    return {**told, **derived, "warnings": list(assessment.warnings), "changes_at": changes_at}


def compare(number: int, *, seed: int) -> tuple[list[tuple[Facts, datetime]], Counter[tuple[str, str]]]:
    """The questions on which `assess` and the oracle disagree, and how many were asked by policy and rule."""
    disagreed, asked = [], Counter[tuple[str, str]]()
    for facts, at in questions(number, seed=seed, policies=tuple(WINDOWS)):
        wanted = window_oracle.answer(asdict(facts), at)
        asked[facts.policy, wanted["rule"]] += 1
        if as_told(assess(facts, at)) != wanted:
            disagreed.append((facts, at))
    return disagreed, asked


def main() -> None:
    number = int(sys.argv[1])
    disagreed, asked = compare(number, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for (policy, rule), count in sorted(asked.items()):
        sys.stdout.write(f"{policy} {rule} {count}\n")
    for facts, at in disagreed[:5]:
        said, wanted = as_told(assess(facts, at)), window_oracle.answer(asdict(facts), at)
        sys.stdout.write(f"{facts} at {at}: {said}, not {wanted}\n")
    sys.stdout.write(f"{number - len(disagreed)} of {number} agree\n")
    sys.exit(bool(disagreed))


if __name__ == "__main__":
    main()
