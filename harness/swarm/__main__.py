"""`python -m harness.swarm SPEC.json`: the swarm's master process; see `protocol` for what it reads and writes."""

from __future__ import annotations

import locust  # noqa: F401  isort: skip - first: it patches the process for gevent

import argparse
import logging
import os
import sys
import traceback
from pathlib import Path

import gevent
import msgspec
from gevent.os import make_nonblocking, nb_read
from gevent.queue import Queue

from harness.errors import ExitCode, GatecrashError
from harness.swarm.control.runner import Swarm
from harness.swarm.messaging.protocol import Event, FailureMessage, Quit, decode_command, encode_line, read_spec
from harness.swarm.recording.recorder import prepare_arrow


def main() -> int:
    """Run one swarm. The exit code is 0, or the one of the error that `failed` told of."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m harness.swarm")
    parser.add_argument("spec", type=Path, help="a SwarmSpec as JSON")
    spec_file: Path = parser.parse_args().spec
    prepare_arrow()
    commands: Queue = Queue()
    gevent.spawn(_read_commands, commands)
    try:
        Swarm(read_spec(spec_file), spec_file, _tell, commands).run()
    except GatecrashError as error:
        _tell(FailureMessage(message=error.message, hint=error.hint, exit_code=int(error.exit_code)))
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the conductor must hear of it, whatever it is
        traceback.print_exc()
        _tell(FailureMessage(message=f"the load generator broke: {error}", exit_code=int(ExitCode.NO_VERDICT)))
        return int(ExitCode.NO_VERDICT)
    finally:
        spec_file.unlink(missing_ok=True)
    return 0


def _tell(event: Event) -> None:
    """One line on stdout. Nobody listening is no reason to stop: the end of stdin is."""
    try:
        sys.stdout.buffer.write(encode_line(event))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _read_commands(commands: Queue) -> None:
    """Lines of stdin into the queue, until its end, which means quit."""
    descriptor = sys.stdin.fileno()
    make_nonblocking(descriptor)
    pending = b""
    while data := nb_read(descriptor, 65536):
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            try:
                commands.put(decode_command(line))
            except msgspec.DecodeError as error:
                _tell(
                    FailureMessage(
                        message=f"this is no command: {line[:80]!r} ({error})", exit_code=int(ExitCode.BAD_INPUT)
                    )
                )
    commands.put(Quit())


if __name__ == "__main__":
    sys.exit(main())
