"""What goes over the HTTP API: bodies in, documents out, and Toxiproxy's errors word for word."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from chaos.proxy.http.json_body import CutShortError, Float32, JsonError, changed, convert, parse
from chaos.proxy.link import Toxic, ToxicLease
from chaos.proxy.toxics import TOXICS
from chaos.proxy.toxics.stage import Attributes

T = TypeVar("T")
DropMode: TypeAlias = Literal["rst", "fin", "stall"]
STREAMS: Final = ("upstream", "downstream")


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


class RequestBody(msgspec.Struct, frozen=True):
    """The body of a request. `problem`: why there is no more of it, or ""."""

    data: bytes
    problem: str = ""


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
    toxicity: Float32 | None = None
    attributes: dict[str, Any] | None = None  # typed by the toxic's own attributes, see `_attributes`


class LeasedToxicInput(ToxicInput, frozen=True):
    """With our extension: after `lease_s` without a renewal the toxic is removed; 0 ends the lease, not the toxic."""

    lease_s: float | None = None


class ToxicChange(msgspec.Struct, frozen=True):
    """What can be changed of a toxic, as a client writes it; null means unchanged."""

    toxicity: Float32 | None = None
    attributes: dict[str, Any] | None = None


class LeasedToxicChange(ToxicChange, frozen=True):
    """With our extension: the lease begins anew, or ends (0)."""

    lease_s: float | None = None


class ToxicProxyInput(ProxyInput, frozen=True):
    """With our extension: the toxics that the proxy has from its first connection on."""

    toxics: tuple[LeasedToxicInput, ...] | None = None


class DropInput(msgspec.Struct, frozen=True):
    """How many of the open connections to drop, and how: by RST, by FIN, or by a stall that says nothing."""

    percent: float
    mode: DropMode = "rst"


class ToxicDocument(msgspec.Struct, frozen=True):
    """A toxic as the API shows it. The lease is there only when the toxic has one."""

    attributes: Attributes
    name: str
    type: str
    stream: str
    toxicity: float | int  # whole numbers are shown without a fraction
    lease_s: float | msgspec.UnsetType = msgspec.UNSET
    lease_left_s: float | msgspec.UnsetType = msgspec.UNSET


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


async def read_body(body: RequestBody, type: type[T]) -> T:
    """The first JSON value of a body; what comes after it is ignored, null stands for an empty object or array."""
    try:
        return await convert(await parse(body.data), type)
    except CutShortError as error:
        raise bad_body(body.problem or str(error)) from error
    except JsonError as error:
        raise bad_body(str(error)) from error


def new_toxic(given: ToxicInput, taken: set[str]) -> Toxic:
    """A toxic from a body, defaults filled in. Checked in Toxiproxy's order: stream, type, name, attributes."""
    stream = given.stream or "downstream"
    if stream.lower() not in STREAMS or given.stream == "":
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
        attributes=_attributes(stage_type.attributes_type(), given.attributes),
        stage_type=stage_type,
        lease=_lease(None, given),
    )


def new_toxics(given: Sequence[ToxicInput]) -> list[Toxic]:
    """The toxics of a new proxy. Raises ApiError at the first that cannot be."""
    toxics: list[Toxic] = []
    for entry in given:
        toxics.append(new_toxic(entry, {toxic.name for toxic in toxics}))
    return toxics


def _lease(present: ToxicLease | None, given: ToxicInput | ToxicChange) -> ToxicLease | None:
    """The lease that runs from now on. One that is not mentioned runs on."""
    if not isinstance(given, LeasedToxicInput | LeasedToxicChange) or given.lease_s is None:
        return present
    if not 0 <= given.lease_s < math.inf:
        raise bad_body("lease_s must be 0 or more seconds")
    return ToxicLease(given.lease_s, time.monotonic() + given.lease_s) if given.lease_s else None


def updated_toxic(toxic: Toxic, given: ToxicChange) -> Toxic:
    """The toxic with other attributes and toxicity; nothing else of it can change."""
    return msgspec.structs.replace(
        toxic,
        toxicity=toxic.toxicity if given.toxicity is None else given.toxicity,
        attributes=_attributes(toxic.attributes, given.attributes),
        lease=_lease(toxic.lease, given),
    )


def _attributes(present: Attributes, given: object) -> Attributes:
    """The attributes with those changed that a body gives: an object, or None."""
    try:
        attributes = changed(present, given)
    except JsonError as error:
        raise bad_body(str(error)) from error
    if problem := attributes.problem():
        raise bad_body(problem)
    return attributes


def toxic_document(toxic: Toxic) -> ToxicDocument:
    """A toxic as the API shows it."""
    toxicity = int(toxic.toxicity) if toxic.toxicity.is_integer() else toxic.toxicity
    shown = ToxicDocument(toxic.attributes, toxic.name, toxic.type, toxic.stream, toxicity)
    if toxic.lease is None:
        return shown
    left_s = max(0.0, round(toxic.lease.ends_s - time.monotonic(), 3))
    return msgspec.structs.replace(shown, lease_s=toxic.lease.lasts_s, lease_left_s=left_s)
