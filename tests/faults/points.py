"""The moments at which a worker may die. Each sets itself by replacing a function; production code knows none of it."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction

from certificates.authority.embedded import EmbeddedAuthority
from certificates.services import enrolling
from core import jobs
from payments import channels
from payments import services as payments
from payments.channels.balance import BalanceChannel
from payments.states import Channel
from tests.faults.outside import Bank, Mailbox


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


def all_of(*arms: Callable[[], None]) -> Callable[[], None]:
    return lambda: [arm() for arm in arms] and None


def at_commit() -> None:
    """The settlement is committed, and the worker dies before it does anything else."""
    plain = payments._settle_paid

    def settle(*args: Any, **kwargs: Any) -> None:
        plain(*args, **kwargs)
        transaction.on_commit(die)

    payments._settle_paid = settle


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
    "while it takes the payout up, before the commit": after(payments.Payout, "send"),
    "before it asks the channel": all_of(before(Bank, "pay_back"), before(BalanceChannel, "pay_back")),
    "after the channel has paid": all_of(after(Bank, "pay_back"), after(BalanceChannel, "pay_back")),
    "before it settles": before(payments, "_settle_paid"),
    "while it settles, before the commit": after(payments, "_settle_paid"),
    "while it completes the job, before the commit": after(jobs, "_complete"),
    "as soon as it has settled": at_commit,
    "before it sends the mail": before(Mailbox, "send_messages"),
    "after the mail server took the mail": after(Mailbox, "send_messages"),
}


# Where it dies while it speaks with the console's own authority.
AUTHORITY_FAULTS: dict[str, Callable[[], None]] = {
    "after the order was handed in": after(EmbeddedAuthority, "hand_in"),
    "before the authority is asked to issue": before(EmbeddedAuthority, "poll"),
    "after the authority has issued": after(EmbeddedAuthority, "poll"),
    "while the issue is stored, before the commit": after(enrolling, "hand_over"),
}
REVOCATION_FAULTS: dict[str, Callable[[], None]] = {
    "before the authority is asked to revoke": before(EmbeddedAuthority, "revoke"),
    "after the authority has revoked": after(EmbeddedAuthority, "revoke"),
    "while the revocation is stored, before the commit": after(enrolling, "end_as_revoked"),
}


def arm() -> None:
    """Connect a channel to an outside that remembers, and set the fault or trouble that the environment names."""
    channels._CONNECTED[Channel.ALIPAY] = Bank(settings.OUTSIDE)
    fault = os.environ.get("FAULT")
    if fault:
        {**FAULTS, **AUTHORITY_FAULTS, **REVOCATION_FAULTS, **TROUBLE}[fault]()
