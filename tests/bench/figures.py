from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`NAME VALUE TARGET ok`, or `… short` where the target is missed."""

    name: str
    value: float
    target: float
    higher_is_better: bool = True

    def __str__(self) -> str:
        met = self.value >= self.target if self.higher_is_better else self.value <= self.target
        return f"{self.name} {self.value:.2f} {self.target:g} {'ok' if met else 'short'}"
