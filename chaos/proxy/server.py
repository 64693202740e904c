"""The server as a whole: its listener, its configuration file, its life from start to signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from chaos.proxy.collection import Collection
from chaos.proxy.http.api import Api
from chaos.proxy.http.http_server import ClientTimeouts, HttpServer
from chaos.proxy.http.messages import ApiError, ProxyInput, RequestBody, ToxicProxyInput, read_body
from harness.errors import EnvironmentProblem, InputError
from harness.input_file import read_input
from harness.processes.machine import raise_descriptors

_CONFIG_BYTES_MAX: Final = 16 * 1024 * 1024


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve. `seed` None: toxicity, jitter, slices and drops are left to chance."""

    host: str = "localhost"
    port: int = 8474
    config: Path | None = None  # JSON: an array of proxies to create at the start
    strict: bool = False  # only what Toxiproxy has
    proxy_metrics: bool = False  # a Prometheus page in strict mode too
    seed: int | None = None
    allow_host: tuple[str, ...] = ()  # names besides localhost and the server's own that a request may have as Host


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises InputError for a bad configuration, EnvironmentProblem for a taken port."""
    raise_descriptors()
    _take_priority()
    gc.freeze()  # what lives as long as the server need not be searched for garbage while chunks are due
    uvloop.run(_serve(settings))


async def _serve(settings: ServerSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    strict = settings.strict
    collection = Collection(strict=strict, seed=settings.seed)
    hosts = {settings.host, *settings.allow_host}
    api = Api(collection, strict=strict, metrics=settings.proxy_metrics or not strict, hosts=hosts)
    server = HttpServer(api.answer, ClientTimeouts())
    starting = asyncio.create_task(_start(server, collection, settings))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        await stopping
    finally:
        starting.cancel()
        stopping.cancel()
        collection.stop()
        await server.stop()


async def _start(server: HttpServer, collection: Collection, settings: ServerSettings) -> None:
    if settings.config is not None:
        await _populate(collection, settings.config, strict=settings.strict)
    await _listen(server, settings.host, settings.port)


async def _listen(server: HttpServer, host: str, port: int) -> None:
    try:
        await server.start(host, port)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EnvironmentProblem(f"cannot listen on {host}:{port}: {reason}", hint="choose another --port") from error


async def _populate(collection: Collection, config: Path, *, strict: bool) -> None:
    try:
        body = RequestBody(await asyncio.to_thread(read_input, config, _CONFIG_BYTES_MAX))
        if strict:
            await collection.populate(await read_body(body, tuple[ProxyInput, ...]))
        else:
            await collection.populate(await read_body(body, tuple[ToxicProxyInput, ...]))
    except ApiError as error:
        raise InputError(error.message, file=str(config)) from error


def _take_priority() -> None:
    """Run before others when a chunk is due, if the system allows it: a latency must not grow with the machine's load.

    The lowest real-time priority needs CAP_SYS_NICE or RLIMIT_RTPRIO; without, the server is scheduled like any other.
    """
    with contextlib.suppress(OSError):
        priority = os.sched_get_priority_min(os.SCHED_RR)
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
