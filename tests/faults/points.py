"""The moments at which a worker may die. Each sets itself by replacing a function; production code knows none of it."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction

from certificates.authority.embedded import EmbeddedAuthority
from certificates.services import authority_answers
from core import jobs
from payments.channels import card
from payments.channels.alipay import AlipayChannel
from payments.channels.balance import BalanceChannel
from payments.channels.card import CardChannel
from payments.models import Payout
from payments.services import sending
from tests.faults.outside import Mailbox

CHANNELS = (CardChannel, AlipayChannel, BalanceChannel)


def die(*_: Any, **__: Any) -> None:
    """As by kill -9 or a power cut: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> Callable[[], None]:
    return lambda: setattr(owner, name, die)


def after(owner: Any, name: str) -> Callable[[], None]:
    def arm() -> None:
        plain = getattr(owner, name)

        def then_die(*args: Any, **kwargs: Any) -> None:
            plain(*args, **kwargs)
            die()

        setattr(owner, name, then_die)

    return arm


def at_every_channel(arm_at: Callable[[Any, str], Callable[[], None]], name: str) -> Callable[[], None]:
    return lambda: [arm_at(channel, name)() for channel in CHANNELS] and None


def at_commit() -> None:
    """The settlement is committed, and the worker dies before it does anything else."""
    plain = sending.settle

    def settle(*args: Any, **kwargs: Any) -> None:
        plain(*args, **kwargs)
        transaction.on_commit(die)

    sending.settle = settle


def slowly(owner: Any, name: str, seconds: float) -> Callable[[], None]:
    def arm() -> None:
        plain = getattr(owner, name)

        def wait_first(*args: Any, **kwargs: Any) -> Any:
            time.sleep(seconds)
            return plain(*args, **kwargs)

        setattr(owner, name, wait_first)

    return arm


def broken(owner: Any, name: str) -> Callable[[], None]:
    def fall(*_: Any, **__: Any) -> None:
        raise RuntimeError("nobody thought of this")

    return lambda: setattr(owner, name, fall)


# What a worker lives with, or ends of in order.
TROUBLE: dict[str, Callable[[], None]] = {
    "the mail server does not answer": slowly(Mailbox, "send_messages", 3600),
    "the channel takes its time": slowly(BalanceChannel, "pay_back", 0.5),
    "a lane breaks": broken(jobs, "claim"),
}
# Where it dies.
FAULTS: dict[str, Callable[[], None]] = {
    "before it claims": before(jobs, "claim"),
    "while it claims, before the commit": after(jobs, "_take"),
    "after it has claimed": before(jobs, "run"),
    "while it takes the payout up, before the commit": after(Payout, "send"),
    "before it asks the channel": at_every_channel(before, "pay_back"),
    "after the channel has paid": at_every_channel(after, "pay_back"),
    "before it settles": before(sending, "settle"),
    "while it settles, before the commit": after(sending, "settle"),
    "while it completes the job, before the commit": after(jobs, "_complete"),
    "as soon as it has settled": at_commit,
    "before it sends the mail": before(Mailbox, "send_messages"),
    "after the mail server took the mail": after(Mailbox, "send_messages"),
}
# Where it dies at a later try.
LOOK_UP_FAULTS: dict[str, Callable[[], None]] = {
    "before it looks up": at_every_channel(before, "look_up"),
    "after it has looked up": at_every_channel(after, "look_up"),
}

# What it does without: the controls, which show what each is good for.
CONTROLS: dict[str, Callable[[], None]] = {
    "the key": lambda: setattr(card, "_idempotency_key", lambda _: str(uuid4())),
    "the look-up": lambda: setattr(CardChannel, "look_up", lambda *_: None),
    "patience": lambda: setattr(jobs, "back_off", lambda attempts: timedelta(milliseconds=50 * attempts)),
}

# Where it dies while it speaks with the console's own authority.
AUTHORITY_FAULTS: dict[str, Callable[[], None]] = {
    "after the order was handed in": after(EmbeddedAuthority, "hand_in"),
    "before the authority is asked to issue": before(EmbeddedAuthority, "poll"),
    "after the authority has issued": after(EmbeddedAuthority, "poll"),
    "while the issue is stored, before the commit": after(authority_answers, "hand_over"),
}
REVOCATION_FAULTS: dict[str, Callable[[], None]] = {
    "before the authority is asked to revoke": before(EmbeddedAuthority, "revoke"),
    "after the authority has revoked": after(EmbeddedAuthority, "revoke"),
    "while the revocation is stored, before the commit": after(authority_answers, "end_as_revoked"),
}


def arm() -> None:
    """Set the fault or trouble that FAULT names, and take away what WITHOUT lists."""
    for name in filter(None, os.environ.get("WITHOUT", "").split(", ")):
        CONTROLS[name]()
    fault = os.environ.get("FAULT")
    if fault:
        {**FAULTS, **LOOK_UP_FAULTS, **AUTHORITY_FAULTS, **REVOCATION_FAULTS, **TROUBLE}[fault]()
