"""The world outside: Stripe and Alipay as fakes over HTTP, a mail server's file. It outlives whoever wrote there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from payments.channels import standing_in
from payments.channels.alipay import AlipayChannel
from payments.channels.card import CardChannel
from payments.models import Payment
from refunds.models import RefundRequest
from tests import factories
from tests.channels.fake_alipay import APP_ID, FakeAlipay, key_pairs
from tests.channels.fake_stripe import API_KEY, FakeStripe
from tests.channels.server import Answer, FakeChannel, Request
from tests.faults.process import PATIENCE


class HoldingStripe(FakeStripe):
    """Pays, and keeps the answer to a refund back while it `is_holding` and has not been told to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.is_holding = False
        self.has_paid, self.may_answer = Event(), Event()

    def serve(self, request: Request) -> Answer | None:
        answer = super().serve(request)
        if self.is_holding and request.method == "POST":
            self.has_paid.set()
            self.may_answer.wait(PATIENCE)
        return answer


@dataclass(frozen=True)
class Outside:
    stripe: HoldingStripe
    alipay: FakeAlipay
    mails: Path

    @property
    def channels(self) -> dict[str, FakeChannel]:
        return {"card": self.stripe, "alipay": self.alipay}

    @property
    def address(self) -> dict[str, str]:
        """The environment by which a process reaches all of it."""
        ours, theirs = key_pairs()
        return {
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_URL": self.stripe.url,
            "ALIPAY_APP_ID": APP_ID,
            "ALIPAY_PRIVATE_KEY": ours.private,
            "ALIPAY_PUBLIC_KEY": theirs.public,
            "ALIPAY_URL": f"{self.alipay.url}/gateway.do",
            "MAILS": str(self.mails),
        }

    def order(self, **payments: int) -> RefundRequest:
        """A refund of these amounts to a new customer.

        The channels themselves would give each back twice: only our key and our looking stand in the way.
        """
        wanted = factories.certificate(factories.UserFactory(), payments=payments)
        for channel in payments.keys() & self.channels.keys():
            reference = self.channels[channel].sell(2 * payments[channel])
            Payment.objects.filter(account=wanted.account, channel=channel).update(reference=reference)
        return factories.submit(wanted)

    def paid_keys(self) -> list[str]:
        """The key of each refund in the channels' own books, as often as it is there."""
        by_card = [each["metadata"]["payout"] for each in self.stripe.refunds.values() if each["status"] == "succeeded"]
        by_alipay = [each.number for each in self.alipay.refunds.values() if each.status == "REFUND_SUCCESS"]
        return by_card + by_alipay

    def paid(self) -> int:
        """By the same books, in minor units."""
        return sum(amount for fake in (self.stripe, self.alipay) for amount, _ in fake.books())


@contextmanager
def open_outside(mails: Path) -> Iterator[Outside]:
    """It is there for the block, and this process is connected to it: what is ordered here is for the workers."""
    with HoldingStripe().running() as stripe, FakeAlipay().running() as alipay:
        ours, theirs = key_pairs()
        address = f"{alipay.url}/gateway.do"
        by_card = CardChannel(API_KEY, url=stripe.url)
        by_alipay = AlipayChannel(APP_ID, private_key=ours.private, public_key=theirs.public, url=address)
        try:
            with standing_in("card", by_card), standing_in("alipay", by_alipay):
                yield Outside(stripe, alipay, mails)
        finally:
            stripe.may_answer.set()


class Mailbox(BaseEmailBackend):
    """A mail server that keeps the Message-ID of each mail that it took, on its disk."""

    def send_messages(self, messages: list[EmailMessage]) -> int:
        for message in messages:
            with Path(settings.MAILS).open("a") as kept:
                kept.write(f"{message.message()['Message-ID']}\n")
                kept.flush()
                os.fsync(kept.fileno())
        return len(messages)
