"""A channel that does as it is told, in the test's own process, and keeps what it was asked."""

from collections import deque
from datetime import date, datetime
from typing import Any

import pytest
from django.db.models import Q
from django.db.models.functions import Now

from core import jobs
from core.models import Job
from payments import channels
from payments.channels import AlreadyRefunded, ChannelRefund, Notification, Outcome, Refused, Unanswered
from payments.models import Payment, Payout
from payments.states import Channel
from tests.factories import NOON


class ScriptedChannel:
    """Pays whatever it is asked to, unless `script` says otherwise; a repeated key changes nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refunds: dict[str, ChannelRefund] = {}
        # For the next calls: an exception to raise, before or after acting, or an outcome.
        self.script: deque[Any] = deque()

    def pay_back(self, payout: Payout) -> ChannelRefund:
        self.asked.append(("pay_back", str(payout.key)))
        told = self.script.popleft() if self.script else Outcome.PAID
        if isinstance(told, Exception):
            raise told
        if told == "paid, no answer":
            self._keep(payout, Outcome.PAID)
            raise Unanswered("timed out")
        return self._keep(payout, told)

    def look_up(self, payout: Payout) -> ChannelRefund | None:
        self.asked.append(("look_up", str(payout.key)))
        if self.script and isinstance(self.script[0], Exception):
            raise self.script.popleft()
        return self.refunds.get(str(payout.key))

    def refunds_of(self, payment: Payment) -> list[ChannelRefund]:
        self.asked.append(("refunds_of", payment.reference))
        if self.script and isinstance(self.script[0], Exception):
            raise self.script.popleft()
        return [each for each in self.refunds.values() if each.payment_reference == payment.reference]

    def ask(self, notification: Notification) -> list[ChannelRefund]:
        self.asked.append(("ask", notification.key))
        return [self.refunds[notification.key]] if notification.key in self.refunds else []

    def refunds_on(self, day: date) -> list[ChannelRefund]:
        return list(self.refunds.values())

    def set(self, payout: Payout, outcome: Outcome, **fields: Any) -> None:
        """What the channel's books say from now on."""
        self._keep(payout, outcome, **fields)

    def calls(self) -> list[str]:
        return [call for call, _ in self.asked]

    def paid(self) -> list[str]:
        return [key for key, refund in self.refunds.items() if refund.outcome == Outcome.PAID]

    def _keep(self, payout: Payout, outcome: Outcome, **fields: Any) -> ChannelRefund:
        known = {
            "reference": f"re-{payout.key}",
            "outcome": outcome,
            "amount": payout.amount,
            "currency": payout.currency,
            "at": NOON,
            "key": str(payout.key),
            "payment_reference": payout.payment.reference,
            **fields,
        }
        self.refunds[str(payout.key)] = ChannelRefund(**known)
        return self.refunds[str(payout.key)]


def connect(monkeypatch: pytest.MonkeyPatch, channel: str = Channel.CARD) -> ScriptedChannel:
    scripted = ScriptedChannel()
    monkeypatch.setitem(channels._CONNECTED, channel, scripted)
    return scripted


def work(*, at: datetime = NOON) -> int:
    """Let the worker try each queued payout once, whatever its back-off says and however long this takes."""
    payouts = Q(kind="pay_payout")
    count = Job.objects.filter(payouts, state=Job.State.QUEUED).update(run_at=Now())
    return jobs.run_due("worker", clock=lambda: at, limit=count, lane=payouts)


def notify(payout: Payout, event: str) -> None:
    """The channel tells that something has become of a payout."""
    told = {"event": event, "payment_reference": payout.payment.reference, "key": str(payout.key)}
    jobs.enqueue("take_notification", key=f"{payout.channel}:{event}", payload={"channel": payout.channel, **told})


def silent() -> Unanswered:
    return Unanswered("timed out")


def refunded(reason: str = "Charge ch_1 has already been refunded.") -> AlreadyRefunded:
    return AlreadyRefunded(reason)


def refused(reason: str = "the charge is disputed") -> Refused:
    return Refused(reason)
