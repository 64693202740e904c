"""A real PostgreSQL primary and its streaming replica: one pair per session, emptied for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from harness.processes.managed import stop_all
from harness.processes.ports import free_ports
from harness.stack.reference import workspace
from harness.stack.reference.databases import Postgres
from target.storage.migrate import migrate_postgres


@dataclass(frozen=True)
class Truth:
    """Where the pair is."""

    primary_dsn: str
    replica_dsn: str
    primary_port: int

    def empty(self) -> None:
        asyncio.run(self._run("TRUNCATE orders, order_seats"))

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.primary_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def shared_truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    root = workspace.create()
    primary_port, replica_port = free_ports(2)
    postgres = Postgres(root, tmp_path_factory.mktemp("postgres"))
    started = []
    try:
        postgres.initialise().wait_success(within_s=30)
        started.append(postgres.start_primary(primary_port))
        asyncio.run(migrate_postgres(postgres.dsn(primary_port)))
        started.append(postgres.start_replica(replica_port, primary_port, primary_port))
        yield Truth(postgres.dsn(primary_port), postgres.dsn(replica_port), primary_port)
    finally:
        stop_all(started, within_s=5)
        workspace.remove(root)


@pytest.fixture
def truth(shared_truth: Truth) -> Truth:
    """An empty truth with its schema."""
    shared_truth.empty()
    return shared_truth
