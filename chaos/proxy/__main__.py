"""`python -m chaos.proxy`: the fault proxy as its own process. Ready when GET /version answers; ends on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from chaos.proxy.api import application
from chaos.proxy.collection import Collection
from chaos.proxy.messages import ApiError, ProxyInput, read_body
from harness.errors import EnvironmentProblem, GatecrashError, InputError


def main() -> int:
    """Serve until a signal says to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.proxy", description=__doc__)
    parser.add_argument("--host", default="localhost", help="address of the HTTP API")
    parser.add_argument("--port", type=int, default=8474, help="port of the HTTP API")
    parser.add_argument("--config", type=Path, help="JSON file: proxies to create at the start")
    parser.add_argument("--strict", action="store_true", help="only what Toxiproxy has, no extension")
    given = parser.parse_args()
    _allow_many_sockets()
    try:
        uvloop.run(_serve(given.host, given.port, given.config, strict=given.strict))
    except GatecrashError as error:
        print(f"gatecrash toxiproxy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


async def _serve(host: str, port: int, config: Path | None, *, strict: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collection = Collection()
    runner = web.AppRunner(application(collection, strict=strict), access_log=None)
    try:
        if config is not None:
            await _populate(collection, config)
        await runner.setup()
        await _listen(runner, host, port)
        await stop.wait()
    finally:
        collection.stop()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, shutdown_timeout=1).start()
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from error


async def _populate(collection: Collection, config: Path) -> None:
    try:
        body = await asyncio.to_thread(config.read_bytes)
        await collection.populate(read_body(body, list[ProxyInput]))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(config)) from error
    except ApiError as error:
        raise InputError(error.message, file=str(config)) from error


def _allow_many_sockets() -> None:
    """Every proxied connection takes two file descriptors: use all that we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
