"""What the purchase panels show: the products for sale, the terms of a purchase, and the receipt of an order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from certificates.actions import Action, actions_of
from certificates.forms.purchasing import VoucherForm
from certificates.models import Certificate, Order, Product
from certificates.quotes import Basket, Quote
from certificates.renewals import service_end
from certificates.states import DomainType, Level, shown_state
from certificates.wording import STATE_MARKS, kind_of, name_of
from core.models import User
from core.money import format_money
from core.templatetags.console_format import chip
from payments.balances import balances_of

# --- The products for sale ---------------------------------------------------------------------

_LEVELS, _TYPES = list(Level), list(DomainType)


@dataclass(frozen=True, slots=True)
class Offered:
    """A product on the shelf."""

    id: str
    name: str
    price: str
    further: str
    is_multi: bool
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one brand offers."""

    brand: str
    products: list[Offered]


def choice(form: VoucherForm, account: User) -> dict[str, Any]:
    """What step 1 of a purchase shows."""
    return {
        "shelves": list(_shelves(Product.objects.exclude(price=None), str(form["product"].value() or ""))),
        "balances": balances_of(account.pk),
    }


def _shelves(products: Iterable[Product], chosen: str) -> Iterator[Shelf]:
    """By brand, then by level and type; what is free stands first."""
    in_order = sorted(products, key=_place)
    for brand, ones in groupby(in_order, key=lambda product: product.brand):
        yield Shelf(brand, [_offered(product, chosen) for product in ones])


def _place(product: Product) -> tuple[str, bool, int, int]:
    level, domain_type = _LEVELS.index(Level(product.level)), _TYPES.index(DomainType(product.domain_type))
    return product.brand, not product.free, level, domain_type


def _offered(product: Product, chosen: str) -> Offered:
    further = format_money(product.further_name_price, product.currency)
    is_multi = product.domain_type == DomainType.MULTI
    return Offered(
        id=str(product.pk),
        name=f"{product.get_level_display()} {product.get_domain_type_display()}",
        price=_("Free") if product.free else format_money(product.price or 0, product.currency),
        further=_("%(price)s for each further domain") % {"price": further} if is_multi else "",
        is_multi=is_multi,
        is_chosen=str(product.pk) == chosen,
    )


# --- The terms of a purchase -------------------------------------------------------------------


def terms(basket: Basket, quote: Quote, at: datetime) -> dict[str, Any]:
    """What step 2 shows, and what a renewal shows from the start."""
    product = Product.objects.get(pk=basket.product_id)
    return {
        "basket": basket,
        "quote": quote,
        "product": name_of(product),
        "is_multi": product.domain_type == DomainType.MULTI,
        "ends_at": service_end(quote.bonus_days, at),
    }


# --- The receipt -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bought:
    """One certificate of an order as its receipt shows it."""

    certificate: Certificate
    kind: str
    state: SafeString
    can_apply: bool


def receipt(order: Order, at: datetime) -> dict[str, Any]:
    certificates = order.certificates.select_related("product").defer("pem").order_by("position")
    bought = [_bought(certificate, at) for certificate in certificates]
    appliable = [line.certificate for line in bought if line.can_apply]
    return {
        "order": order,
        "bought": bought,
        "payments": [link.payment for link in order.order_payments.select_related("payment").order_by("payment_id")],
        "next": appliable[0] if len(appliable) == 1 else None,
        "are_appliable": bool(appliable),
    }


def _bought(certificate: Certificate, at: datetime) -> Bought:
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return Bought(
        certificate=certificate,
        kind=kind_of(certificate),
        state=chip(shown.label, STATE_MARKS[shown]),
        can_apply=Action.APPLY in actions_of(certificate, at),
    )
