"""How a certificate's state and type read, on every floor above."""

from django.utils.translation import gettext as _

from certificates.exceptions import CannotBeShared
from certificates.models import Certificate, Product
from certificates.states import ShownState
from core.money import format_money

# The tone and the icon that go with each state's word.
STATE_MARKS = {
    ShownState.PENDING_APPLICATION: ("ended", "circle-dashed"),
    ShownState.PENDING_VERIFICATION: ("busy", "clock"),
    ShownState.VALIDATING_APPLICATION: ("busy", "loader"),
    ShownState.VALIDATION_FAILED: ("bad", "circle-x"),
    ShownState.ISSUED: ("ok", "circle-check"),
    ShownState.PENDING_EXPIRATION: ("near", "calendar-clock"),
    ShownState.EXPIRED: ("bad", "clock-alert"),
    ShownState.REVOKING: ("busy", "undo-2"),
    ShownState.REVOKED: ("ended", "ban"),
    ShownState.REFUNDED: ("ok", "wallet"),
}


def kind_of(certificate: Certificate) -> str:
    """Brand, validation level and domain type in words. `certificate` comes with its product."""
    return name_of(certificate.product) if certificate.product else _("Uploaded")


def name_of(product: Product) -> str:
    """A product in words, the free one marked."""
    return f"{product} {_('(free)')}" if product.free else str(product)


def why_not_shared(error: CannotBeShared) -> str:
    """Why a purchase can't be sold, for its buyer."""
    told = {"currency": error.currency, "step": format_money(error.step, error.currency)}
    words = _("Refunds in %(currency)s must be multiples of %(step)s, and this price can't be divided that way.")
    return words % told
