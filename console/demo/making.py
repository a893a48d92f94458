"""Makes orders of the demo from a few words each. Days are days ago; prices are minor units of the order's currency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from certificates.models import new_instance_id
from certificates.orders import CertificateLine, OrderToStore, PaymentLine
from certificates.states import CertificateState, DomainType, Level
from certificates.x509 import Handover
from console.demo.days import Days
from console.demo.enrolling import Enroller
from payments.money import split
from payments.states import Channel

YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Product:
    brand: str
    level: Level
    domain_type: DomainType
    price: int
    free: bool = False


FREE_DV = Product("DigiCert", Level.DV, DomainType.SINGLE, 0, free=True)
DV = Product("DigiCert", Level.DV, DomainType.SINGLE, 29_800)
DV_WILDCARD = Product("DigiCert", Level.DV, DomainType.WILDCARD, 168_000)
DV_MULTI = Product("GlobalSign", Level.DV, DomainType.MULTI, 98_000)
OV = Product("GlobalSign", Level.OV, DomainType.SINGLE, 188_000)
OV_WILDCARD = Product("GlobalSign", Level.OV, DomainType.WILDCARD, 468_000)
OV_MULTI = Product("Entrust", Level.OV, DomainType.MULTI, 428_000)
EV = Product("DigiCert", Level.EV, DomainType.SINGLE, 488_000)
EV_MULTI = Product("Entrust", Level.EV, DomainType.MULTI, 698_000)


@dataclass(frozen=True)
class Item:
    """One certificate of an order. `label` is how a story finds it."""

    product: Product
    names: Sequence[str] = ()
    label: str = ""
    submitted: int | None = None
    validated: int | None = None
    issued: int | None = None
    requested: int | None = None
    revoked: int | None = None
    failure: str = ""
    # Its application was handed in here, and runs at the console's own authority.
    runs: bool = False


@dataclass(frozen=True)
class Purchase:
    """An order ready to be stored, and what its certificates are in the demo, in their order."""

    order: OrderToStore
    items: tuple[Item, ...]


class Maker:
    """Writes the orders of one loading."""

    def __init__(self, days: Days, enroller: Enroller) -> None:
        self.days = days
        self.enroller = enroller
        self._numbers = count(1)

    def order(
        self,
        account: str,
        bought: int,
        *items: Item,
        by: Mapping[Channel, int] | None = None,
        voucher: int = 0,
        currency: str = "CNY",
        paid_at: datetime | None = None,
    ) -> Purchase:
        """An order of so many days ago; `by` weighs the channels that paid what the voucher did not."""
        at = paid_at or self.days.ago(bought, 9, 12)
        number = f"{at:%Y%m%d}{next(self._numbers):06}"
        total = sum(item.product.price for item in items)
        channels = by or {Channel.BALANCE: 1}
        amounts = split(total - voucher, list(channels.values()))
        payments = [
            PaymentLine(channel, amount, self._reference(channel, number))
            for channel, amount in zip(channels, amounts, strict=True)
            if amount
        ]
        order = OrderToStore(
            number=number,
            account=account,
            paid_at=at,
            currency=currency,
            list_amount=total,
            paid_amount=total - voucher,
            voucher_amount=voucher,
            payments=tuple(payments),
            certificates=tuple(self._line(item, at) for item in items),
        )
        return Purchase(order, items)

    def _reference(self, channel: Channel, number: str) -> str:
        """As each channel writes its own; the account balance gives none."""
        written = {
            Channel.ALIPAY: f"{number[:8]}22001{number[8:]:>015}",
            Channel.BANK: f"NB{number}",
            Channel.CARD: f"pi_demo_{number}",
        }
        return written.get(channel, "")

    def _line(self, item: Item, paid_at: datetime) -> CertificateLine:
        product, issued_at, instance_id = item.product, self._at(item.issued, 15), new_instance_id()
        return CertificateLine(
            instance_id=instance_id,
            brand=product.brand,
            level=product.level,
            domain_type=product.domain_type,
            free=product.free,
            price=product.price,
            domains=tuple(item.names),
            service_ends_at=paid_at + YEAR,
            submitted_at=self._at(item.submitted, 10),
            validated_at=self._at(item.validated, 13),
            issued_at=issued_at,
            revocation_requested_at=self._at(item.requested, 11),
            revoked_at=self._at(item.revoked, 16),
            handover=self._issue(item, instance_id, issued_at) if issued_at else None,
            **self._failed(item),
        )

    def _issue(self, item: Item, instance_id: str, at: datetime) -> Handover:
        return self.enroller.issue(instance_id, item.product.level, tuple(item.names), at)

    def _failed(self, item: Item) -> dict[str, Any]:
        if not item.failure:
            return {}
        return {"state": CertificateState.VALIDATION_FAILED, "failure_cause": item.failure}

    def _at(self, days: int | None, hour: int) -> datetime | None:
        return None if days is None else self.days.ago(days, hour)
