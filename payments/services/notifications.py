"""What channels tell by themselves. Never believed: it only orders that the channel is asked."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from core import jobs
from payments.channels import ChannelRefund, Forged, Notification, connected
from payments.services.sending import Settled
from payments.services.taking_in import take_in

# How long news of a channel wait that is not connected any more.
UNCONNECTED_POLL = timedelta(minutes=5)


def receive_notification(channel: str, body: bytes, headers: Mapping[str, str], *, at: datetime) -> None:
    """Order a look at what a channel has told; told again, it orders nothing more.

    Raises Forged, also where no channel is connected that could tell.
    """
    connection = connected(channel)
    if connection is None:
        raise Forged(f"{channel} is not connected")
    if told := connection.read_notification(body, headers, at=at):
        _order_look(channel, told)


def take_notification(payload: dict[str, Any], *, at: datetime) -> Settled | None:
    """Job handler: ask the channel about the refunds that a notification speaks of, and take in what it says."""
    channel, notification = payload["channel"], _from_payload(payload)
    connection = connected(channel)
    if connection is None:
        return lambda: jobs.Later(UNCONNECTED_POLL)
    refunds = connection.ask(notification)
    if len(refunds) > 1:
        return partial(_order_each, channel, notification, refunds)
    return partial(_take_in, channel, refunds, at=at)


def _order_look(channel: str, notification: Notification) -> None:
    payload = {"channel": channel, **asdict(notification)}
    jobs.enqueue("take_notification", key=f"{channel}:{notification.event}", payload=payload)


def _from_payload(payload: dict[str, Any]) -> Notification:
    return Notification(payload["event"], payload["payment_reference"], payload["key"])


def _order_each(channel: str, told: Notification, refunds: list[ChannelRefund]) -> None:
    """A job for each: a transaction that settled two would lock a request after a payment, and others do not."""
    for refund in refunds:
        each = Notification(f"{told.event}:{refund.reference}", told.payment_reference, refund.reference)
        _order_look(channel, each)


def _take_in(channel: str, refunds: list[ChannelRefund], *, at: datetime) -> None:
    """In the job's transaction. When a payout is looked at again is its own job's matter, not this one's."""
    for refund in refunds:
        take_in(channel, refund, at=at)
