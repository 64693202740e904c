"""`python -m harness.swarm`: the swarm's master process; see `protocol` for what it reads and writes."""

from __future__ import annotations

import locust  # noqa: F401  isort: skip - first: it patches the process for gevent

import logging
import os
import sys
import traceback
from collections.abc import Iterator

import gevent
from gevent.event import AsyncResult
from gevent.os import make_nonblocking, nb_read
from gevent.queue import Queue

from harness.errors import ExitCode, GatecrashError, InputError
from harness.input_file import NOT_JSON
from harness.swarm.control.runner import Swarm
from harness.swarm.messaging.protocol import Event, FailureMessage, Quit, decode_command, decode_spec, encode_line
from harness.swarm.recording.recorder import prepare_arrow


def main() -> int:
    """Run one swarm. The exit code is 0, or the one of the error that `failed` told of."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    prepare_arrow()
    commands: Queue = Queue()
    spec: AsyncResult = AsyncResult()
    gevent.spawn(_read_stdin, spec, commands)
    try:
        described = spec.get()
        if described is not None:
            Swarm(described, _tell, commands).run()
    except GatecrashError as error:
        _tell(FailureMessage(message=error.message, hint=error.hint, exit_code=int(error.exit_code)))
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the parent must hear of it, whatever it is
        traceback.print_exc()
        _tell(FailureMessage(message=f"the load generator broke: {error}", exit_code=int(ExitCode.NO_VERDICT)))
        return int(ExitCode.NO_VERDICT)
    return 0


def _tell(event: Event) -> None:
    """One line on stdout. Nobody listening is no reason to stop: the end of stdin is."""
    try:
        sys.stdout.buffer.write(encode_line(event))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _read_stdin(spec: AsyncResult, commands: Queue) -> None:
    """The spec, then commands into the queue, until the end of stdin, which means quit; null: there was no spec."""
    lines = _lines(sys.stdin.fileno())
    first = next(lines, None)
    try:
        spec.set(None if first is None else decode_spec(first))
    except NOT_JSON as error:
        spec.set_exception(InputError(f"this is no description of a swarm: {error}"))
    for line in lines:
        try:
            commands.put(decode_command(line))
        except NOT_JSON as error:
            _tell(
                FailureMessage(
                    message=f"this is no command: {line[:80]!r} ({error})", exit_code=int(ExitCode.BAD_INPUT)
                )
            )
    commands.put(Quit())


def _lines(descriptor: int) -> Iterator[bytes]:
    """Whole lines, without their ends."""
    make_nonblocking(descriptor)
    pending = b""
    while data := nb_read(descriptor, 65536):
        *lines, pending = (pending + data).split(b"\n")
        yield from lines


if __name__ == "__main__":
    sys.exit(main())
