"""Reads JSON that somebody else wrote: whatever is wrong with it, there is one way to say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(document: bytes | str, kind: type[T]) -> T:
    """The document as that type. Raises `msgspec.DecodeError`, for bytes that are no text and for deep nesting too."""
    try:
        return msgspec.json.decode(document, type=kind)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(_words(error)) from None


def decoder_of(kind: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - a union is no type
    """What decodes many documents of that type, or of one of a union."""
    decode_well = msgspec.json.Decoder(kind).decode

    def decode_any(document: bytes) -> Any:  # noqa: ANN401
        try:
            return decode_well(document)
        except (UnicodeError, RecursionError) as error:
            raise msgspec.DecodeError(_words(error)) from None

    return decode_any


def decode_lines(document: bytes, kind: type[T]) -> list[T]:
    """A document on each line. Raises `msgspec.DecodeError`."""
    try:
        return msgspec.json.Decoder(kind).decode_lines(document)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(_words(error)) from None


def _words(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else "it is no UTF-8"
