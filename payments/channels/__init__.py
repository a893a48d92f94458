"""How money leaves: one file per channel behind one small interface (`base`).

A channel whose settings are missing is not connected: its payouts wait and say so, and a person may record what was
done outside. The bank never is: its payouts go out in files (`bank`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from payments.channels import alipay, card
from payments.channels.balance import BalanceChannel
from payments.channels.base import (
    AlreadyRefunded,
    ChannelRefund,
    Forged,
    Notification,
    Outcome,
    PayoutChannel,
    Refused,
    Unanswered,
)
from payments.channels.card_refunds import STEPS as CARD_STEPS
from payments.states import Channel

__all__ = [
    "AlreadyRefunded",
    "ChannelRefund",
    "Forged",
    "Notification",
    "Outcome",
    "PayoutChannel",
    "Refused",
    "Unanswered",
    "connect",
    "connected",
    "disconnected",
    "missing_settings",
    "standing_in",
    "step_of",
]

_CONNECTED: dict[str, PayoutChannel] = {}

# How those outside are connected, and the settings without which they are not.
_FROM_SETTINGS: dict[str, Callable[[], PayoutChannel | None]] = {
    Channel.CARD: card.from_settings,
    Channel.ALIPAY: alipay.from_settings,
}
_SETTINGS: dict[str, tuple[str, ...]] = {
    Channel.CARD: card.SETTINGS,
    Channel.ALIPAY: alipay.SETTINGS,
}

# The smallest step of a channel's refunds by currency, in minor units, where it's not 1.
_STEPS: dict[str, dict[str, int]] = {Channel.CARD: CARD_STEPS}


def connect() -> None:
    """Connect every channel whose settings are there, and no other. Called when the apps are ready.

    Raises ImproperlyConfigured for keys that are there and cannot be read.
    """
    _CONNECTED[Channel.BALANCE] = BalanceChannel()
    for name, from_settings in _FROM_SETTINGS.items():
        _CONNECTED.pop(name, None)
        if channel := from_settings():
            _CONNECTED[name] = channel


def connected(channel: str) -> PayoutChannel | None:
    """The channel's connection, or None where its payouts wait for a person."""
    return _CONNECTED.get(channel)


@contextmanager
def standing_in(channel: str, connection: PayoutChannel) -> Iterator[None]:
    """Another connection in the place of a channel's, in this process, for the block."""
    before = connected(channel)
    _CONNECTED[channel] = connection
    try:
        yield
    finally:
        _CONNECTED.pop(channel)
        if before:
            _CONNECTED[channel] = before


@contextmanager
def disconnected() -> Iterator[None]:
    """No channel outside this console is connected, in this process, for the block."""
    outside = {name: _CONNECTED.pop(name) for name in _FROM_SETTINGS if name in _CONNECTED}
    try:
        yield
    finally:
        _CONNECTED.update(outside)


def missing_settings(channel: str) -> list[str]:
    """The settings without which a channel cannot be connected; empty for one that is, and for the bank."""
    return [name for name in _SETTINGS.get(channel, ()) if not getattr(settings, name)]


def step_of(channel: str, currency: str) -> int:
    """What every refund through the channel must be a multiple of, in minor units; connected or not."""
    return _STEPS.get(channel, {}).get(currency, 1)
