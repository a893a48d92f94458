"""The world outside: files that keep what reached them, whatever becomes of the process that wrote there."""

import os
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from payments.models import Payout


def append(file: Path, line: str) -> None:
    with file.open("a") as kept:
        kept.write(line + "\n")
        kept.flush()
        os.fsync(kept.fileno())


class Bank:
    """A channel as good ones are: the same key again changes nothing and gets the same answer."""

    def __init__(self, place: str) -> None:
        self.asked = Path(place + ".asked")
        self.paid = Path(place + ".paid")

    def pay_back(self, payout: Payout) -> str:
        append(self.asked, str(payout.key))
        if os.environ.get("FORGETFUL") or str(payout.key) not in self.paid_keys():
            append(self.paid, f"{payout.key} {payout.amount}")
        return f"outside-{payout.key}"

    def paid_keys(self) -> list[str]:
        return [line.split()[0] for line in self.paid.read_text().splitlines()] if self.paid.exists() else []


class Mailbox(BaseEmailBackend):
    """A mail server that keeps the Message-ID of each mail that it took."""

    def send_messages(self, messages: list[EmailMessage]) -> int:
        for message in messages:
            append(Path(settings.OUTSIDE + ".mails"), str(message.message()["Message-ID"]))
        return len(messages)
