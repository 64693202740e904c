"""Groups runs of one statement that many callers make at once into one transaction with one flush to disk.

A run that comes alone is sent at once; runs that come while groups are under way form the next group. Each caller waits
for the commit of its group, so every answer is durable. When the database refuses a group because of one run, nothing
has changed: then each run is made alone and gets its own answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg

from target.runtime.breakers import UnavailableError
from target.runtime.patience import Patience
from target.storage.database import Connection, Store
from target.storage.lanes import Lanes
from target.telemetry import tracing
from target.telemetry.metrics import DB_WRITE_SECONDS

GROUP_MAX: Final = 64
LANES: Final = 2  # groups under way at once


class _Run:
    """One run of the statement, and the future of its caller."""

    __slots__ = ("answer", "arguments")

    def __init__(self, arguments: tuple[object, ...]) -> None:
        self.arguments = arguments
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class GroupedWrite:
    """A statement on `store` that names a row by $1, and returns $1 when it has changed something.

    `order_by`: the index of the argument that orders the runs of a group; two groups that meet on several rows then
    meet in the same order, and seldom deadlock.
    """

    def __init__(self, store: Store, statement: str, *, order_by: int = 0) -> None:
        self._store = store
        self._statement = statement
        self._order_by = order_by
        self._waiting: deque[_Run] = deque()
        self._lanes = Lanes(self._work, most=LANES)

    async def run(self, *arguments: object) -> bool:
        """Whether it has changed something. Raises what the database answers, or `UnavailableError`."""
        run = _Run(arguments)
        self._waiting.append(run)
        self._lanes.call()
        with tracing.span(f"{self._store.guard.dependency} write", "client"), DB_WRITE_SECONDS.time():
            try:
                async with Patience(self._store.guard.timeout_s):
                    return await run.answer
            except TimeoutError as error:
                raise UnavailableError(self._store.guard.dependency, "no answer in time", maybe_done=True) from error

    async def _work(self) -> None:
        while group := self._take():
            await self._make(group)

    def _take(self) -> list[_Run]:
        """The next group; of several runs for one row only the first, so that each answer belongs to one run."""
        group: dict[object, _Run] = {}
        again: list[_Run] = []
        while self._waiting and len(group) < GROUP_MAX:
            run = self._waiting.popleft()
            if run.answer.done():  # its caller has given up
                continue
            if group.setdefault(run.arguments[0], run) is not run:
                again.append(run)
        self._waiting.extendleft(reversed(again))
        return sorted(group.values(), key=self._place)

    def _place(self, run: _Run) -> Any:  # noqa: ANN401 - whatever that argument is, it compares with its like
        return run.arguments[self._order_by]

    async def _make(self, group: Sequence[_Run]) -> None:
        try:
            changed = await self._exchange([run.arguments for run in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            if len(group) > 1 and isinstance(error, asyncpg.PostgresError):
                await asyncio.gather(*(self._make([run]) for run in group))
                return
            for run in _asking(group):
                run.answer.set_exception(error)
        else:
            for run in _asking(group):
                run.answer.set_result(run.arguments[0] in changed)

    async def _exchange(self, rows: Sequence[tuple[object, ...]]) -> set[object]:
        async def work(connection: Connection) -> set[object]:
            return {row[0] for row in await connection.fetchmany(self._statement, rows)}

        return await self._store.guard.call(lambda: self._store.use(work))


def _asking(group: Iterable[_Run]) -> list[_Run]:
    """The runs whose callers still wait."""
    return [run for run in group if not run.answer.done()]
