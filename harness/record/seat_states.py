"""Packs the seat maps that users saw, names of seats and their states, into short text.

A state is one character: "0" free, "1" held, "2" sold. Maps of thousands of seats are mostly alike along a row, so
compressed they take a few hundred bytes.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

FREE: Final = "0"
HELD: Final = "1"
SOLD: Final = "2"
UNKNOWN: Final = "?"
"""The state of a seat that the map did not show."""
_LEVEL: Final = 1  # fast, because the load generator packs
_BYTES_MAX: Final = 64 * 2**20  # of one map or layout, unpacked


def digest(text: str) -> str:
    """A short name for a map or a layout."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def pack(text: str) -> str:
    """Compress a text to base64."""
    return b64encode(zlib.compress(text.encode(), _LEVEL)).decode()


def unpack(packed: str) -> str:
    """The inverse of `pack`. Raises ValueError for any other text, and for a text that is larger than any map."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(b64decode(packed, validate=True), _BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"not packed by us: {error}") from error
    if not unpacker.eof:
        raise ValueError("not packed whole, or too large for a seat map")
    return text.decode()


def pack_names(seats: Sequence[str]) -> str:
    """The seats' names, in the order of their states; a platform may give a seat any name, also of several lines."""
    return pack(msgspec.json.encode(seats).decode())


def unpack_names(packed: str) -> tuple[str, ...]:
    """The inverse of `pack_names`. Raises ValueError."""
    try:
        return msgspec.json.decode(unpack(packed), type=tuple[str, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"no names of seats: {error}") from error
