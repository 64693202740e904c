"""What the conductor and the swarm say survives the pipe."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from harness.scenario import Scenario
from harness.stack import Addresses
from harness.swarm.messaging import protocol
from harness.swarm.messaging.protocol import Command, Event, SwarmSpec, WorkerStart

EVENTS: list[Event] = [
    protocol.Armed(armed=1, asked=2, failures={"fan: refused": 1}),
    protocol.Release(t0_monotonic_s=1.5, t0_wall_s=1.7e9),
    protocol.Progress(t_s=1.0, users_by_step={"hold": 1}, requests=3, rps=1.0, p99_ms=None, outcomes={"hold ok": 1}),
    protocol.FailureMessage(message="no", hint="yes", exit_code=2),
]
COMMANDS: list[Command] = [protocol.ReleaseCommand(), protocol.Stop(), protocol.Settle(), protocol.Quit()]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_the_pipe_as_one_line(event: Event) -> None:
    line = protocol.encode_line(event)
    assert line.count(b"\n") == 1
    assert protocol.decode_event(line) == event


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_survives_the_pipe(command: Command) -> None:
    assert protocol.decode_command(protocol.encode_line(command)) == command


@pytest.mark.parametrize("line", [b"", b"{}", b'{"type":"dance"}', b'{"type":"stop","now":true}', b"stop"])
def test_what_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        protocol.decode_command(line)


def a_spec(tmp_path: Path) -> SwarmSpec:
    return SwarmSpec(
        run_dir=str(tmp_path),
        addresses=Addresses(booking="http://127.0.0.1:1", feeds=("ws://127.0.0.1:2",), event="e"),
        scenario=Scenario(name="s", description="two\nlines", duration_s=1.0),
        seed=7,
    )


def test_a_spec_survives_the_pipe_as_one_line(tmp_path: Path) -> None:
    line = protocol.encode_spec(a_spec(tmp_path))
    assert line.count(b"\n") == 1
    assert protocol.decode_spec(line) == a_spec(tmp_path)


@pytest.mark.parametrize("said", [b"", b"{", b"{}\n", b"no start\n", b"\n"])
def test_a_parent_that_tells_no_start_is_no_parent(said: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, said)
    os.close(writer)
    assert protocol.take_start(reader) is None
    os.close(reader)


def test_a_start_is_one_line_on_the_stdin_of_its_worker(tmp_path: Path) -> None:
    start = WorkerStart(spec=a_spec(tmp_path), key="00" * 32, run_key="11" * 32)
    with subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        protocol.hand_start(process, start)
        line = process.communicate(timeout=60)[0]
    reader, writer = os.pipe()
    os.write(writer, line)
    assert protocol.take_start(reader) == start
    os.close(writer)
    os.close(reader)
