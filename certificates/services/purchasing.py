"""Buying certificates, anew or as a renewal, from the account balance."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Upper

from certificates.actions import can_renew
from certificates.exceptions import (
    CertificateHeld,
    InvalidBasket,
    NotAllowed,
    NotForSale,
    RenewedAlready,
    TermsChanged,
    VoucherRefused,
    WillBeReissued,
    WrongState,
)
from certificates.models import Certificate, Order, OrderPayment, Product, Voucher
from certificates.orders import MOST_CERTIFICATES, CertificateLine, OrderToStore, PaymentLine
from certificates.prices import FEWEST_NAMES, MOST_NAMES, Bill, bill, unit_price
from certificates.quotes import Basket, Quote
from certificates.renewals import bonus_days, is_near_its_end, names_of, service_end
from certificates.services.locking import lock_for_owner
from certificates.sharing import Claims, share_order
from certificates.states import CertificateState, DomainType, Level
from certificates.storing import store_orders
from core import audit
from core.clock import service_day
from core.models import User
from payments.balances import balance_of, lock_known_balance, pay_from_balance
from payments.models import LedgerAccount
from payments.states import Channel

# Below the certificate that it renews, and above whatever else was bought then: those stand 10 microseconds apart.
JUST_BELOW = timedelta(microseconds=1)
NUMBER_DIGITS = 10


# --- What it would cost ------------------------------------------------------------------------


def quote(basket: Basket, *, by: User, at: datetime) -> Quote:
    """The terms on which `by` could buy now.

    Raises NotForSale, InvalidBasket, VoucherRefused and CannotBeShared; for a renewal also what `require_renewable`
    raises.
    """
    product = Product.objects.filter(pk=basket.product_id).first()
    if product is None or product.price is None:
        raise NotForSale(str(product))
    old = _renewed(basket, by, at) if basket.renews else None
    if old is None:
        _require_sensible(basket, product)
    costs = _bill(basket, product, by, at)
    _require_shares(basket, costs, product.currency)
    return Quote(
        currency=product.currency,
        unit_price=costs.unit_price,
        list_amount=costs.list_amount,
        voucher_amount=costs.voucher_amount,
        voucher_left=costs.voucher_left,
        paid_amount=costs.paid_amount,
        balance=balance_of(by.pk, product.currency) if costs.paid_amount else None,
        bonus_days=bonus_days(old, product, at) if old else 0,
    )


def renewal_basket(certificate: Certificate, voucher_code: str = "") -> Basket:
    """What a renewal buys: one more of the same. The certificate comes with its product; raises WrongState."""
    if certificate.product_id is None:  # uploaded
        raise WrongState(certificate)
    return Basket(certificate.product_id, names_of(certificate), 1, voucher_code, certificate.pk)


def require_renewable(certificate: Certificate, *, at: datetime) -> None:
    """Raise CertificateHeld, WrongState (not in Pending Expiration), WillBeReissued or RenewedAlready."""
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    if not is_near_its_end(certificate, at):
        raise WrongState(certificate)
    if not can_renew(certificate, at):
        raise WillBeReissued(str(certificate))
    if Certificate.objects.filter(renewal_of=certificate).exclude(state=CertificateState.REFUNDED).exists():
        raise RenewedAlready(str(certificate))


def _renewed(basket: Basket, by: User, at: datetime) -> Certificate:
    old = Certificate.objects.owned_by(by).select_related("product").filter(pk=basket.renews).first()
    if old is None or basket != renewal_basket(old, basket.voucher_code):
        raise InvalidBasket(str(basket))
    require_renewable(old, at=at)
    return old


def _require_sensible(basket: Basket, product: Product) -> None:
    is_multi = product.domain_type == DomainType.MULTI
    fewest, most = (FEWEST_NAMES, MOST_NAMES) if is_multi else (1, 1)
    if not (fewest <= basket.names <= most and 1 <= basket.quantity <= MOST_CERTIFICATES):
        raise InvalidBasket(str(basket))


def _bill(basket: Basket, product: Product, by: User, at: datetime) -> Bill:
    unit = unit_price(product.price or 0, product.further_name_price, basket.names)
    voucher = _voucher(basket, product, by, at)
    return bill(unit, basket.quantity, voucher.amount if voucher else 0)


def _require_shares(basket: Basket, costs: Bill, currency: str) -> None:
    """Raises CannotBeShared: what can't be refunded certificate by certificate isn't sold."""
    payments = _payments(costs.paid_amount)
    share_order(
        costs.paid_amount, costs.voucher_amount, payments, Claims([costs.unit_price] * basket.quantity), currency
    )


def _payments(paid_amount: int, reference: str = "") -> tuple[PaymentLine, ...]:
    return (PaymentLine(Channel.BALANCE, paid_amount, reference),) if paid_amount else ()


def _voucher(basket: Basket, product: Product, by: User, at: datetime) -> Voucher | None:
    """The voucher of the basket, fit to pay for it; None for none. Raises VoucherRefused."""
    if not basket.voucher_code:
        return None
    voucher = _vouchers_of(by, basket.voucher_code).first()
    if voucher is None:
        raise VoucherRefused(VoucherRefused.UNKNOWN)
    if voucher.order_id:
        raise VoucherRefused(VoucherRefused.USED)
    if voucher.expires_at <= at:
        raise VoucherRefused(VoucherRefused.EXPIRED)
    if product.free:
        raise VoucherRefused(VoucherRefused.NOT_NEEDED)
    if voucher.currency != product.currency:
        raise VoucherRefused(VoucherRefused.CURRENCY)
    return voucher


def _vouchers_of(account: User, code: str) -> QuerySet[Voucher]:
    return Voucher.objects.alias(upper=Upper("code")).filter(account=account, upper=code.upper())


# --- Buying ------------------------------------------------------------------------------------


def buy(basket: Basket, *, agreed: Quote, form_key: UUID, by: User, at: datetime) -> Order:
    """Buy on the terms agreed to, and pay from the balance. The same form again gives its first order.

    Raises NotAllowed, TermsChanged, NotEnoughBalance and what `quote` and `lock_for_owner` raise; then nothing is
    stored and nothing paid.
    """
    try:
        with transaction.atomic():
            return _buy(basket, agreed, form_key=form_key, by=by, at=at)
    except IntegrityError:
        # The same form, sent twice at once: what costs nothing has no balance whose lock would let one wait.
        if known := bought_with(form_key, by=by):
            return known
        raise


def bought_with(form_key: UUID, *, by: User) -> Order | None:
    """The order that was bought with a form."""
    return Order.objects.filter(form_key=form_key, account=by).first()


def _buy(basket: Basket, agreed: Quote, *, form_key: UUID, by: User, at: datetime) -> Order:
    if not by.is_active:
        raise NotAllowed(str(by))
    balance = lock_known_balance(by.pk, agreed.currency)
    if known := bought_with(form_key, by=by):
        return known
    old = lock_for_owner(basket.renews, by=by) if basket.renews else None
    voucher = _vouchers_of(by, basket.voucher_code).select_for_update(of=("self",)).first()
    now = quote(basket, by=by, at=at)
    if now != agreed:
        raise TermsChanged(now)
    order = _store(basket, now, old, form_key=form_key, by=by, at=at)
    _pay(order, balance, by=by, at=at)
    if voucher:
        voucher.order = order
        voucher.save()
    _record(order, basket, old, voucher, by=by, at=at)
    return order


def _store(basket: Basket, now: Quote, old: Certificate | None, *, form_key: UUID, by: User, at: datetime) -> Order:
    number = _new_number(at)
    line = _line(basket, now, old, at)
    # One whose money is back renews nothing any more, and makes room for another.
    Certificate.objects.filter(renewal_of=old, renewal_of__isnull=False).update(renewal_of=None)
    store_orders(
        [
            OrderToStore(
                number=number,
                account=by.username,
                paid_at=at,
                currency=now.currency,
                list_amount=now.list_amount,
                voucher_amount=now.voucher_amount,
                paid_amount=now.paid_amount,
                payments=_payments(now.paid_amount, number),
                certificates=(line,) * basket.quantity,
                form_key=form_key,
            )
        ]
    )
    return Order.objects.get(number=number)


def _line(basket: Basket, now: Quote, old: Certificate | None, at: datetime) -> CertificateLine:
    product = Product.objects.get(pk=basket.product_id)
    return CertificateLine(
        brand=product.brand,
        level=Level(product.level),
        domain_type=DomainType(product.domain_type),
        free=product.free,
        price=now.unit_price,
        domains=(),
        names_bought=basket.names,
        service_ends_at=service_end(now.bonus_days, at),
        renewal_of=old.pk if old else None,
        listed_at=old.listed_at - JUST_BELOW if old else None,
    )


def _new_number(at: datetime) -> str:
    """The service's day and random digits: a number tells nobody how much is sold."""
    while True:
        number = f"{service_day(at):%Y%m%d}{secrets.randbelow(10**NUMBER_DIGITS):0{NUMBER_DIGITS}}"
        if not Order.objects.filter(number=number).exists():
            return number


def _pay(order: Order, balance: LedgerAccount | None, *, by: User, at: datetime) -> None:
    for link in OrderPayment.objects.filter(order=order).select_related("payment"):
        pay_from_balance(balance, link.payment, by=by, at=at)


def _record(
    order: Order, basket: Basket, old: Certificate | None, voucher: Voucher | None, *, by: User, at: datetime
) -> None:
    detail = {
        "product": basket.product_id,
        "quantity": basket.quantity,
        "names": basket.names,
        "currency": order.currency,
        "list": order.list_amount,
        "voucher": voucher.code if voucher else "",
        "voucher_amount": order.voucher_amount,
        "paid": order.paid_amount,
        "renews": str(old or ""),
    }
    audit.record(order, "bought", by=by, at=at, detail=detail)
    if voucher:
        audit.record(voucher, "used", by=by, at=at, detail={"order": order.number, "amount": order.voucher_amount})
    if old:
        audit.record(old, "renewed", by=by, at=at, detail={"order": order.number})
