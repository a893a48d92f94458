"""Stripe's notifications: signed now and here, and about a refund."""

import json
import logging
from datetime import datetime
from typing import Any

import stripe

from payments.channels.base import Forged, Notification
from payments.channels.card_ours import our_references, payment_of
from payments.channels.card_refunds import NAME

logger = logging.getLogger(__name__)

# Seconds between the moment a notification was signed and the one it is read at, either way.
REPLAY_WINDOW = 300
_REFUND_EVENTS = {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
_CHARGE_EVENTS = {"charge.refunded"}


def signed_text(body: bytes, signature: str, secret: str, *, at: datetime) -> str:
    """The body as text, signed by Stripe around `at`. Raises Forged."""
    if not secret:
        raise Forged("no secret is set to check the signature by")
    try:
        text = body.decode("utf-8")
        # While the secret is changed the header has a signature by each; the SDK takes any.
        stripe.WebhookSignature.verify_header(text, signature, secret)
        signed_at = int(next(item[2:] for item in signature.split(",") if item.startswith("t=")))
    except Exception:
        # Also what the SDK stumbles over, such as signatures that are not ASCII.
        raise Forged("the notification's signature is not Stripe's") from None
    # The SDK compares with this machine's clock only.
    if abs(int(at.timestamp()) - signed_at) > REPLAY_WINDOW:
        raise Forged("the notification was signed at another time")
    return text


def read_event(text: str) -> Notification | None:
    """What a signed event says of a refund; None for other events. Raises Forged for what is no event of Stripe's."""
    try:
        event = json.loads(text)
        kind = _kind_in(event)
        if kind not in _REFUND_EVENTS | _CHARGE_EVENTS:
            # Before anything else of it is read: other kinds of event have other parts.
            logger.info("ignored a notification from Stripe of the type %r", kind[:100])
            return None
        thing = event["data"]["object"]
        if kind in _REFUND_EVENTS:
            return _notification(event["id"], thing.get("payment_intent"), thing.get("charge"), thing["id"])
        return _notification(event["id"], thing.get("payment_intent"), thing["id"], "")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        # Refused although Stripe signed it: Stripe repeats it for three days and shows the failure in its
        # dashboard, so there's time to update this console and still read it.
        raise Forged("the notification has not the form of an event of Stripe's") from None


def _kind_in(event: Any) -> str:
    """An event's type. Raises TypeError and LookupError where it has none."""
    if not isinstance(event["type"], str):
        raise TypeError("an event's type is a string")
    return event["type"]


def _notification(event: str, intent: str | None, charge: str | None, refund: str) -> Notification | None:
    """None for a refund of no payment, such as one of a customer's cash balance. Raises ValueError."""
    told = {"payment_intent": intent, "charge": charge}
    payment = payment_of(told, our_references([told]))
    if not payment:
        return None
    if not (NAME.fullmatch(event) and (not refund or NAME.fullmatch(refund))):
        raise ValueError("names are not Stripe's")
    return Notification(event=event, payment_reference=payment, key=refund)
