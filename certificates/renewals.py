"""What is bought when a certificate is renewed, and what of the old one's time goes over to the new one."""

from datetime import datetime, timedelta

from certificates.models import Certificate, Product
from certificates.prices import FEWEST_NAMES
from certificates.states import DomainType, ShownState, Source, shown_state

YEAR = timedelta(days=365)
DAY = timedelta(days=1)


def is_near_its_end(certificate: Certificate, at: datetime) -> bool:
    """Whether a bought certificate is shown as Pending Expiration at `at`."""
    is_bought = certificate.source == Source.PURCHASED and certificate.product_id is not None
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return is_bought and shown == ShownState.PENDING_EXPIRATION


def names_of(certificate: Certificate) -> int:
    """How many names its renewal is for: as many as were bought; where nobody recorded it, as many as it has."""
    if certificate.names_bought:
        return certificate.names_bought
    if certificate.product is None or certificate.product.domain_type != DomainType.MULTI:
        return 1
    return max(certificate.domains.count(), FEWEST_NAMES)


def bonus_days(old: Certificate, product: Product, at: datetime) -> int:
    """The days of `old` that remain at `at`, for a renewal of the same brand and type; a day begun counts whole."""
    if old.product is None or _kind(old.product) != _kind(product):
        return 0
    return max(-((at - old.expires_at) // DAY), 0)


def service_end(days: int, at: datetime) -> datetime:
    """When the service period of what is bought at `at` ends: a year later, and so many days."""
    return at + YEAR + days * DAY


def _kind(product: Product) -> tuple[str, str, str]:
    return product.brand, product.level, product.domain_type
