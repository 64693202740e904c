"""Creates a shard's database when it is missing, and applies target/storage/migrations/*.sql, each file once, in one
transaction.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

MAINTENANCE_DATABASE: Final = "postgres"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_215_001  # any number, the same in every process that migrates


async def migrate_postgres(dsn: str, *, timeout_s: float = 10.0) -> list[str]:
    """Brings the schema up to date; returns the names of the files it applied. Safe to run twice, and twice at once."""
    connection = await _connect(dsn, timeout_s)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)")
            done = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
            waiting = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.name not in done]
            for path in waiting:
                await connection.execute(path.read_text())
                await connection.execute("INSERT INTO migrations VALUES ($1)", path.name)
            return [path.name for path in waiting]
    finally:
        await connection.close()


async def _connect(dsn: str, timeout_s: float) -> Any:  # noqa: ANN401 - asyncpg has no types
    try:
        return await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(dsn, timeout_s)
        return await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)


async def _create_database(dsn: str, timeout_s: float) -> None:
    parts = urlsplit(dsn)
    name = parts.path.lstrip("/").replace('"', '""')
    server = urlunsplit(parts._replace(path=f"/{MAINTENANCE_DATABASE}"))
    connection = await asyncpg.connect(server, timeout=timeout_s, command_timeout=timeout_s)
    try:
        with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):  # two processes at once
            await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
