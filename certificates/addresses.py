"""Which addresses are somebody's on the public Internet. Pure."""

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Newer than, or left open by, what `is_global` knows.
_NOT_GLOBAL = [ipaddress.ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]


def is_public(address: Address) -> bool:
    """Whether an address may be asked by us; one that carries an IPv4 address is judged by that."""
    if any(address in network for network in _NOT_GLOBAL if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        carried = list(_carried(address))
        if carried:
            return all(is_public(each) for each in carried)
        return address in _GLOBAL_IPV6 and address.is_global
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_literal(host: str) -> bool:
    """Whether a host is written as an address instead of a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _carried(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that a gateway would pass this one on to: mapped, 6to4, NAT64."""
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
