"""What the demo sells, and what its customers can pay with."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from certificates.models import Product, Voucher
from certificates.states import AuthorityName
from console.demo import making
from core.models import User
from payments.balances import credit_balance

FOR_SALE = (
    *(making.FREE_DV, making.DV, making.DV_WILDCARD, making.DV_MULTI, making.OV, making.OV_WILDCARD),
    *(making.OV_MULTI, making.EV, making.EV_MULTI),
)
FURTHER_NAME = {making.DV_MULTI: 14_800, making.OV_MULTI: 48_000, making.EV_MULTI: 98_000}
# Minor units of CNY, beside what refunds have brought.
CREDITS = {"customer": 1_000_000, "neighbour": 50_000}


def offer_products() -> None:
    for product in FOR_SALE:
        Product.objects.update_or_create(
            brand=product.brand,
            level=product.level,
            domain_type=product.domain_type,
            free=product.free,
            defaults={
                "price": product.price,
                "further_name_price": FURTHER_NAME.get(product, 0),
                # Never one outside, whatever such a product came from before.
                "authority": AuthorityName.EMBEDDED,
            },
        )


def give_means(people: Mapping[str, User], *, at: datetime) -> None:
    """A balance for each customer, credited by staff, and a voucher."""
    for name, amount in CREDITS.items():
        credit_balance(
            people[name], amount, "CNY", seen=0, by=people["cashier"], at=at, note="Paid in by bank transfer."
        )
    Voucher.objects.create(
        code="WELCOME-100", account=people["customer"], amount=10_000, expires_at=at + timedelta(days=90)
    )
