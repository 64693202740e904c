"""Who waits for a turn, in which order, and that none is lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from target.http.turns import CAME_S, Turns
from target.roles.booking import create
from target.settings import Settings
from tests.target.processes import EVENT

HEAD_STARTS_S = {"/page": 0.0, "/join": 60.0}


class Work:
    """An app whose requests end when they are let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.came_s: dict[str, float] = {}
        self.open: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Reads the body first, if there is one."""
        name = scope["name"]
        if scope["has_body"]:
            await receive()
        self.begun.append(name)
        self.came_s[name] = scope.get(CAME_S, 0.0)
        self.open[name] = asyncio.Event()
        await self.open[name].wait()


class Desk:
    """Requests to `Work` behind `Turns`, two at once."""

    def __init__(self) -> None:
        self.work = Work()
        self.turns = Turns(self.work, HEAD_STARTS_S, at_once=2)
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, path: str, *, body: asyncio.Event | None = None) -> None:
        """Sends a request; `body` says when its body comes."""

        async def receive() -> Message:
            if body is not None:
                await body.wait()
            return {"type": "http.request"}

        async def send(_message: Message) -> None: ...

        scope: dict[str, Any] = {"type": "http", "path": path, "name": name, "has_body": body is not None}
        self.tasks[name] = asyncio.create_task(self.turns(scope, receive, send))
        await settled()

    async def end(self, name: str) -> None:
        """Lets a request end."""
        self.work.open[name].set()
        await settled()


async def settled() -> None:
    """Until nothing more happens by itself."""
    for _ in range(8):
        await asyncio.sleep(0)


def test_two_are_worked_on_and_who_has_a_head_start_is_next() -> None:
    async def main() -> None:
        desk = Desk()
        for name in ("a", "b", "c", "d"):
            await desk.ask(name, "/page")
        await desk.ask("e", "/join")
        await desk.ask("f", "/hold")  # not one of the crowd
        assert desk.work.begun == ["a", "b", "f"]
        await desk.end("a")
        assert desk.work.begun[3:] == ["e"]
        await desk.end("b")
        await desk.end("e")
        assert desk.work.begun[4:] == ["c", "d"]

    asyncio.run(main())


def test_a_request_that_waited_knows_when_it_came() -> None:
    async def main() -> None:
        desk = Desk()
        for name in ("a", "b", "c"):
            await desk.ask(name, "/join")
        before_s = time.time()
        await asyncio.sleep(0.01)
        await desk.end("a")
        assert 0.0 < desk.work.came_s["c"] <= before_s

    asyncio.run(main())


def test_a_body_that_does_not_come_takes_nobodys_turn() -> None:
    async def main() -> None:
        desk = Desk()
        body = asyncio.Event()
        for name in ("a", "b", "c"):
            await desk.ask(name, "/join", body=body)
        await desk.ask("d", "/page")
        await desk.ask("e", "/page")
        await desk.ask("f", "/page")
        assert desk.work.begun == ["d", "e"]
        body.set()
        await settled()
        assert desk.work.begun == ["d", "e", "a", "b", "c"]
        for name in ("a", "b", "c"):
            await desk.end(name)
        assert desk.work.begun[5:] == []  # there are still two of them
        await desk.end("d")
        assert desk.work.begun[5:] == ["f"]

    asyncio.run(main())


def test_who_goes_away_loses_nobodys_turn() -> None:
    async def main() -> None:
        desk = Desk()
        for name in ("a", "b", "c", "d"):
            await desk.ask(name, "/page")
        desk.tasks["c"].cancel()
        await settled()
        await desk.end("a")
        assert desk.work.begun[2:] == ["d"]
        await desk.ask("e", "/page")
        desk.work.open["b"].set()
        desk.tasks["b"].cancel()
        desk.tasks["d"].cancel()
        await settled()
        await desk.ask("f", "/page")
        assert desk.work.begun[3:] == ["e", "f"]

    asyncio.run(main())


def test_the_paths_of_the_crowd_are_paths_of_the_booking_system() -> None:
    app = create(Settings(event=EVENT))
    [turns] = [part for part in app.user_middleware if part.cls is Turns]
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]
    [head_starts_s] = turns.args
    assert len(head_starts_s) == 3
    assert set(head_starts_s) <= paths
