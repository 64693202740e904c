"""What a proxy tells of its connections: each open one, and the bytes of all that ever were."""

from __future__ import annotations

import msgspec

from chaos.proxy.link import Link, ProxiedConnection


class ConnectionDocument(msgspec.Struct, frozen=True):
    """One open connection, as the API shows it. `stalled`: a drop made it carry nothing any more."""

    client: str
    age_s: float
    upstream_bytes: int
    downstream_bytes: int
    stalled: bool


def connection_document(connection: ProxiedConnection, now_s: float) -> ConnectionDocument:
    """As the API shows it at `now_s` (monotonic)."""
    return ConnectionDocument(
        connection.client_address,
        round(now_s - connection.opened_s, 3),
        connection.upstream_link.bytes_total,
        connection.downstream_link.bytes_total,
        connection.stalled,
    )


class Traffic:
    """What went through a proxy in one direction, in bytes."""

    def __init__(self, received_bytes: int = 0, sent_bytes: int = 0) -> None:
        self.received_bytes = received_bytes
        self.sent_bytes = sent_bytes

    def add(self, link: Link) -> None:
        """Count a link's bytes in."""
        self.received_bytes += link.bytes_total
        self.sent_bytes += link.sent_bytes
