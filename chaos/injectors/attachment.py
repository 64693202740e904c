"""What a container has on a network. Apart from the engine's SDK, so that a journal that has it is read quickly."""

from __future__ import annotations

import msgspec


class Attachment(msgspec.Struct, frozen=True):
    """A container's place on a network: what a disconnect loses and a reconnect must give back."""

    network: str  # its id
    network_name: str
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    address: str = ""  # IPv4, "" for none
    address6: str = ""
