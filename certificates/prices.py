"""What a purchase costs. Pure; every amount is a whole number of minor units of one currency."""

from dataclasses import dataclass

# Names of one Multi-Domain certificate; of any other type it is one.
FEWEST_NAMES, MOST_NAMES = 2, 100


@dataclass(frozen=True, slots=True)
class Bill:
    """The amounts of one purchase. What a voucher covers beyond the list price is in `voucher_left`, and lost."""

    unit_price: int
    list_amount: int
    voucher_amount: int
    voucher_left: int
    paid_amount: int


def unit_price(first: int, further: int, names: int) -> int:
    """The list price of one certificate: `first` for its first name, `further` for each one after it."""
    if min(first, further) < 0 or names < 1:
        raise ValueError("prices may not be negative, and a certificate has a name")
    return first + further * (names - 1)


def bill(unit: int, quantity: int, voucher: int = 0) -> Bill:
    """The bill for so many certificates of one price, with a voucher of so much (0 for none)."""
    if min(unit, voucher) < 0 or quantity < 1:
        raise ValueError("amounts may not be negative, and one certificate is the least")
    total = unit * quantity
    covered = min(voucher, total)
    return Bill(unit, total, covered, voucher - covered, total - covered)
