"""What stands on the shelf, what is on the account, and how a customer presses the buttons of Purchase Certificate."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate, Order, Product, Voucher
from certificates.quotes import Basket
from certificates.services import purchasing
from certificates.states import DomainType, Level
from core.models import User
from payments.balances import balance_of, credit_balance
from tests import factories
from tests.customer.pages import field
from tests.factories import NOON

PURCHASE = "/purchase/"
DV_PRICE = 29_800


def for_sale(price: int | None, *, further: int = 0, currency: str = "CNY", **kind: Any) -> Product:
    """A product with its price; one that stands there already without any gets it."""
    product = factories.ProductFactory(**kind)
    product.price, product.further_name_price, product.currency = price, further, currency
    product.save()
    return product


def dv(price: int | None = DV_PRICE, **fields: Any) -> Product:
    return for_sale(price, **fields)


def multi(**fields: Any) -> Product:
    """980.00 for the first name and 120.00 for each one after it."""
    return for_sale(98_000, further=12_000, **{"brand": "GlobalSign", "domain_type": DomainType.MULTI, **fields})


def ov(price: int | None = 188_000) -> Product:
    return for_sale(price, brand="GlobalSign", level=Level.OV)


def free_dv() -> Product:
    return for_sale(0, free=True)


def treasurer() -> User:
    """Staff who may credit balances."""
    known = User.objects.filter(username="treasurer").first()
    return known or factories.staff("treasurer", "payments.credit_balance", "payments.view_ledgeraccount")


def put_on_balance(account: User, amount: int, currency: str = "CNY") -> None:
    before = balance_of(account.pk, currency)
    credit_balance(account, amount, currency, seen=before, by=treasurer(), at=NOON, note="paid in at the counter")


def voucher(account: User, amount: int = 10_000, **fields: Any) -> Voucher:
    kept = {"code": "SPRING-2026", "expires_at": NOON + timedelta(days=30), **fields}
    return Voucher.objects.create(account=account, amount=amount, **kept)


def buy(account: User, basket: Basket, *, key: UUID | None = None, at: datetime = NOON) -> Order:
    """Buy as the panel does: shown now, bought at once."""
    agreed = purchasing.quote(basket, by=account, at=at)
    return purchasing.buy(basket, agreed=agreed, form_key=key or uuid4(), by=account, at=at)


def near_its_end(account: User, product: Product, *, days: int = 10, **fields: Any) -> Certificate:
    """An issued certificate that expires so many days after NOON."""
    ago = timedelta(days=365 - days)
    return factories.issued(account, ago=ago, product=product, bought=ago, **fields)


# --- Through the panel -------------------------------------------------------------------------


def chosen(product: Product | None, **typed: Any) -> dict[str, Any]:
    """What a form holds that was filled in."""
    product_id = "" if product is None else str(product.pk)
    return {"product": product_id, "names": "2", "quantity": "1", "voucher": "", **typed}


def look(client: Client, product: Product, **typed: Any) -> HttpResponse:
    """Step 2."""
    page = client.post(PURCHASE, {**chosen(product, **typed), "step": "next"})
    assert page.status_code == 200, page.content.decode()
    return page


def press(client: Client, page: HttpResponse, step: str, address: str = PURCHASE, **typed: Any) -> HttpResponse:
    """Press a button of step 2: what the page carries, and what is altered in it."""
    names = ("voucher",) if address != PURCHASE else ("product", "names", "quantity", "voucher")
    carried = {name: field(page, name) for name in ("form", *names)}
    return client.post(address, {**carried, "step": step, **typed})


def nothing_bought(account: User) -> bool:
    """Neither an order nor a mark on a voucher."""
    return not (
        Order.objects.filter(account=account, form_key__isnull=False).exists()
        or Voucher.objects.exclude(order=None).exists()
    )
