"""A relay before a server that notes when each request and its answer are on the wire, in a process of its own.

`python -m tests.bench.wire --upstream PORT` prints its port. Ended by SIGTERM, it prints a line for each answered
request: when the first byte of the request came, and when the last byte of the answer was passed on, in s of the
system's monotonic clock. Nobody reads them before, so a pipe could not hold them.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

_PIECE_BYTES = 65_536


class Wire:
    """A running relay. `spans_s`: (first byte asked, last byte answered) of each request."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def spans_s(self) -> list[tuple[float, float]]:
        """All of them in the order in which they began; the relay ends."""
        self._process.terminate()
        out, _ = self._process.communicate(timeout=30)
        return sorted((float(begun), float(ended)) for begun, ended in map(str.split, out.splitlines()))


@contextmanager
def relayed(upstream: int) -> Iterator[Wire]:
    """A relay before that port of this machine."""
    command = [sys.executable, "-m", "tests.bench.wire", "--upstream", str(upstream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Wire(process, int(process.stdout.readline()))
        finally:
            process.kill()


async def _relay(
    asking: asyncio.StreamReader, answering: asyncio.StreamWriter, port: int, spans_s: list[tuple[float, float]]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    span = [0.0, 0.0]

    def note() -> None:
        if span[1]:
            spans_s.append((span[0], span[1]))
        span[:] = [0.0, 0.0]

    async def pass_on() -> None:
        while piece := await reader.read(_PIECE_BYTES):
            answering.write(piece)
            span[1] = monotonic()
        answering.close()

    passing = asyncio.create_task(pass_on())
    while piece := await asking.read(_PIECE_BYTES):
        if span[1] or not span[0]:  # the request after an answer, or the first
            note()
            span[0] = monotonic()
        writer.write(piece)
    note()
    writer.close()
    await passing


async def _serve(upstream: int) -> None:
    spans_s: list[tuple[float, float]] = []
    server = await asyncio.start_server(lambda one, other: _relay(one, other, upstream, spans_s), "127.0.0.1", 0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    print(*(f"{begun} {answered}" for begun, answered in spans_s), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().upstream))


if __name__ == "__main__":
    main()
