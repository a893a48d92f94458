"""Stores whole orders, with everything that hangs on them: the one way in for purchases, the import and the demo."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import idna
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.db.models import Field

from certificates.models import (
    Certificate,
    Domain,
    ImportedRow,
    Order,
    OrderPayment,
    Product,
    SearchTerm,
    Share,
    new_instance_id,
    place_in_list,
)
from certificates.orders import CertificateLine, OrderToStore
from certificates.sharing import Shares, shares_of
from certificates.states import DomainType
from certificates.x509 import Handover
from core.bulk import insert_rows, reserve_keys
from core.models import User
from payments.models import Payment

ORDER_FIELDS = (
    *("id", "number", "account", "paid_at", "currency", "list_amount", "voucher_amount", "paid_amount", "policy"),
    "form_key",
)
PAYMENT_FIELDS = ("id", "account", "channel", "amount", "currency", "reference", "paid_at")
CERTIFICATE_FIELDS = (
    *("id", "instance_id", "account", "order", "position", "product", "name", "state", "failure_cause"),
    *("names_bought", "renewal_of", "currency", "paid_part", "voucher_part"),
    *("purchased_at", "listed_at", "service_ends_at"),
    *("submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at"),
    *("not_before", "not_after", "serial", "fingerprint", "pem"),
)
NO_HANDOVER = (None, None, "", "", "")
# SQLite's driver knows no UUID, and most orders have none: not worth a preparation of the whole column.
_FORM_KEY = cast("Field[Any, Any]", Order._meta.get_field("form_key"))


class Keyed(NamedTuple):
    """An order and the keys under which it and its parts are stored, each in the order given."""

    given: OrderToStore
    key: int
    account: int
    payments: list[int]
    certificates: list[int]
    shares: Shares

    @property
    def lines(self) -> Iterator[tuple[CertificateLine, int, int]]:
        """Each certificate with its key and its account's."""
        return ((line, key, self.account) for line, key in zip(self.given.certificates, self.certificates, strict=True))


def store_orders(orders: Sequence[OrderToStore]) -> list[int]:
    """Store new orders in the caller's transaction; return the keys of their certificates in the order given.

    Accounts that do not exist yet are made, without a password. Everything is taken as it is: the caller has checked
    it. Raises ValueError where amounts do not add up, CannotBeShared where they cannot be divided into shares that the
    channels can refund, and IntegrityError where something of it is stored already.
    """
    keyed = _keyed(orders)
    products = _products(line for order in orders for line in order.certificates)
    lines = [line for order in keyed for line in order.lines]
    insert_rows(Order, ORDER_FIELDS, map(_order, keyed))
    insert_rows(Payment, PAYMENT_FIELDS, (row for order in keyed for row in _payments(order)))
    insert_rows(Certificate, CERTIFICATE_FIELDS, (row for order in keyed for row in _certificates(order, products)))
    insert_rows(OrderPayment, ["order", "payment"], ((order.key, key) for order in keyed for key in order.payments))
    insert_rows(Share, ["certificate", "payment", "amount"], (row for order in keyed for row in _shares(order)))
    insert_rows(
        Domain, ["certificate", "position", "name"], (row for line, key, _ in lines for row in _names(line, key))
    )
    insert_rows(SearchTerm, ["certificate", "account", "text"], (row for line in lines for row in _terms(*line)))
    insert_rows(
        ImportedRow, ["certificate", "row"], ((key, line.row) for line, key, _ in lines if line.row is not None)
    )
    return [key for _line, key, _account in lines]


def search_terms(names: Iterable[str]) -> list[str]:
    """Each name and each name from its second, third… label on, every text once."""
    labels = [name.split(".") for name in names]
    return list(dict.fromkeys(".".join(parts[start:]) for parts in labels for start in range(len(parts))))


def _keyed(orders: Sequence[OrderToStore]) -> list[Keyed]:
    accounts = _accounts(orders)
    order_keys = reserve_keys(Order, len(orders))
    payment_keys = iter(reserve_keys(Payment, sum(len(order.payments) for order in orders)))
    certificate_keys = iter(reserve_keys(Certificate, sum(len(order.certificates) for order in orders)))
    return [
        Keyed(
            order,
            key,
            accounts[order.account],
            [next(payment_keys) for _ in order.payments],
            [next(certificate_keys) for _ in order.certificates],
            shares_of(order),
        )
        for key, order in zip(order_keys, orders, strict=True)
    ]


def _accounts(orders: Iterable[OrderToStore]) -> dict[str, int]:
    """The accounts' keys by name; those that are missing are made, and may set themselves a password by mail."""
    emails: dict[str, str] = {}
    for order in orders:
        emails[order.account] = emails.get(order.account) or order.email
    known = dict(User.objects.filter(username__in=emails).values_list("username", "pk"))
    missing = [
        User(username=name, email=email, password=make_password(None))
        for name, email in emails.items()
        if name not in known
    ]
    return known | {user.username: user.pk for user in User.objects.bulk_create(missing)}


def _products(lines: Iterable[CertificateLine]) -> dict[tuple[str, str, str, bool], Product]:
    wanted = dict.fromkeys((line.brand, line.level, line.domain_type, line.free) for line in lines)
    return {
        key: Product.objects.get_or_create(brand=key[0], level=key[1], domain_type=key[2], free=key[3])[0]
        for key in wanted
    }


def _order(order: Keyed) -> tuple[Any, ...]:
    given = order.given
    amounts = given.list_amount, given.voucher_amount, given.paid_amount
    key = given.form_key and _FORM_KEY.get_db_prep_save(given.form_key, connection)
    return order.key, given.number, order.account, given.paid_at, given.currency, *amounts, given.policy, key


def _payments(order: Keyed) -> Iterator[tuple[Any, ...]]:
    given = order.given
    for key, line in zip(order.payments, given.payments, strict=True):
        yield key, order.account, line.channel, line.amount, given.currency, line.reference, given.paid_at


def _certificates(order: Keyed, products: dict[tuple[str, str, str, bool], Product]) -> Iterator[tuple[Any, ...]]:
    given = order.given
    parts = zip(given.certificates, order.certificates, order.shares.paid, order.shares.vouchers, strict=True)
    for position, (line, key, paid, voucher) in enumerate(parts, 1):
        product = products[line.brand, line.level, line.domain_type, line.free]
        # Not applied for yet, it has no domain to be called by.
        name = line.domains[0] if line.domains else str(product)
        yield (
            *(key, line.instance_id or new_instance_id(), order.account, order.key, position, product.pk, name),
            *(line.first_state, line.failure_cause),
            *(line.names_bought, line.renewal_of, given.currency, paid, voucher, given.paid_at),
            *(line.listed_at or place_in_list(given.paid_at, position), line.service_ends_at),
            *(line.submitted_at, line.validated_at, line.issued_at, line.revocation_requested_at, line.revoked_at),
            *(_handed_over(line.handover) if line.handover else NO_HANDOVER),
        )


def _handed_over(handover: Handover) -> tuple[Any, ...]:
    return handover.not_before, handover.not_after, handover.serial, handover.fingerprint, handover.pem


def _shares(order: Keyed) -> Iterator[tuple[int, int, int]]:
    """What of each payment paid for each certificate; where that is nothing there is no row."""
    for certificate, amounts in zip(order.certificates, order.shares.table, strict=True):
        for payment, amount in zip(order.payments, amounts, strict=True):
            if amount:
                yield certificate, payment, amount


def _names(line: CertificateLine, key: int) -> Iterator[tuple[int, int, str]]:
    for position, name in enumerate(line.domains, 1):
        yield key, position, name


def _terms(line: CertificateLine, key: int, account: int) -> Iterator[tuple[int, int, str]]:
    without_domains = f"{line.brand} {line.level} {DomainType(line.domain_type).label}".lower()
    for text in search_terms([*line.domains, *map(readable, line.domains)]) or [without_domains]:
        yield key, account, text


def readable(name: str) -> str:
    """A name with its IDN labels as people write them; as it is where they cannot be read."""
    if "xn--" not in name:
        return name
    star, bare = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        return star + idna.decode(bare)
    except (idna.IDNAError, UnicodeError):
        return name
