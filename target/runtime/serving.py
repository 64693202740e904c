"""Serves one role's app at the address of its settings, with granian and uvloop, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
from functools import partial
from typing import Final, Protocol

import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server as ProcessServer
from granian.server.embed import Server as EmbeddedServer
from starlette.applications import Starlette
from starlette.types import ASGIApp

from target.settings import Settings
from target.telemetry import logs, tracing
from target.telemetry.exposition import share_metrics

BACKLOG: Final = 4096
STREAMS_MAX: Final = 1_048_576  # the most descriptors that a process usually can have
HEADER_WITHIN_MS: Final = 10_000  # then a connection without a request is closed
GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)
RESPAWN_S: Final = 1.0  # between two attempts to replace a worker that died
GRACE_S: Final = 1.0  # otherwise open streams would keep the server for ever


class Factory(Protocol):
    """A role's `create`."""

    def __call__(self, settings: Settings) -> Starlette:
        """The app of the role."""


def load_app(path: str, settings: Settings) -> ASGIApp:
    """Imports `module:factory` and builds the app, its requests traced; the import loads only what the role needs."""
    module, _, name = path.partition(":")
    create: Factory = getattr(importlib.import_module(module), name)
    tracing.configure(settings, name)
    return tracing.TracedApp(create(settings))


def serve(path: str, settings: Settings) -> None:
    """Serves until told to stop. One worker runs in this process; several run in children of it."""
    logs.configure(settings)
    if settings.workers == 1:
        uvloop.run(_serve_embedded(load_app(path, settings), settings))
    else:
        with share_metrics():
            _serve_processes(path, settings)


def _collect_seldom() -> None:
    """Thousands of open streams are many objects and no garbage: to search them again and again would take a sixth of
    the time of a crowd's arrival, and stop the loop meanwhile."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def _serve_embedded(app: ASGIApp, settings: Settings) -> None:
    _collect_seldom()
    streams_max = _streams_max()
    server = EmbeddedServer(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        backlog=BACKLOG,
        backpressure=streams_max,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_WITHIN_MS),
        log_level=LogLevels.error,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        serving.result()
        raise SystemExit(1)  # it ended without a signal
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((serving,), timeout=GRACE_S)
    await asyncio.wait((asyncio.create_task(asyncio.to_thread(tracing.shutdown)),), timeout=GRACE_S)
    sys.stderr.flush()
    os._exit(0)


def _streams_max() -> int:
    """Requests in flight at once, of which every open position stream is one: as many as there are descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(soft, STREAMS_MAX) if soft != resource.RLIM_INFINITY else STREAMS_MAX


def _load_for_child(_target: str, path: str, settings: Settings) -> ASGIApp:
    logs.configure(settings)
    app = load_app(path, settings)
    _collect_seldom()
    return app


def _serve_processes(path: str, settings: Settings) -> None:
    streams_max = _streams_max()
    ProcessServer(
        path,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        backlog=BACKLOG,
        backpressure=streams_max,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_WITHIN_MS),
        workers_kill_timeout=1,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_S,
        log_level=LogLevels.error,
    ).serve(target_loader=partial(_load_for_child, path=path, settings=settings))
