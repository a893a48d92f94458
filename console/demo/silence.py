"""A channel that never answers, for the refund of the demo that nobody knows the end of."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import NoReturn

from payments.channels import ChannelRefund, Notification, Unanswered
from payments.models import Payment, Payout


class SilentChannel:
    """Whatever it is asked, the connection times out."""

    def pay_back(self, payout: Payout) -> ChannelRefund:
        self._time_out()

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        self._time_out()

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        self._time_out()

    def read_notification(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Notification | None:
        self._time_out()

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        self._time_out()

    def refunds_on(self, day: date) -> Iterator[ChannelRefund]:
        self._time_out()

    def _time_out(self) -> NoReturn:
        raise Unanswered("The connection timed out after 20 seconds.")
