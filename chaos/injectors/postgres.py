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
    """The server did not carry out the request. `refused`: nothing listens at its address."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message, hint="see the log of that server")
        self.refused = refused


def identity(dsn: str) -> str:
    """The identity of a cluster: the identifier that initdb gave it, and its port."""
    return _value(dsn, "SELECT system_identifier || ':' || current_setting('port') FROM pg_control_system()")


def is_replica(dsn: str) -> bool:
    """Whether the server follows a primary."""
    return _value(dsn, "SELECT pg_is_in_recovery()::text") == "true"


def is_replay_paused(dsn: str) -> bool:
    """Whether the replay is paused now, whoever paused it."""
    return _value(dsn, "SELECT pg_is_wal_replay_paused()::text") == "true"


def pause_replay(dsn: str) -> None:
    """Pause the replay: data from the primary still arrives, and is no longer shown to readers."""
    _value(dsn, "SELECT pg_wal_replay_pause()::text")


def resume_replay(dsn: str) -> None:
    """Resume the replay; safe to do twice."""
    _value(dsn, "SELECT pg_wal_replay_resume()::text")


def upstream(dsn: str) -> str:
    """The replica's connection to its primary (it holds a password), as its files say now.

    The setting in force changes only some time after a reload, so it does not show who changed it.
    """
    last = "SELECT setting FROM pg_file_settings WHERE name = 'primary_conninfo' ORDER BY seqno DESC LIMIT 1"
    return _value(dsn, f"SELECT coalesce(({last}), '')")


def set_upstream(dsn: str, conninfo: str) -> None:
    """Let the replica follow this primary from now on; "" cuts it off."""
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
