"""Tries at a password, wherever one is asked for: counted before the password is looked at, forgotten if it's right.

An account has five failures in five minutes, from all addresses together; then only browsers in which it has signed
in before may go on, each with five of its own. So nobody can guess, and nobody can lock an owner out. One network
has a hundred a minute, for all accounts it tries: a whole office may sit behind one address.
"""

import ipaddress
from datetime import datetime, timedelta

from console.sign_in.accounts import key_of
from console.sign_in.limits import Limit, Use, give_back, take
from core.models import User

PER_ACCOUNT = Limit(5, timedelta(minutes=5))
PER_NETWORK = Limit(100, timedelta(minutes=1))


class Attempt:
    """One try at the password of what `typed` leads to, from an IP `address`.

    `device` is from `devices.device_of`. Raises TooMany.
    """

    def __init__(self, typed: str, account: User | None, *, device: str, address: str, at: datetime) -> None:
        uses = [Use(f"sign-in:{key_of(account, typed)}", PER_ACCOUNT, part=device)]
        if not device:
            uses.append(Use(f"sign-in:network-{network_of(address)}", PER_NETWORK))
        take(uses, at=at)
        self.uses, self.at = uses, at

    def succeeded(self) -> None:
        """The password was right, so this doesn't count."""
        give_back(self.uses, at=self.at)


def network_of(address: str) -> str:
    """An IPv4 address as it is, an IPv6 address as its /64: one customer of a provider has all of those."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
