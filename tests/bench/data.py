"""Two customers to measure with: one with few certificates, one with many, in every state and at every age."""

import sys
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from tqdm import tqdm

from certificates.models import Certificate
from certificates.orders import CertificateLine, OrderToStore, PaymentLine
from certificates.states import DomainType, Level
from certificates.storing import store_orders
from core.models import User

BATCH = 500


def build(sizes: list[int], at: datetime) -> None:
    """Store a customer per size, `bench-<size>`, with as many certificates, bought over three years before `at`."""
    for size in sizes:
        with tqdm(total=size, desc=f"bench-{size}", file=sys.stderr, disable=None) as bar:
            for start in range(0, size, BATCH):
                numbers = range(start, min(start + BATCH, size))
                with transaction.atomic():
                    store_orders([_order(size, number, at) for number in numbers])
                bar.update(len(numbers))
    User.objects.update(password=make_password("refund-demo"), is_staff=True, is_superuser=True)


def is_built(sizes: list[int]) -> bool:
    return all(Certificate.objects.filter(account__username=f"bench-{size}").count() == size for size in sizes)


def _order(size: int, number: int, at: datetime) -> OrderToStore:
    paid_at = at - timedelta(minutes=17 + number * 3 * 365 * 1440 // size)
    return OrderToStore(
        number=f"bench-{size}-{number}",
        account=f"bench-{size}",
        paid_at=paid_at,
        currency="CNY",
        list_amount=120_000,
        paid_amount=120_000,
        payments=(PaymentLine("balance", 120_000, f"bench-{size}-{number}"),),
        certificates=(_line(number, paid_at, at),),
    )


def _line(number: int, paid_at: datetime, at: datetime) -> CertificateLine:
    """A third each: unissued, issued, revoked; one in four is of several domains."""
    issued_at = paid_at + timedelta(minutes=10) if number % 3 else None
    names = [f"shop{number}.example.com", f"www.shop{number}.example.com", f"api.shop{number}.example.com"]
    is_multi = number % 4 == 0
    return CertificateLine(
        brand="DigiCert",
        level=Level.DV,
        domain_type=DomainType.MULTI if is_multi else DomainType.SINGLE,
        domains=tuple(names if is_multi else names[:1]),
        service_ends_at=paid_at + timedelta(days=365),
        submitted_at=issued_at,
        validated_at=issued_at,
        issued_at=issued_at,
        revocation_requested_at=issued_at if number % 3 == 2 else None,
        revoked_at=issued_at if number % 3 == 2 else None,
    )
