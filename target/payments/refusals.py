"""Refusals of the provider: problem documents (RFC 9457). Bodies are bounded in every way."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from target.runtime.patience import Patience

T = TypeVar("T")

BODY_BYTES_MAX: Final = 16_384
BODY_WITHIN_S: Final = 5.0
_HANG_UP: Final = {"connection": "close"}  # the rest of the body is not read


class RefusalDocument(msgspec.Struct, frozen=True):
    """A problem document."""

    title: str
    status: int
    type: str = "about:blank"


class RefusedError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, title: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.headers = headers or {}


def problem(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    """The answer."""
    return Response(msgspec.json.encode(RefusalDocument(title, status)), status, headers, "application/problem+json")


async def refused(_request: Request, error: Exception) -> Response:
    """Starlette's handler for `RefusedError`, for its own refusals, and for mistakes of ours."""
    if isinstance(error, RefusedError):
        return problem(error.status, str(error), error.headers)
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, dict(error.headers or {}))
    return problem(500, "internal error")


async def read(request: Request, kind: type[T]) -> T:
    """The body as a `kind`. Raises `RefusedError`: 408 too slow, 413 too large, 422 anything else."""
    try:
        async with Patience(BODY_WITHIN_S):
            body = await _bounded(request)
        return msgspec.json.decode(body, type=kind)
    except TimeoutError as error:
        raise RefusedError(408, "the body is too slow", _HANG_UP) from error
    except ClientDisconnect as error:
        raise RefusedError(400, "the client went away") from error
    except msgspec.DecodeError as error:
        raise RefusedError(422, str(error)) from error


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(413, "the body is too large", _HANG_UP)
    return bytes(body)
