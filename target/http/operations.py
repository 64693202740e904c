"""Declares what the operations of a route module take and answer; `target/http/openapi.py` makes the document of it.

`@operation(...)` stands above the handler, so that both are changed together. What follows from an argument is not
repeated: a body adds 400, 408, 413 and 422, a scheme 401, a dependency 503, a path parameter 404, and every operation
may say 414 and 431.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from starlette.routing import Route

T = TypeVar("T")

JSON: Final = "application/json"
_ATTRIBUTE: Final = "__operation__"

Place: TypeAlias = Literal["header", "query", "path"]


class Parameter(msgspec.Struct, frozen=True):
    """A header, query or path parameter. `kind`: a type that msgspec can describe."""

    name: str
    place: Place
    description: str
    kind: Any = str
    required: bool = False


class Success(msgspec.Struct, frozen=True):
    """An answer that is not a problem document. `body`: a type; None: no schema, and no content without a `media`."""

    description: str
    body: Any = None
    media: str = ""
    headers: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """The media type; "" is no content."""
        return self.media or (JSON if self.body is not None else "")


Told: TypeAlias = Success | type[msgspec.Struct] | str
"""An answer as it is declared: in full, as the type of its JSON, or as the words for a problem document."""


class RouteOperation(msgspec.Struct, frozen=True):
    """What one handler takes and answers. `answers`: status → a success, or the words for a problem document."""

    tag: str
    answers: dict[int, Success | str]
    body: Any = None
    body_optional: bool = False
    scheme: str = ""
    scheme_optional: bool = False
    parameters: tuple[Parameter, ...] = ()


def operation(
    tag: str,
    answers: Mapping[int, Told],
    *,
    body: type[msgspec.Struct] | None = None,
    body_optional: bool = False,
    scheme: Literal["", "Queue", "Pass", "Bearer"] = "",
    scheme_optional: bool = False,
    needs: Sequence[str] = (),
    parameters: Sequence[Parameter] = (),
) -> Callable[[T], T]:
    """Declares the operation of the handler below it (a function, or a class whose instance is the endpoint).

    `scheme`: that of its Authorization header. `needs`: the dependencies without which it answers 503.
    """
    told: dict[int, Success | str] = {status: _success(answer) for status, answer in answers.items()}
    implied = {
        **(_BODY_PROBLEMS if body is not None else {}),
        **({401: f"the {scheme} token is missing, forged, expired or somebody else's"} if scheme else {}),
        **({503: f"{' or '.join(needs)} cannot be used at the moment; try again after Retry-After"} if needs else {}),
        414: "the address is too long",
        431: "the header fields are too large",
    }
    for status, words in implied.items():
        told.setdefault(status, words)
    declared = RouteOperation(
        tag, dict(sorted(told.items())), body, body_optional, scheme, scheme_optional, tuple(parameters)
    )

    def declare(handler: T) -> T:
        setattr(handler, _ATTRIBUTE, declared)
        return handler

    return declare


def operation_of(route: Route) -> RouteOperation | None:
    """The declaration of the route's endpoint."""
    found: RouteOperation | None = getattr(route.endpoint, _ATTRIBUTE, None)
    return found


def _success(answer: Told) -> Success | str:
    if isinstance(answer, type):
        return Success(_first_sentence(answer.__doc__), answer)
    return answer


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


_BODY_PROBLEMS: Final = {
    400: "the body is not JSON",
    408: "the body came too slowly",
    413: "the body is too large",
    422: "the body has not the right shape",
}
