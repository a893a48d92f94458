"""What each certificate of an order carries of its amounts, and which payment paid it. Pure; amounts in minor units."""

from collections.abc import Sequence
from dataclasses import dataclass

from certificates.exceptions import CannotBeShared
from certificates.orders import CertificateLine, OrderToStore, PaymentLine
from payments.channels import step_of
from payments.money import CannotShareOut, share_out, split


@dataclass(frozen=True, slots=True)
class Shares:
    """For each certificate its part of the paid and of the voucher amount; `table` has a column for each payment."""

    paid: list[int]
    vouchers: list[int]
    table: list[list[int]]


@dataclass(frozen=True, slots=True)
class Claims:
    """What the certificates share in proportion to. Where these are their prices, no part goes beyond them."""

    weights: list[int]
    are_prices: bool = True


def shares_of(order: OrderToStore) -> Shares:
    """Raises as `share_order`."""
    claims = claims_of(order.certificates)
    return share_order(order.paid_amount, order.voucher_amount, order.payments, claims, order.currency)


def claims_of(certificates: Sequence[CertificateLine]) -> Claims:
    """Every certificate claims its price. A free one has a price of 0 where it has none.

    Where another one has no price, those that are not free share evenly, and free ones carry nothing.
    """
    if any(line.price is None and not line.free for line in certificates):
        return Claims([0 if line.free else 1 for line in certificates], are_prices=False)
    return Claims([line.price or 0 for line in certificates])


def share_order(paid: int, voucher: int, payments: Sequence[PaymentLine], claims: Claims, currency: str) -> Shares:
    """Divide an order's amounts so that every share can be refunded through its payment's channel.

    Raises CannotBeShared when the amounts don't allow that, and ValueError when they don't add up.
    """
    steps = [step_of(payment.channel, currency) for payment in payments]
    for payment, step in zip(payments, steps, strict=True):
        if payment.amount % step:
            raise CannotBeShared(CannotBeShared.PAYMENT, payment, step, currency)
    cause = CannotBeShared.PRICES
    try:
        paid_parts, voucher_parts = _parts(paid, voucher, claims, min(steps, default=1))
        cause = CannotBeShared.REMAINDERS
        table = share_out(paid_parts, [payment.amount for payment in payments], steps)
    except CannotShareOut:
        step = max(steps)
        raise CannotBeShared(cause, payments[steps.index(step)], step, currency) from None
    return Shares(paid_parts, voucher_parts, table)


def _parts(paid: int, voucher: int, claims: Claims, step: int) -> tuple[list[int], list[int]]:
    """Each certificate's parts of the paid and of the voucher amount; raises CannotShareOut."""
    if step > 1:
        return _parts_in_steps(paid, voucher, claims, step)
    settled = split(paid + voucher, claims.weights)
    # Splitting what was split keeps the two parts of a certificate at or below its price.
    paid_parts = split(paid, settled)
    return paid_parts, _difference(settled, paid_parts)


def _parts_in_steps(paid: int, voucher: int, claims: Claims, step: int) -> tuple[list[int], list[int]]:
    """The paid amount in steps, and the voucher's too where that is possible: no channel ever pays that back."""
    paid_parts = split(paid, claims.weights, step=step)
    is_in_steps = voucher % step == 0
    if is_in_steps:
        voucher_parts = _difference(split(paid + voucher, claims.weights, step=step), paid_parts)
        if _is_fair(paid_parts, voucher_parts, claims, step):
            return paid_parts, voucher_parts
    if not claims.are_prices:
        return paid_parts, split(voucher, claims.weights, step=step if is_in_steps else 1)
    # The prices are divided into what was paid, what the voucher paid, and the discount.
    amounts = [paid, voucher, sum(claims.weights) - paid - voucher]
    table = share_out(claims.weights, amounts, [step, 1, 1])
    return [row[0] for row in table], [row[1] for row in table]


def _is_fair(paid_parts: list[int], voucher_parts: list[int], claims: Claims, step: int) -> bool:
    """Whether no voucher part is negative or a step away from the proportional one, and none passes its price."""
    voucher, whole = sum(voucher_parts), sum(claims.weights)
    return all(
        gift >= 0
        and abs(gift * whole - voucher * weight) < step * max(whole, 1)
        and (mine + gift <= weight or not claims.are_prices)
        for mine, gift, weight in zip(paid_parts, voucher_parts, claims.weights, strict=True)
    )


def _difference(wholes: list[int], parts: list[int]) -> list[int]:
    return [whole - part for whole, part in zip(wholes, parts, strict=True)]
