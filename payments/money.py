"""How an order's amounts fall to its parts. Pure; every amount is a whole number of minor units."""

from collections.abc import Sequence


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainder; parts of equal claim are served from the left.

    Raises ValueError when `total` or a weight is negative, or a total above 0 meets weights that are all 0.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("amounts and weights may not be negative")
    whole = sum(weights)
    if whole == 0:
        if total:
            raise ValueError("nothing to split by")
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def share_out(certificate_parts: Sequence[int], payments: Sequence[int]) -> list[list[int]]:
    """The table of shares, a row a certificate and a column a payment.

    No cell is negative, each row sums to its certificate's part, each column to its payment, and every cell is the
    proportional amount rounded up or down. Raises ValueError when the two sums differ or an amount is negative.
    """
    if any(amount < 0 for amount in (*certificate_parts, *payments)):
        raise ValueError("amounts may not be negative")
    if sum(certificate_parts) != sum(payments):
        raise ValueError("the certificates' parts and the payments do not sum to the same amount")
    return _Rounding(certificate_parts, payments).cells()


class _Rounding:
    """Controlled rounding of a table: every cell rounded down, then single units placed by augmenting paths.

    A place for each unit exists always: the fractions that were cut off are themselves a flow that fills every gap,
    and a flow with whole gaps has a whole solution.
    """

    def __init__(self, rows: Sequence[int], columns: Sequence[int]) -> None:
        whole = sum(rows) or 1
        self.floors = [[row * column // whole for column in columns] for row in rows]
        self.fractions = [[row * column % whole for column in columns] for row in rows]
        self.raised = [[False] * len(columns) for _ in rows]
        self.column_gaps = [column - sum(row[j] for row in self.floors) for j, column in enumerate(columns)]
        self.row_gaps = [row - sum(cells) for row, cells in zip(rows, self.floors, strict=True)]

    def cells(self) -> list[list[int]]:
        for row, gap in enumerate(self.row_gaps):
            for _ in range(gap):
                self._place(row, set())
        return [
            [floor + raised for floor, raised in zip(*lines, strict=True)]
            for lines in zip(self.floors, self.raised, strict=True)
        ]

    def _place(self, row: int, seen: set[int]) -> bool:
        for column in self._candidates(row):
            if column not in seen:
                seen.add(column)
                if self._take_gap(column) or self._move_aside(column, seen):
                    self.raised[row][column] = True
                    return True
        return False

    def _candidates(self, row: int) -> list[int]:
        columns = range(len(self.column_gaps))
        free = [j for j in columns if self.fractions[row][j] and not self.raised[row][j]]
        return sorted(free, key=lambda j: -self.fractions[row][j])

    def _take_gap(self, column: int) -> bool:
        if self.column_gaps[column] == 0:
            return False
        self.column_gaps[column] -= 1
        return True

    def _move_aside(self, column: int, seen: set[int]) -> bool:
        for row, raised in enumerate(self.raised):
            if raised[column] and self._place(row, seen):
                raised[column] = False
                return True
        return False
