"""Decides which hosts may be loaded and broken: this machine, and hosts that the user named twice.

Once in the scenario (`allow_hosts`), where a reviewer sees it, and once on the command line (`--allow-host`), where
whoever starts it says so again. Nothing else gets a request or a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from harness.errors import InputError
from harness.hosts import is_loopback
from harness.scenario import OwnPlatform
from harness.stack import Addresses


def require_allowed(urls: Iterable[str], named: Collection[str], confirmed: Collection[str]) -> None:
    """Raises InputError for the first host that is neither on this machine nor named and confirmed.

    `urls` may be host:port as well; "" is skipped. `named`: the scenario's. `confirmed`: the command line's.
    """
    for url in filter(None, urls):
        host = host_of(url)
        if is_loopback(host) or (host in named and host in confirmed):
            continue
        if host not in named:
            hint = (
                f"if it is yours to load and to break: allow_hosts: [{host}] in the scenario, and --allow-host {host}"
            )
        else:
            hint = f"the scenario names it; confirm it with --allow-host {host}"
        raise InputError(f"{host or url!r} is not on this machine and not allowed", hint=hint)


def host_of(url: str) -> str:
    """The host of an address or of host:port; "" where there is none."""
    return urlsplit(url if "://" in url else f"//{url}").hostname or ""


def reached(addresses: Addresses) -> tuple[str, ...]:
    """Every address that is loaded, asked or broken."""
    stack = addresses
    own = own_hosts(stack.own) if stack.own else ()
    return (stack.booking, *stack.feeds, stack.admin, stack.ledger, stack.toxiproxy, *stack.metrics.values(), *own)


def own_hosts(platform: OwnPlatform) -> tuple[str, ...]:
    """Every address in the section of a platform of the user's own that is loaded, asked or broken."""
    return (
        platform.url,
        *platform.hosts,
        *(edge.upstream for edge in platform.edges.values()),
        *(page.url for page in platform.metrics.values()),
        *(part.address or "" for part in platform.parts.values()),
    )
