"""How money leaves: one file per channel behind one small interface.

A channel without a connection is absent here: its payouts wait for a person who records what was done outside.
"""

from typing import Protocol

from payments.channels import balance
from payments.models import Payout
from payments.states import Channel


class PayoutChannel(Protocol):
    """Pays outside any transaction. The payout's key makes a repeated call harmless; returns the outside reference."""

    def pay_back(self, payout: Payout) -> str: ...


_CONNECTED: dict[str, PayoutChannel] = {Channel.BALANCE: balance.BalanceChannel()}


def connected(channel: str) -> PayoutChannel | None:
    """The channel's connection, or None where a person records its payouts."""
    return _CONNECTED.get(channel)
