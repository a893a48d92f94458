"""The account balance: kept in our own ledger, so settling the payout is the payment; nothing is asked outside."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from payments.channels.base import ChannelRefund, Notification, Outcome
from payments.days import span_of
from payments.models import LedgerEntry, Payment, Payout
from payments.states import Cause, Channel


class BalanceChannel:
    def pay_back(self, payout: Payout) -> ChannelRefund:
        return ChannelRefund("", Outcome.PAID, payout.amount, payout.currency, key=str(payout.key))

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        """Never there before it is settled: both are one."""
        return None

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        """Nobody else pays into a balance, so there is nothing that we do not know."""
        return []

    def read_notification(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Notification | None:
        return None

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        return []

    def refunds_on(self, day: date) -> Iterator[ChannelRefund]:
        begin, end = span_of(Channel.BALANCE, day)
        entries = LedgerEntry.objects.filter(
            cause=Cause.PAYOUT_PAID, payout__channel=Channel.BALANCE, at__gte=begin, at__lt=end
        )
        for amount, currency, at, key in entries.order_by("id").values_list("amount", "currency", "at", "payout__key"):
            yield ChannelRefund("", Outcome.PAID, amount, currency, at, key=str(key))
