"""What is wrong with a file: always a line, a field and a reason."""

from dataclasses import dataclass


class Unfit(ValueError):
    """A value cannot be taken; the message is the reason, fit for "<field>: <reason>"."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one field of one row. Lines are physical lines of the file, from 1."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.reason}"


class BrokenFile(Exception):
    """The file cannot be read from here on, so that nobody knows what else it says."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(*map(str, problems))
        self.problems = problems


class BadRow(Exception):
    """A row cannot be taken. `number` is its order's, empty where that cannot be told."""

    def __init__(self, problems: list[Problem], number: str = "") -> None:
        super().__init__(*map(str, problems))
        self.problems = problems
        self.number = number
