"""What goes over the HTTP API: bodies in, documents out, and Toxiproxy's errors word for word."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec

from chaos.proxy.link import AnyStage, Toxic
from chaos.proxy.toxics import TOXICS
from chaos.proxy.toxics.stage import Attributes

T = TypeVar("T")
_STREAMS: Final = ("upstream", "downstream")


class ApiError(Exception):
    """An answer other than success, as Toxiproxy words it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


PROXY_NOT_FOUND: Final = ("proxy not found", 404)
PROXY_EXISTS: Final = ("proxy already exists", 409)
TOXIC_NOT_FOUND: Final = ("toxic not found", 404)
TOXIC_EXISTS: Final = ("toxic already exists", 409)


class ProxyInput(msgspec.Struct, frozen=True):
    """A proxy as a client writes it; null means absent."""

    name: str | None = None
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


class ToxicInput(msgspec.Struct, frozen=True):
    """A toxic as a client writes it; null means absent."""

    name: str | None = None
    type: str | None = None
    stream: str | None = None
    toxicity: float | None = None
    attributes: dict[str, Any] | None = None  # typed by the toxic's own attributes, see `toxic_attributes`


class DropInput(msgspec.Struct, frozen=True):
    """How many of the open connections to cut, and how."""

    percent: float
    mode: str = "rst"


class ToxicDocument(msgspec.Struct, frozen=True):
    """A toxic as the API shows it."""

    attributes: Attributes
    name: str
    type: str
    stream: str
    toxicity: float


class ProxyDocument(msgspec.Struct, frozen=True):
    """A proxy as the API shows it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ToxicDocument, ...]


def bad_body(reason: str) -> ApiError:
    """The body cannot be used."""
    return ApiError(f"bad request body: {reason}", 400)


def missing(field: str, index: int | None = None) -> ApiError:
    """A field is missing, in the `index`-th (from 0) of several proxies."""
    return ApiError(f"missing required field: {field}{'' if index is None else f' at proxy {index + 1}'}", 400)


def read_body(body: bytes, type: type[T]) -> T:
    """The first JSON value of a body; what comes after it is ignored, null stands for an empty object."""
    try:
        text = body.decode().lstrip()
        if not text:
            raise bad_body("EOF")
        value, _ = json.JSONDecoder().raw_decode(text)
        return msgspec.convert({} if value is None else value, type)
    except (UnicodeDecodeError, json.JSONDecodeError, msgspec.ValidationError) as error:
        raise bad_body(str(error)) from error


def new_toxic(given: ToxicInput, taken: set[str]) -> Toxic:
    """A toxic from a body, defaults filled in. Checked in Toxiproxy's order: stream, type, name, attributes."""
    stream = given.stream or "downstream"
    if stream not in _STREAMS or given.stream == "":
        raise ApiError("stream was invalid, can be either upstream or downstream", 400)
    stage_type = TOXICS.get(given.type or "")
    if stage_type is None or given.type is None:
        raise ApiError("invalid toxic type", 400)
    name = given.name or f"{given.type}_{stream}"
    if name in taken:
        raise ApiError(*TOXIC_EXISTS)
    return Toxic(
        name=name,
        type=given.type,
        stream=stream,
        toxicity=1.0 if given.toxicity is None else given.toxicity,
        attributes=toxic_attributes(stage_type, {}, given.attributes),
        stage_type=stage_type,
    )


def updated_toxic(toxic: Toxic, given: ToxicInput) -> Toxic:
    """The toxic with other attributes and toxicity; nothing else of it can change."""
    present = msgspec.structs.asdict(toxic.attributes)
    return msgspec.structs.replace(
        toxic,
        toxicity=toxic.toxicity if given.toxicity is None else given.toxicity,
        attributes=toxic_attributes(toxic.stage_type, present, given.attributes),
    )


def toxic_attributes(
    stage_type: type[AnyStage], present: dict[str, object], given: dict[str, object] | None
) -> Attributes:
    """The attributes of this type of toxic: those present, then those given."""
    changes = {key: value for key, value in (given or {}).items() if value is not None}
    try:
        attributes = msgspec.convert({**present, **changes}, stage_type.attributes_type)
    except msgspec.ValidationError as error:
        raise bad_body(str(error)) from error
    if problem := attributes.problem():
        raise bad_body(problem)
    return attributes


def toxic_document(toxic: Toxic) -> ToxicDocument:
    """A toxic as the API shows it."""
    return ToxicDocument(toxic.attributes, toxic.name, toxic.type, toxic.stream, toxic.toxicity)
