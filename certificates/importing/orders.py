"""From judged rows to the order that they make."""

from datetime import datetime

from certificates.importing.rows import certificate_line, minor
from certificates.importing.spool import SpooledOrder
from certificates.orders import OrderToStore, PaymentLine
from core.money import parse_amount


def order_to_store(spooled: SpooledOrder) -> OrderToStore:
    """The order that judged rows make."""
    kept = spooled.first.values
    payments = (
        PaymentLine(part["channel"], parse_amount(part["amount"], kept["currency"]), part["reference"])
        for part in kept["payments"]
    )
    return OrderToStore(
        number=spooled.number,
        account=kept["account"],
        email=kept["email"],
        paid_at=datetime.fromisoformat(kept["paid_at"]),
        currency=kept["currency"],
        list_amount=minor(kept, "list_amount"),
        voucher_amount=minor(kept, "voucher_amount"),
        paid_amount=minor(kept, "paid_amount"),
        policy=kept["policy"],
        payments=tuple(payments),
        certificates=tuple(certificate_line(row) for row in spooled.rows),
    )
