"""Addresses as Go's net package reads them: host:port, [host]:port, :port, "" for any free port.

A host is an IP address or a domain name; a port is a number or the name of a service. What the C library would take
besides (127.1, 0x7f.1, non-ASCII digits) is refused, as there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from chaos.proxy.http.messages import ApiError
from chaos.proxy.resolver import Resolver

_LOOKUP_TIMEOUT_S: Final = 10.0
_KEEPALIVE_S: Final = 15  # idle time and interval, as Go's default
_PORT: Final = re.compile(r"[+-]?[0-9]*")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_SERVICES: Final = {
    "ftp": 21, "ftps": 990, "gopher": 70, "http": 80, "https": 443, "imap2": 143, "imap3": 220, "imaps": 993,
    "pop3": 110, "pop3s": 995, "smtp": 25, "submissions": 465, "ssh": 22, "telnet": 23,
}  # fmt: skip


class ResolvedAddress(msgspec.Struct, frozen=True):
    """A resolved address. Host "" is every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return join(self.host, self.port)


Resolved: TypeAlias = dict[str, ResolvedAddress | ApiError]
"""Listen addresses as they were written, with what came of looking each of them up."""


def split(address: str) -> tuple[str, int]:
    """Host and port. Raises ValueError with Go's wording."""
    host, port = _split_text(address)
    return host, _port(port)


def join(host: str, port: int) -> str:
    """The address as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def literal(host: str) -> str | None:
    """The host if it is an IP address, in its shortest form, else None. One of IPv4 inside IPv6 becomes IPv4."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)


def has_empty_label(address: str) -> bool:
    """Whether the host of an address cannot be a name because there is nothing between two dots."""
    host = address.rpartition(":")[0]
    return ":" not in host and ("" in host.removesuffix(".").split(".")) and bool(host)


def found(resolved: Resolved, address: str) -> ResolvedAddress:
    """What came of looking a listen address up. Raises ApiError."""
    endpoint = resolved[address]
    if isinstance(endpoint, ApiError):
        raise endpoint
    return endpoint


async def endpoints(address: str, resolver: Resolver) -> list[ResolvedAddress]:
    """Where to reach an upstream, in the order in which to try. Raises ValueError, TimeoutError."""
    host, port = split(address)
    found = literal(host or "127.0.0.1")
    if found is not None:
        return [ResolvedAddress(found, port)]
    return [ResolvedAddress(each, port) for each in await _lookup(host, resolver)]


async def resolve(addresses: Iterable[str], resolver: Resolver) -> Resolved:
    """Look listen addresses up, all at once. An address of a name with IPv4 and IPv6 addresses is that of IPv4."""
    known: Resolved = {}
    named: dict[str, tuple[str, int]] = {}
    for address in addresses:
        try:
            host, port = split(address) if address else ("", 0)
        except ValueError as error:
            known[address] = ApiError(str(error), 500)
            continue
        if not host:
            known[address] = ResolvedAddress("", port)
        elif (ip := literal(host)) is not None:
            known[address] = ResolvedAddress(ip, port)
        else:
            named[address] = (host, port)
    resolved = await asyncio.gather(*(_resolve_named(host, port, resolver) for host, port in named.values()))
    return known | dict(zip(named, resolved, strict=True))


def bind(endpoint: ResolvedAddress) -> socket.socket:
    """A socket that is bound (not listening yet). Raises ApiError with Go's wording."""
    try:
        return _bound(endpoint.host, endpoint.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ApiError(f"listen tcp {endpoint}: bind: {reason}", 500) from error


def keep_alive(connected: socket.socket) -> None:
    """Find out that a peer is gone although nothing is sent. What a listener accepts inherits it."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)


def _split_text(address: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"address {address}: missing port in address")
    bare = host
    if address.startswith("["):
        inside, bracket, after = address[1:].partition("]")
        if not bracket:
            raise ValueError(f"address {address}: missing ']' in address")
        if not after.startswith(":"):
            raise ValueError(f"address {address}: missing port in address")
        if host != f"[{inside}]":
            raise ValueError(f"address {address}: too many colons in address")
        host, bare = inside, inside
    elif ":" in host:
        raise ValueError(f"address {address}: too many colons in address")
    for bracket in "[]":
        if bracket in bare + port:
            raise ValueError(f"address {address}: unexpected '{bracket}' in address")
    return host, port


def _port(text: str) -> int:
    if _PORT.fullmatch(text):
        digits = text.lstrip("+-").lstrip("0")
        number = int(digits[:6] or 0)  # more digits are out of range anyway
        if number > 65535 or (number and text.startswith("-")):
            raise ValueError(f"address {text}: invalid port")
        return number
    return _service_port(text)


def _service_port(name: str) -> int:
    service = name.lower() if name.isascii() else ""
    if service in _SERVICES:
        return _SERVICES[service]
    try:
        return socket.getservbyname(service, "tcp")
    except (OSError, ValueError) as error:
        raise ValueError(f"lookup tcp/{name}: unknown port") from error


def _is_domain_name(host: str) -> bool:
    """Whether a nameserver can be asked for it."""
    if len(host) > 253 + host.endswith("."):
        return False
    labels = host.removesuffix(".").split(".")
    return all(_LABEL.fullmatch(label) for label in labels) and not host.replace(".", "").isdigit()


def _is_c_address(host: str) -> bool:
    """Whether the C library would read a name as an IPv4 address (0x7f.1)."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


async def _lookup(host: str, resolver: Resolver) -> list[str]:
    """Addresses of a name, those of IPv4 first. Raises ValueError, TimeoutError."""
    found: tuple[str, ...] = ()
    if _is_domain_name(host) and not _is_c_address(host):
        found = await resolver.lookup(host, _LOOKUP_TIMEOUT_S)
    if not found:
        raise ValueError(f"lookup {host}: no such host")
    return sorted(found, key=lambda each: ":" in each)


async def _resolve_named(host: str, port: int, resolver: Resolver) -> ResolvedAddress | ApiError:
    try:
        return ResolvedAddress((await _lookup(host, resolver))[0], port)
    except TimeoutError:
        return ApiError(f"lookup {host}: i/o timeout", 500)
    except ValueError as error:
        return ApiError(str(error), 500)


def _bound(host: str, port: int) -> socket.socket:
    every = host in {"", "0.0.0.0", "::"}
    dual = every and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        keep_alive(bound)
        bound.bind(_socket_address("::" if dual else host or "0.0.0.0", port))
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _socket_address(host: str, port: int) -> tuple[object, ...]:
    """With the number of an IPv6 zone."""
    numeric = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return tuple(numeric[0][4])
