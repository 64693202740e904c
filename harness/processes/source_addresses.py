"""The addresses of a machine that its load comes from. Each has all local ports to every address of the platform.

The kernel gives a connection the one address that leads to the platform, and so at most some 28,000 connections to one
address of it. On loopback every address of 127.0.0.0/8 is this machine's, so there the load takes as many as it needs;
on a network the user names what the machine has.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from harness.errors import InputError
from harness.hosts import is_loopback

KEY: Final = "load.source_addresses"
FILLED_FAST: Final = 0.4
"""Of one address's ports: while so many are taken, the kernel finds a free one at once."""
_FIRST_LOOPBACK: Final = IPv4Address("127.0.0.1")
_LOOPBACKS_MAX: Final = 1000


def is_here(address: str) -> bool:
    """Whether a connection can come from that address of this machine."""
    known = ip_address(address)
    if known.is_unspecified or known.is_multicast:
        return False
    family = socket.AF_INET if known.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
            probe.connect(probe.getsockname())  # sends nothing; refused for an address of broadcast
    except OSError:
        return False
    return True


def here(named: Iterable[str]) -> tuple[str, ...]:
    """The named addresses that this machine has."""
    return tuple(address for address in named if is_here(address))


def require_here(named: Sequence[str], *, every: bool) -> None:
    """Raises InputError when this machine has not `every` one of them, or else not a single one."""
    absent = [address for address in named if not is_here(address)]
    if absent and (every or len(absent) == len(named)):
        raise InputError(
            f"{' and '.join(absent)} {'is no address' if len(absent) == 1 else 'are no addresses'} of this machine",
            key=KEY,
            hint="see `ip address`; add one with `ip address add ADDRESS dev DEVICE`",
        )


def require_found(named: Iterable[str], by_machine: Iterable[Sequence[str]]) -> None:
    """Raises InputError for an address that no machine of a rehearsal has."""
    if absent := set(named).difference(*by_machine):
        listed = ", ".join(sorted(absent))
        raise InputError(f"no machine of this rehearsal has {listed}", key=KEY, hint="see `ip address` on each")


def on_loopback(urls: Iterable[str]) -> bool:
    """Whether all of these are reached over IPv4's loopback, whose addresses are all this machine's."""
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return bool(hosts) and all(is_loopback(host) and ":" not in host for host in hosts)


def addresses_of(named: Sequence[str], platform: Iterable[str], users: int, ports: int) -> tuple[str, ...]:
    """Where the load of this machine comes from; empty: wherever the kernel lets it come from.

    `named`: by the user, for all machines together. `platform`: the URLs that are loaded. `ports`: of one address.
    """
    if named:
        return here(named)
    count = math.ceil(users / (ports * FILLED_FAST))
    if count <= 1 or not on_loopback(platform):
        return ()
    return tuple(str(_FIRST_LOOPBACK + number) for number in range(min(count, _LOOPBACKS_MAX)))


def share_of(addresses: Sequence[str], number: int, workers: int) -> tuple[str, ...]:
    """What worker `number` (0, 1 …) of so many on this machine takes of them: with fewer addresses than workers, some
    workers share one."""
    if not addresses:
        return ()
    return tuple(addresses[number::workers]) or (addresses[number % len(addresses)],)
