"""Names and addresses of hosts that the user gave. Nothing is looked up here."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from harness.errors import InputError

_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")
_HINT: Final = "HOST or HOST:PORT, an address of IPv6 as [::1]"


def is_host(text: str) -> bool:
    """Whether it is an IP address, or a name that can be looked up (RFC 1123; beyond ASCII as xn--…)."""
    return address_of(text) is not None or _NAME.fullmatch(text) is not None


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that it is; null for a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether this name or address can only be this machine. Names are not looked up: they may change hands."""
    address = address_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def host_and_port(text: str, key: str) -> tuple[str, int | None]:
    """HOST or HOST:PORT, of the option `key`. Raises InputError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{text!r}: {error}", key=key, hint=_HINT) from error
    if not host or not text.isprintable() or parts.path or parts.username is not None:
        raise InputError(f"{text!r} names no host", key=key, hint=_HINT)
    if not is_host(host):
        raise InputError(f"{host!r} is no name of a host that can be looked up", key=key, hint=_HINT)
    return host, port
