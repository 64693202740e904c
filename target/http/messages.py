"""What all routes share: problem documents (RFC 9457), JSON in and out, a limit on bodies, tokens from headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from target.http.operations import Parameter
from target.http.tickets import Bound, Pass, Signer, Ticket, TokenError, device_digest
from target.runtime.breakers import UnavailableError
from target.runtime.patience import Patience
from target.telemetry.metrics import BOT_CHECKS

T = TypeVar("T")

BODY_BYTES_MAX: Final = 16_384
BODY_WITHIN_S: Final = 5.0  # from the end of the header to the end of the body
DEVICE_LENGTH_MAX: Final = 128
RETRY_AFTER_S: Final = 1
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$(?!\s)")]
"""Of a fan: neither space nor control character, nor a newline after its end."""
DEVICE_PARAMETER: Final = Parameter(
    "Device",
    "header",
    "The device's fingerprint: ticket and pass are bound to it.",
    Annotated[str, Meta(max_length=DEVICE_LENGTH_MAX)],
)

_HANG_UP: Final = {"connection": "close"}  # the rest of the body is not read any more

_encoder: Final = msgspec.json.Encoder()


class ProblemError(Exception):
    """An answer that is not a success. `extra` adds fields to the problem document."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        retry_after_s: int | None = None,
        extra: dict[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra = extra or {}
        self.headers = headers or {}


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`body` as JSON."""
    return Response(_encoder.encode(body), status, headers, "application/json")


async def problem_response(_request: Request, error: Exception) -> Response:
    """Starlette's handler for `ProblemError`."""
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this type only
    document: dict[str, object] = {"type": "about:blank", "title": error.title, "status": error.status}
    if error.detail:
        document["detail"] = error.detail
    headers = {"cache-control": "no-store", **error.headers}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer, Pass, Queue"
    return Response(_encoder.encode(document | error.extra), error.status, headers, "application/problem+json")


async def refused_response(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own refusals: no such path, wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    return await problem_response(request, ProblemError(error.status_code, error.detail, headers=error.headers))


async def unavailable_response(request: Request, error: Exception) -> Response:
    """Starlette's handler for `UnavailableError`: the fan may try again soon."""
    assert isinstance(error, UnavailableError)  # noqa: S101 - registered for this type only
    problem = ProblemError(
        503,
        "temporarily unavailable",
        f"{error.dependency} cannot be used at the moment",
        retry_after_s=RETRY_AFTER_S,
        extra={"dependency": error.dependency},
    )
    return await problem_response(request, problem)


async def broken_response(request: Request, _error: Exception) -> Response:
    """Starlette's handler for all other exceptions: bugs of ours, which go to the log and not to the client."""
    return await problem_response(request, ProblemError(500, "internal error"))


async def read_json(request: Request, kind: type[T]) -> T:
    """The body as a `kind`.

    Raises `ProblemError`: 413 too large, 408 too slow, 400 not JSON, 422 not the right shape.
    """
    return parse_json(await read_body(request), kind)


def parse_json(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Raises `ProblemError`: 400 not JSON, 422 not the right shape."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ProblemError(422, "unprocessable body", str(error)) from error
    except msgspec.DecodeError as error:
        raise ProblemError(400, "malformed JSON", str(error)) from error


async def read_body(request: Request) -> bytes:
    """The body's bytes. Raises `ProblemError`: 413 too large, 408 too slow, 400 when it never came."""
    try:
        async with Patience(BODY_WITHIN_S):
            return await _receive_body(request)
    except TimeoutError as error:
        raise ProblemError(408, "body too slow", f"it has {BODY_WITHIN_S} s to come", headers=_HANG_UP) from error


async def _receive_body(request: Request) -> bytes:
    """Receives the body without Starlette's stream of chunks, because our bodies arrive in one piece."""
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ProblemError(400, "the client went away")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise ProblemError(413, "body too large", f"at most {BODY_BYTES_MAX} bytes", headers=_HANG_UP)
    return body


def _credentials(authorization: str, scheme: str) -> str:
    given, _, token = authorization.partition(" ")
    if given.lower() != scheme.lower() or not token:
        raise ProblemError(401, "not authorised", f"an Authorization header with the scheme {scheme} is needed")
    return token.strip()


def require_ticket(headers: Mapping[str, str], signer: Signer) -> Ticket:
    """The queue ticket of a request, presented from the device it was given to. Raises `ProblemError` 400, 401."""
    try:
        ticket = _require(headers, "Queue", Ticket, signer)
    except ProblemError:
        BOT_CHECKS.labels("ticket", "refused").inc()
        raise
    BOT_CHECKS.labels("ticket", "passed").inc()
    return ticket


def read_device(headers: Mapping[str, str]) -> str:
    """The digest of the device that the request names, "" when it names none. Raises `ProblemError` 400: too long."""
    fingerprint = headers.get("device", "")
    if len(fingerprint) > DEVICE_LENGTH_MAX:
        raise ProblemError(400, "malformed header", f"Device has at most {DEVICE_LENGTH_MAX} characters")
    return device_digest(fingerprint)


def require_pass(request: Request, signer: Signer) -> Pass:
    """The fan's pass, presented from the device it was given to. Raises `ProblemError` 400, 401."""
    return _require(request.headers, "Pass", Pass, signer)


def _require(headers: Mapping[str, str], scheme: str, kind: type[Bound], signer: Signer) -> Bound:
    token = _credentials(headers.get("authorization", ""), scheme)
    try:
        return signer.read_from(read_device(headers), kind, token)
    except TokenError as error:
        raise ProblemError(401, "not authorised", str(error)) from error


HANDLERS: Final = {
    ProblemError: problem_response,
    UnavailableError: unavailable_response,
    HTTPException: refused_response,
    Exception: broken_response,
}
"""Every app's `exception_handlers`."""
