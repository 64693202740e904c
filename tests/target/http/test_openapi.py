"""The OpenAPI document: of every route that is served, each told by its own module."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import schemathesis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.openapi import document, undocumented
from target.http.operations import Parameter, Success, operation
from target.roles import booking as booking_app
from target.roles import worker
from target.settings import Settings

SETTINGS = Settings(event="e1,e2")


@pytest.fixture(params=[booking_app.create, worker.create], ids=["booking", "worker"])
def app(request: pytest.FixtureRequest) -> Starlette:
    made: Starlette = request.param(SETTINGS)
    return made


class Wish(msgspec.Struct, frozen=True):
    """A wish."""

    words: str


class Handlers:
    @operation("wishes", {201: Wish, 409: "wished for already"}, body=Wish, scheme="Pass", needs=("redis",))
    async def wish(self, _request: Request) -> Response:
        """Makes a wish."""
        return Response()

    @operation(
        "wishes",
        {200: Success("All.", media="text/plain"), 404: "none"},
        parameters=(Parameter("first", "query", "From where.", int),),
    )
    async def wishes(self, _request: Request) -> Response:
        """Lists wishes."""
        return Response()

    async def secret(self, _request: Request) -> Response:
        return Response()


def _routes(handlers: Handlers) -> list[Route]:
    return [
        *(Route(f"/api/events/{event}/wishes", handlers.wish, methods=["POST"]) for event in ("e1", "e2")),
        *(Route(f"/api/events/{event}/wishes/{{wish_id:int}}", handlers.wishes) for event in ("e1", "e2")),
    ]


def test_every_route_that_is_served_is_documented(app: Starlette) -> None:
    assert undocumented(app.routes) == []


def test_the_document_leaves_no_reference_open(app: Starlette) -> None:
    made = document("t", app.routes, events=SETTINGS.events)
    names = {f"#/components/schemas/{name}" for name in made["components"]["schemas"]}
    assert set(_values(made, "$ref")) <= names
    ids = list(_values(made, "operationId"))
    assert len(ids) == len(set(ids))
    assert all(described["summary"] for path in made["paths"].values() for described in path.values())


def test_the_document_is_openapi(app: Starlette) -> None:
    schemathesis.openapi.from_dict(document("t", app.routes, events=SETTINGS.events)).validate()


def test_the_events_are_one_parameter() -> None:
    paths = document("t", _routes(Handlers()), events=("e1", "e2"))["paths"]
    assert sorted(paths) == ["/api/events/{event}/wishes", "/api/events/{event}/wishes/{wish_id}"]
    event = paths["/api/events/{event}/wishes"]["post"]["parameters"][0]
    assert (event["name"], event["schema"]["enum"]) == ("event", ["e1", "e2"])


def test_what_follows_from_an_operation_is_told() -> None:
    paths = document("t", _routes(Handlers()), events=("e1", "e2"))["paths"]
    wish = paths["/api/events/{event}/wishes"]["post"]
    assert sorted(wish["responses"]) == ["201", "400", "401", "404", "408", "409", "413", "414", "422", "431", "503"]
    assert wish["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Wish"}
    assert list(wish["responses"]["409"]["content"]) == ["application/problem+json"]
    assert wish["security"] == [{"Pass": []}]
    wishes = paths["/api/events/{event}/wishes/{wish_id}"]["get"]
    assert sorted(wishes["responses"]) == ["200", "404", "414", "431"]
    assert wishes["parameters"][-1]["schema"] == {"type": "integer"}


def test_what_declares_nothing_is_told() -> None:
    handlers = Handlers()
    assert undocumented([*_routes(handlers), Route("/secret", handlers.secret)]) == ["/secret"]


def test_a_route_for_any_method_is_not_documented() -> None:
    assert undocumented([Route("/any", _Anything())]) == ["/any"]


@operation("any", {200: "all"})
class _Anything:
    async def __call__(self, *_: object) -> None:
        """Anything."""


def _values(node: Any, key: str) -> list[Any]:
    if isinstance(node, list):
        return [value for each in node for value in _values(each, key)]
    if not isinstance(node, dict):
        return []
    return [*([node[key]] if key in node else []), *(value for each in node.values() for value in _values(each, key))]
