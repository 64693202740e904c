"""Addresses as Toxiproxy writes and resolves them: host:port, [host]:port, :port, "" for any free port."""

from __future__ import annotations

import asyncio
import socket

from chaos.proxy.messages import ApiError


def split(address: str) -> tuple[str, int]:
    """Host and port. Raises ValueError with Go's wording."""
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"address {address}: missing port in address")
    if ":" in host and not host.startswith("["):
        raise ValueError(f"address {address}: too many colons in address")
    if not port.isdigit():
        raise ValueError(f"lookup tcp/{port}: unknown port")
    if int(port) > 65535:
        raise ValueError(f"address {port}: invalid port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join(host: str, port: int) -> str:
    """The address as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolve(address: str) -> str:
    """The address with its host name looked up, IPv4 first; a bind to every interface keeps an empty host."""
    if not address:
        return ":0"
    try:
        host, port = split(address)
        if not host:
            return f":{port}"
    except ValueError as error:
        raise ApiError(str(error), 500) from error
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ApiError(f"lookup {host}: no such host", 500) from error
    best = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return join(str(best[4][0]), port)


async def bind(address: str) -> socket.socket:
    """A socket that is bound (not listening yet). Raises ApiError with Go's wording."""
    try:
        resolved = await resolve(address)
    except ApiError as error:
        raise ApiError(f"listen tcp: {error.message}", error.status) from error
    host, port = split(resolved)
    try:
        return _bound(host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ApiError(f"listen tcp {resolved}: bind: {reason}", 500) from error


def _bound(host: str, port: int) -> socket.socket:
    every = not host
    family = socket.AF_INET6 if (every and socket.has_dualstack_ipv6()) or ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if every and family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, port))
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
