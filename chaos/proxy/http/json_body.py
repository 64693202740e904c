"""Reads JSON bodies as Go's encoding/json does: what it takes is taken, what it refuses is refused.

Python's own decoders differ where it matters: they take NaN, they recurse for each level of nesting, and they pass lone
surrogates on, which no answer can show. Numbers stay text until a field says what they must be. A long body is read in
parts, so that the connections that are proxied meanwhile do not wait for it.
"""

from __future__ import annotations

import asyncio
import functools
import json.decoder
import math
import re
import struct
from collections.abc import Hashable
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Float32: TypeAlias = Annotated[float, msgspec.Meta(extra={"bits": 32})]
"""A number that the API keeps and shows in single precision, as Toxiproxy does."""

_DEPTH_MAX: Final = 10_000
_VALUES_AT_ONCE: Final = 200
_ENTRIES_AT_ONCE: Final = 50
_INT_DIGITS_MAX: Final = 19
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER: Final = re.compile(r"-?[0-9]+")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_WORDS: Final = {"true": True, "false": False, "null": None}
_MISSING: Final = object()


class JsonError(ValueError):
    """A body that is no JSON, or JSON of another shape; its words are for the client."""


class CutShortError(JsonError):
    """The body ends inside a value."""


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """An object: its keys and values in order, repeated keys too."""

    __slots__ = ()


async def parse(body: bytes) -> object:
    """The first value of a body; what comes after it is ignored. Raises JsonError, CutShortError."""
    # Go replaces each byte that is not UTF-8, and each half of a pair of surrogates, by U+FFFD.
    reader = _Reader(body.decode(errors="surrogateescape"))
    while True:
        if reader.advance(_VALUES_AT_ONCE):
            return reader.value
        await asyncio.sleep(0)


async def convert(value: object, type_: type[T]) -> T:
    """A parsed value as a type made of structs, tuples and plain values. Raises JsonError.

    Keys are matched without regard to case, unknown ones are ignored, null leaves a field at its default, and of a key
    that is repeated the last value counts.
    """
    info = _type_info(cast(Hashable, type_))
    if not isinstance(info, msgspec.inspect.VarTupleType) or type(value) is not list:
        return cast(T, _read(value, info, "the body"))
    items = []
    for number, item in enumerate(value, 1):
        items.append(_read(item, info.item_type, f"entry {number}"))
        if number % _ENTRIES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return cast(T, tuple(items))


def changed(present: S, value: object) -> S:
    """The struct with what a parsed object has other values for. Raises JsonError."""
    given = {} if value is None else _given(value, type(present), "attributes")
    return msgspec.structs.replace(present, **given)


class _Reader:
    """Reads one value without recursion, some values at a time."""

    def __init__(self, text: str) -> None:
        self.value: object = None
        self._text = text
        self._at = 0
        self._open: list[list[Any]] = []  # arrays and objects that are not complete yet
        self._keys: list[str] = []  # of the objects among them, which member is being read

    def advance(self, values: int) -> bool:
        """Read up to so many values. Returns whether the first one is whole; then `value` has it."""
        return any(self._complete(self._next()) for _ in range(values))

    def _next(self) -> object:
        """The next value, or `_MISSING` when it is an array or an object that has just begun."""
        char = self._peek()
        if char == '"':
            return self._string()
        if char in "[{":
            return self._begin(Members() if char == "{" else [])
        return self._word(char)

    def _begin(self, container: list[Any]) -> object:
        self._at += 1
        if len(self._open) == _DEPTH_MAX:
            raise JsonError("exceeded max depth")
        is_object = isinstance(container, Members)
        if self._peek() == ("}" if is_object else "]"):
            self._at += 1
            return container
        self._open.append(container)
        if is_object:
            self._key()
        return _MISSING

    def _complete(self, value: object) -> bool:
        """Put a value where it belongs, close what ends after it. Returns whether the outermost value is whole."""
        if value is _MISSING:
            return False
        while self._open:
            container = self._open[-1]
            is_object = isinstance(container, Members)
            container.append((self._keys.pop(), value) if is_object else value)
            char = self._peek()
            self._at += 1
            if char == ",":
                if is_object:
                    self._key()
                return False
            if char != ("}" if is_object else "]"):
                raise _unexpected(char, "after object key:value pair" if is_object else "after array element")
            value = self._open.pop()
        self.value = value
        return True

    def _key(self) -> None:
        if (char := self._peek()) != '"':
            raise _unexpected(char, "looking for beginning of object key string")
        self._keys.append(self._string())
        if (char := self._peek()) != ":":
            raise _unexpected(char, "after object key")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no space."""
        found = _SPACE.match(self._text, self._at)
        self._at = self._at if found is None else found.end()
        if self._at >= len(self._text):
            raise CutShortError("unexpected EOF" if self._text.strip(" \t\n\r") else "EOF")
        return self._text[self._at]

    def _string(self) -> str:
        try:
            found, self._at = json.decoder.scanstring(self._text, self._at + 1, True)  # type: ignore[attr-defined]
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated") or len(self._text) - error.pos < len("\\u0000"):
                raise CutShortError("unexpected EOF") from error
            raise _unexpected(self._text[error.pos], "in string literal") from error
        return _SURROGATE.sub("\ufffd", found)

    def _word(self, char: str) -> object:
        """A number, true, false or null."""
        if found := _NUMBER.match(self._text, self._at):
            self._at = found.end()
            return Number(found.group())
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        rest = self._text[self._at :].rstrip()
        if rest == "-" or any(word.startswith(rest) for word in _WORDS):
            raise CutShortError("unexpected EOF")
        raise _unexpected(char, "looking for beginning of value")


def _unexpected(char: str, where: str) -> JsonError:
    return JsonError(f"invalid character {_SURROGATE.sub(chr(0xFFFD), char)!r} {where}")


def _folded(key: str) -> str:
    """Equal for keys that differ in case only: one character of them for one."""
    if key.isascii():
        return key.lower()
    return "".join(folded if len(folded := char.casefold()) == 1 else char for char in key)


@functools.cache
def _type_info(type_: Hashable) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(type_)


@functools.cache
def _fields(struct_type: type[msgspec.Struct]) -> dict[str, msgspec.inspect.Field]:
    info = cast(msgspec.inspect.StructType, _type_info(struct_type))
    return {_folded(field.encode_name): field for field in info.fields}


def _read(value: object, type_: msgspec.inspect.Type, where: str) -> object:
    """A value as this type; `where` names it in errors."""
    match type_:
        case msgspec.inspect.Metadata():
            return _float32(_expected(value, Number, "a number", where), where)
        case msgspec.inspect.UnionType():
            return None if value is None else _read(value, _but_null(type_), where)
        case msgspec.inspect.StructType():
            return _struct(Members() if value is None else value, type_, where)
        case msgspec.inspect.DictType():
            return Members(_expected(value, Members, "an object", where))
        case msgspec.inspect.VarTupleType():
            items = [] if value is None else _expected(value, list, "an array", where)
            return tuple(_read(item, type_.item_type, where) for item in items)
        case msgspec.inspect.IntType():
            return _int(_expected(value, Number, "a number", where), where)
        case msgspec.inspect.FloatType():
            return _float(_expected(value, Number, "a number", where), where)
        case msgspec.inspect.LiteralType():
            if value not in type_.values:
                raise JsonError(f"{where} must be one of {', '.join(map(str, type_.values))}")
            return value
        case msgspec.inspect.BoolType():
            return _expected(value, bool, "true or false", where)
        case _:
            return _expected(value, str, "a string", where)


def _but_null(type_: msgspec.inspect.UnionType) -> msgspec.inspect.Type:
    return next(each for each in type_.types if not isinstance(each, msgspec.inspect.NoneType))


def _expected(value: object, kind: type[T], words: str, where: str) -> T:
    if type(value) is not kind:
        raise JsonError(f"{where} must be {words}")
    return value


def _struct(value: object, type_: msgspec.inspect.StructType, where: str) -> object:
    given = _given(value, type_.cls, where)
    for field in type_.fields:
        if field.required and field.name not in given:
            raise JsonError(f"{field.name} is missing")
    return type_.cls(**given)


def _given(value: object, struct_type: type[msgspec.Struct], where: str) -> dict[str, Any]:
    """The fields that an object has a value for."""
    given: dict[str, Any] = {}
    fields = _fields(struct_type)
    for key, member in _expected(value, Members, "an object", where):
        field = fields.get(_folded(key))
        if field is None or member is None:
            continue
        found = _read(member, field.type, field.name)
        if isinstance(found, Members):
            found = Members([*given.get(field.name, ()), *found])
        given[field.name] = found
    return given


def _int(number: Number, where: str) -> int:
    if not _INTEGER.fullmatch(number):
        raise JsonError(f"{where} must be a whole number")
    if len(number.removeprefix("-")) > _INT_DIGITS_MAX or not -(2**63) <= int(number) < 2**63:
        raise JsonError(f"{where} must fit into 64 bits")
    return int(number)


def _float(number: Number, where: str) -> float:
    found = float(number)
    if not math.isfinite(found):
        raise JsonError(f"{where} is out of range")
    return found


def _float32(number: Number, where: str) -> float:
    """The number in single precision, with as few digits as that takes."""
    try:
        kept = _single(_float(number, where))
        shortest = (float(f"{kept:.{digits}g}") for digits in range(1, 10))
        return next((each for each in shortest if _single(each) == kept), kept)
    except OverflowError as error:
        raise JsonError(f"{where} is out of range") from error


def _single(number: float) -> float:
    """Rounded to single precision. Raises OverflowError."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded
