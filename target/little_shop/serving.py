"""Serves an app until the process is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Final

import uvloop
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.types import ASGIApp

GRACE_S: Final = 1.0  # open position streams would keep the server for ever


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Returns never: the process ends with exit code 0 when it was told to stop, else with 1.

    Raises `OSError` when somebody listens there already: the server itself would share the port with them.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are over do not count
        probe.bind((host, port))
    uvloop.run(_serve(app, host, port))


async def _serve(app: ASGIApp, host: str, port: int) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        backlog=4096,
        backpressure=65_536,
        log_level=LogLevels.error,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        serving.result()
        raise SystemExit(1)
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((serving,), timeout=GRACE_S)
    sys.stderr.flush()
    os._exit(0)
