"""A container's attachment to a network. It does without the engine's SDK, so that reading a journal is quick."""

from __future__ import annotations

import msgspec


class Attachment(msgspec.Struct, frozen=True):
    """A container's attachment to a network: a disconnect loses it, and a reconnect must restore it."""

    network: str  # its id
    network_name: str
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    address: str = ""  # IPv4, "" for none
    address6: str = ""
