"""The OpenAPI 3.1 document of an app, made of what its routes declare (`target/http/operations.py`) and msgspec's
schemas.

It is made from the routes that are served, so it cannot name others. Routes that no module has declared are left out,
and `undocumented` lists them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import target
from target.http.operations import Parameter, RouteOperation, Success, operation, operation_of

Document: TypeAlias = dict[str, Any]  # JSON that is built here and never read in this process

PROBLEM: Final = "application/problem+json"
EVENT_PREFIXES: Final = ("/api/events/", "/queue/", "/seats/")
REF: Final = "#/components/schemas/{name}"
CACHE: Final = "public, max-age=60"
_PATH_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")
_SCHEMES: Final = {
    "Queue": "the queue ticket: `Authorization: Queue <ticket>`",
    "Pass": "the pass of an admitted fan: `Authorization: Pass <pass>`",
}


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457). Some problems have more fields."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""


class OpenApi:
    """The document of the routes of one app, and the route that serves it."""

    def __init__(self, title: str, routes: Sequence[BaseRoute], *, events: Sequence[str]) -> None:
        self._title = title
        self._events = tuple(events)
        self.route = Route("/openapi.json", self.show)
        self.routes = (*routes, self.route)
        self._body = msgspec.json.encode(document(title, self.routes, events=self._events))

    @operation("operations", {200: Success("This document.", media="application/json")})
    async def show(self, _request: Request) -> Response:
        """The OpenAPI document of this process."""
        return Response(self._body, headers={"cache-control": CACHE}, media_type="application/json")


def document(title: str, routes: Iterable[BaseRoute], *, events: Sequence[str]) -> Document:
    """The document. The names of `events` in paths become the one parameter `event`."""
    declared = [(route, found) for route in routes if isinstance(route, Route) and (found := operation_of(route))]
    schemas = _Schemas(found for _, found in declared)
    paths: dict[str, Document] = {}
    for route, found in declared:
        path = _path(route.path, events)
        described = _operation(path, route, found, schemas, events)
        paths.setdefault(path, {}).update({method.lower(): described for method in _methods(route)})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": inspect.getdoc(target) or title},
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _security_schemes(declared)},
    }


def undocumented(routes: Iterable[BaseRoute]) -> list[str]:
    """The paths of routes that declare nothing."""
    return sorted({str(getattr(route, "path", route)) for route in routes if not _is_declared(route)})


def _is_declared(route: BaseRoute) -> bool:
    return isinstance(route, Route) and bool(route.methods) and operation_of(route) is not None


class _Schemas:
    """The schemas of every type that operations name, each once."""

    def __init__(self, operations: Iterable[RouteOperation]) -> None:
        self._kinds: list[Any] = [Problem]
        for kind in (kind for found in operations for kind in _kinds(found)):
            if kind not in self._kinds:
                self._kinds.append(kind)
        schemas, self.components = msgspec.json.schema_components(self._kinds, ref_template=REF)
        self._schemas = tuple(schemas)

    def of(self, kind: object) -> Document:
        """A schema, or a reference to one."""
        return self._schemas[self._kinds.index(kind)]


def _kinds(found: RouteOperation) -> Iterator[Any]:
    bodies = (answer.body for answer in found.answers.values() if isinstance(answer, Success))
    for kind in (found.body, *bodies, *(parameter.kind for parameter in found.parameters)):
        if kind is not None:
            yield kind


def _path(path: str, events: Sequence[str]) -> str:
    for prefix in EVENT_PREFIXES:
        event, slash, rest = path.removeprefix(prefix).partition("/")
        if path.startswith(prefix) and event in events:
            path = f"{prefix}{{event}}{slash}{rest}"
    return _PATH_PARAMETER.sub(r"{\1}", path)


def _methods(route: Route) -> list[str]:
    return sorted((route.methods or set()) - {"HEAD"})


def _operation(path: str, route: Route, found: RouteOperation, schemas: _Schemas, events: Sequence[str]) -> Document:
    text = inspect.getdoc(route.endpoint) or ""
    described: Document = {
        "tags": [found.tag],
        "operationId": _operation_id(path, route),
        "summary": text.partition("\n")[0],
        "description": text,
        "parameters": [
            *(_path_parameter(name, found, schemas, events) for name in _PATH_PARAMETER.findall(path)),
            *(_parameter(each, schemas) for each in found.parameters if each.place != "path"),
        ],
        "responses": {str(status): _response(answer, schemas) for status, answer in _answers(path, found)},
    }
    if found.body is not None:
        content = {"application/json": {"schema": schemas.of(found.body)}}
        described["requestBody"] = {"required": not found.body_optional, "content": content}
    if found.scheme:
        described["security"] = [{found.scheme: []}, *([{}] if found.scheme_optional else [])]
    return described


def _answers(path: str, found: RouteOperation) -> list[tuple[int, Success | str]]:
    """The answers by status, with 404 for a path with a parameter."""
    return sorted({**({404: "no such event"} if "{" in path else {}), **found.answers}.items())


def _operation_id(path: str, route: Route) -> str:
    words = re.findall(r"\w+", path.removeprefix("/api/events/{event}").removeprefix("/api"))
    return "_".join([_methods(route)[0].lower(), *words])


def _path_parameter(name: str, found: RouteOperation, schemas: _Schemas, events: Sequence[str]) -> Document:
    if name == "event":
        schema: Document = {"type": "string", "enum": list(events)}
        return {"name": name, "in": "path", "required": True, "schema": schema, "description": "An event on sale."}
    told = next((each for each in found.parameters if each.place == "path" and each.name == name), None)
    if told is not None:
        return _parameter(told, schemas) | {"required": True}
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(told: Parameter, schemas: _Schemas) -> Document:
    return {
        "name": told.name,
        "in": told.place,
        "description": told.description,
        "required": told.required,
        "schema": schemas.of(told.kind),
    }


def _response(answer: Success | str, schemas: _Schemas) -> Document:
    if isinstance(answer, str):
        return {"description": answer, "content": {PROBLEM: {"schema": schemas.of(Problem)}}}
    described: Document = {"description": answer.description}
    if answer.content:
        schema = schemas.of(answer.body) if answer.body is not None else {}
        described["content"] = {answer.content: {"schema": schema} if schema else {}}
    if answer.headers:
        described["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    return described


def _security_schemes(declared: Sequence[tuple[Route, RouteOperation]]) -> Document:
    schemes: Document = {}
    for name in sorted({found.scheme for _, found in declared if found.scheme}):
        if name == "Bearer":
            schemes[name] = {"type": "http", "scheme": "bearer", "description": "the operator's token"}
        else:
            schemes[name] = {"type": "apiKey", "in": "header", "name": "Authorization", "description": _SCHEMES[name]}
    return schemes
