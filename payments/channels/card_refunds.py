"""Refunds as Stripe's API gives them: what is understood of them, and nothing else is.

Amounts are in Stripe's units here and in our minor units elsewhere; times are UTC.
"""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from payments.channels.base import ChannelRefund, Outcome, Refused

# A refund as Stripe's API gives it, in plain dicts.
Raw = dict[str, Any]

OUTCOMES = {
    "succeeded": Outcome.PAID,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.PENDING,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}

NAME = re.compile(r"[A-Za-z0-9_]{1,80}")
REFERENCE = re.compile(r"(pi|ch|py)_[A-Za-z0-9_]{1,190}")

# Where Stripe counts other units than ISO 4217: so many of its units are one of ours, or the reverse.
# https://docs.stripe.com/currencies#special-cases
_STRIPE_UNITS = {"ISK": 100, "UGX": 100}
_OUR_UNITS = {"MGA": 100}

# The smallest step of a refund in our minor units, where it's not 1. Amounts in three-decimal currencies must end in 0.
# https://docs.stripe.com/currencies#three-decimal
STEPS = {**dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10), **_OUR_UNITS}


def checked(refund: Raw) -> Raw:
    """What is a refund by its name and number. Raises as `read`."""
    if refund["object"] != "refund" or not NAME.fullmatch(refund["id"]):
        raise ValueError("the answer is no refund")
    return refund


def read(refund: Raw, *, key: str, payment: str) -> ChannelRefund:
    """A refund as we understand it. Raises ValueError, TypeError or LookupError where we do not."""
    currency = refund["currency"].upper()
    outcome = OUTCOMES[refund["status"]]
    reason = refund.get("failure_reason") or refund["status"]
    return ChannelRefund(
        reference=refund["id"],
        outcome=outcome,
        amount=from_stripe(refund["amount"], currency),
        currency=currency,
        at=datetime.fromtimestamp(refund["created"], UTC),
        key=key,
        payment_reference=payment,
        reason=plain(reason) if outcome == Outcome.FAILED else "",
    )


def key_of(refund: Raw) -> str:
    """The key that a refund says it was made under, as a payout's is written; empty where it says none."""
    try:
        return str(UUID((refund.get("metadata") or {})["payout"]))
    except (KeyError, ValueError, AttributeError, TypeError):
        return ""


def names_of_payment(refund: Raw) -> list[str]:
    names = (refund.get("payment_intent"), refund.get("charge"))
    return [name for name in names if isinstance(name, str) and REFERENCE.fullmatch(name)]


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units in Stripe's. Raises Refused for an amount that isn't a multiple of the currency's step."""
    if amount % STEPS.get(currency, 1):
        raise Refused(_("Stripe can't refund this amount in %s.") % currency)
    return amount * _STRIPE_UNITS.get(currency, 1) // _OUR_UNITS.get(currency, 1)


def from_stripe(units: int, currency: str) -> int:
    """Stripe's units in our minor units. Raises ValueError for a part of one."""
    amount, rest = divmod(units * _OUR_UNITS.get(currency, 1), _STRIPE_UNITS.get(currency, 1))
    if rest:
        raise ValueError(f"{units} of Stripe's units are not whole {currency}")
    return amount


def plain(words: str) -> str:
    """On one line, in characters that can be stored and shown."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
