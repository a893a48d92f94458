"""How an order's amounts are divided among its certificates. Pure; every amount is a whole number of minor units.

A step is the smallest unit that a channel can pay back, in minor units: 10 for a card payment in KWD, usually 1.
"""

from collections.abc import Sequence


class CannotShareOut(Exception):
    """No table of shares in the payments' steps exists for these amounts."""


def split(total: int, weights: Sequence[int], *, step: int = 1) -> list[int]:
    """Split `total` in proportion to `weights`, in multiples of `step`, by largest remainder; ties go to the left.

    Raises ValueError when `total` or a weight is negative, a total above 0 meets weights that are all 0, or `total` is
    not a multiple of `step`.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("amounts and weights may not be negative")
    steps, rest = divmod(total, step)
    if rest:
        raise ValueError(f"{total} is not a multiple of {step}")
    whole = sum(weights)
    if whole == 0:
        if total:
            raise ValueError("nothing to split by")
        return [0] * len(weights)
    parts = [steps * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(steps * weights[i] % whole))
    for i in by_remainder[: steps - sum(parts)]:
        parts[i] += 1
    return [part * step for part in parts]


def share_out(certificate_parts: Sequence[int], payments: Sequence[int], steps: Sequence[int] = ()) -> list[list[int]]:
    """The table of shares: one row per certificate, one column per payment.

    `steps` has each payment's step, by default 1: either all are alike, or each is 1 or the same greater one. No cell
    is negative, each row sums to its certificate's part and each column to its payment. A cell is a multiple of its
    payment's step and less than one step away from the proportional amount. Where steps differ, the payments with step
    1 carry what the others' steps leave over, so their cells too may be up to the greater step away.

    Raises CannotShareOut when no such table exists, and ValueError when the two sums differ or an amount is negative.
    """
    if any(amount < 0 for amount in (*certificate_parts, *payments)):
        raise ValueError("amounts may not be negative")
    if sum(certificate_parts) != sum(payments):
        raise ValueError("the certificates' parts and the payments do not sum to the same amount")
    steps = steps or [1] * len(payments)
    if any(payment % step for payment, step in zip(payments, steps, strict=True)):
        raise CannotShareOut("a payment is not a multiple of its step")
    if len(set(steps)) > 1:
        return _share_out_mixed(certificate_parts, payments, steps)
    step = steps[0] if steps else 1
    if any(part % step for part in certificate_parts):
        raise CannotShareOut("a certificate's part is not a multiple of the step")
    table = _share_out_evenly([part // step for part in certificate_parts], [amount // step for amount in payments])
    return [[cell * step for cell in row] for row in table]


def _share_out_evenly(rows: Sequence[int], columns: Sequence[int]) -> list[list[int]]:
    """Every cell is the proportional amount rounded up or down. A solution always exists.

    The fractions that were cut off are themselves a flow that fills every gap, and a flow with whole gaps has a whole
    solution.
    """
    whole = sum(rows) or 1
    fractions = [[row * column % whole for column in columns] for row in rows]
    rounding = _Rounding(
        [[row * column // whole for column in columns] for row in rows], [_largest_first(each) for each in fractions]
    )
    return rounding.fill(rows, columns)


def _largest_first(fractions: Sequence[int]) -> list[int]:
    """The places of all fractions above 0, the largest first, then from the left."""
    return sorted((j for j, fraction in enumerate(fractions) if fraction), key=lambda j: -fractions[j])


# --- Payments of different steps ----------------------------------------------------------------


def _share_out_mixed(parts: Sequence[int], payments: Sequence[int], steps: Sequence[int]) -> list[list[int]]:
    """First the payments with the greater step, which are harder to place; then what they leave to the others."""
    step = max(steps)
    if not set(steps) <= {1, step}:
        raise ValueError(f"steps of {sorted(set(steps))} in one order")
    coarse = [j for j, each in enumerate(steps) if each == step]
    fine = [j for j, each in enumerate(steps) if each == 1]
    in_steps = _share_out_coarse(parts, [payments[j] for j in coarse], step)
    left = [part - sum(row) for part, row in zip(parts, in_steps, strict=True)]
    rest = _share_out_left(left, parts, [payments[j] for j in fine], step)
    place = {j: i for i, j in enumerate([*coarse, *fine])}
    rows = [[*coarse_cells, *fine_cells] for coarse_cells, fine_cells in zip(in_steps, rest, strict=True)]
    return [[row[place[j]] for j in range(len(payments))] for row in rows]


def _share_out_coarse(parts: Sequence[int], columns: Sequence[int], step: int) -> list[list[int]]:
    """The cells of the payments with the greater step, each the proportional amount rounded to a step above or below.

    A row's sum is rounded likewise, up only where the part has room. The last column of the rounding stands for
    "rounded down": as many rows go there as must.
    """
    # Where all parts are 0, so are all cells.
    total, unit = sum(columns), (sum(parts) or 1) * step
    down = len(columns)
    floors, choices, rows, remainders = [], [], [], []
    for part in parts:
        sum_of_row, remainder = divmod(part * total, unit)
        may_round_up = remainder > 0 and (sum_of_row + 1) * step <= part
        floors.append([*(part * column // unit for column in columns), 0])
        choices.append(_largest_first([part * column % unit for column in columns]) + [down] * may_round_up)
        rows.append(sum_of_row + may_round_up)
        remainders.append(remainder)
    rounded_down = sum(rows) - total // step
    if rounded_down < 0:
        raise CannotShareOut("the other payments are too small to carry what the steps leave over")
    order = sorted(range(len(parts)), key=lambda i: -remainders[i])
    table = _Rounding(floors, choices).fill(rows, [*(column // step for column in columns), rounded_down], order)
    return [[cell * step for cell in row[:down]] for row in table]


def _share_out_left(left: Sequence[int], parts: Sequence[int], columns: Sequence[int], step: int) -> list[list[int]]:
    """What is left of each part, divided among the payments with step 1 so that no cell is a greater step away."""
    whole, total = sum(parts), sum(columns) or 1
    floors, choices = [], []
    for rest, part in zip(left, parts, strict=True):
        cells, may_round_up = [], []
        for column in columns:
            floor, remainder = divmod(rest * column, total)
            highest, lowest = part * column + step * whole, part * column - step * whole
            is_too_low = floor * whole <= lowest
            cells.append(floor + is_too_low)
            may_round_up.append(0 if is_too_low or (floor + 1) * whole >= highest else remainder)
        floors.append(cells)
        choices.append(_largest_first(may_round_up))
    return _Rounding(floors, choices).fill(left, columns)


# --- Rounding -----------------------------------------------------------------------------------


class _Rounding:
    """Controlled rounding of a table: every cell rounded down, then single units placed by augmenting paths.

    `choices` names for each row the columns whose cell may be rounded up, the best first. What can be placed at all is
    placed.
    """

    def __init__(self, floors: list[list[int]], choices: list[list[int]]) -> None:
        self.floors = floors
        self.choices = choices
        self.raised = [[False] * len(cells) for cells in floors]
        self.column_gaps: list[int] = []

    def fill(self, rows: Sequence[int], columns: Sequence[int], order: Sequence[int] = ()) -> list[list[int]]:
        """The cells, summing to `rows` and `columns`. Raises CannotShareOut.

        With an `order` rows choose in it, and an earlier one gives way only where a later one has no other choice.
        """
        self.column_gaps = [column - sum(row[j] for row in self.floors) for j, column in enumerate(columns)]
        row_gaps = [row - sum(cells) for row, cells in zip(rows, self.floors, strict=True)]
        if min(*self.column_gaps, *row_gaps, 0, 0) < 0:
            raise CannotShareOut("no table has these sums")
        for row in order or range(len(rows)):
            for _ in range(row_gaps[row]):
                if not (order and self._take_free(row)) and not self._place(row, set()):
                    raise CannotShareOut("no table has these sums")
        return [
            [floor + raised for floor, raised in zip(*lines, strict=True)]
            for lines in zip(self.floors, self.raised, strict=True)
        ]

    def _take_free(self, row: int) -> bool:
        for column in self.choices[row]:
            if not self.raised[row][column] and self._take_gap(column):
                self.raised[row][column] = True
                return True
        return False

    def _place(self, row: int, seen: set[int]) -> bool:
        for column in self.choices[row]:
            if not self.raised[row][column] and column not in seen:
                seen.add(column)
                if self._take_gap(column) or self._move_aside(column, seen):
                    self.raised[row][column] = True
                    return True
        return False

    def _take_gap(self, column: int) -> bool:
        if self.column_gaps[column] <= 0:
            return False
        self.column_gaps[column] -= 1
        return True

    def _move_aside(self, column: int, seen: set[int]) -> bool:
        for row, raised in enumerate(self.raised):
            if raised[column] and self._place(row, seen):
                raised[column] = False
                return True
        return False
