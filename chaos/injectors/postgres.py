"""Breaks replication from inside PostgreSQL: pauses the replay of its log, or cuts a replica off its primary.

Both are done on the replica, as a superuser, past every proxy. Every call has a time-out.
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from harness.errors import EnvironmentProblem

_TIMEOUT_S: Final = 3.0


class PostgresProblem(EnvironmentProblem):
    """The server did not do what was asked. `refused`: nothing listens there."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message, hint="see the log of that server")
        self.refused = refused


def identity(dsn: str) -> str:
    """Which cluster this is: the identifier that initdb gave it, and its port."""
    return _value(dsn, "SELECT system_identifier || ':' || current_setting('port') FROM pg_control_system()")


def is_replica(dsn: str) -> bool:
    """Whether the server follows another."""
    return _value(dsn, "SELECT pg_is_in_recovery()::text") == "true"


def is_replay_paused(dsn: str) -> bool:
    """Whether replay is paused now, by whomever."""
    return _value(dsn, "SELECT pg_is_wal_replay_paused()::text") == "true"


def pause_replay(dsn: str) -> None:
    """What the primary writes still arrives, and is no longer shown."""
    _value(dsn, "SELECT pg_wal_replay_pause()::text")


def resume_replay(dsn: str) -> None:
    """Show what arrived; safe to do twice."""
    _value(dsn, "SELECT pg_wal_replay_resume()::text")


def upstream(dsn: str) -> str:
    """The replica's connection to its primary (it holds a password), as its files say now.

    What the server works with follows at some instant after a reload, so it tells nothing about who changed it.
    """
    last = "SELECT setting FROM pg_file_settings WHERE name = 'primary_conninfo' ORDER BY seqno DESC LIMIT 1"
    return _value(dsn, f"SELECT coalesce(({last}), '')")


def set_upstream(dsn: str, conninfo: str) -> None:
    """Let the replica follow there, from now on; "" cuts it off."""
    quoted = conninfo.replace("'", "''")
    _value(dsn, f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
    _value(dsn, "SELECT pg_reload_conf()::text")


def _value(dsn: str, statement: str) -> str:
    return asyncio.run(_ask(dsn, statement))


async def _ask(dsn: str, statement: str) -> str:
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S)
        try:
            return str(await connection.fetchval(statement, timeout=_TIMEOUT_S))
        finally:
            await connection.close(timeout=_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise PostgresProblem(f"PostgreSQL did not obey: {error or type(error).__name__}", refused=refused) from error
