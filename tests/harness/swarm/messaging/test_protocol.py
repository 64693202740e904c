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
from harness.swarm.messaging.protocol import Command, Event, SwarmSpec

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


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    spec = SwarmSpec(
        run_dir=str(tmp_path),
        addresses=Addresses(booking="http://127.0.0.1:1", feeds=("ws://127.0.0.1:2",), event="e"),
        scenario=Scenario(name="s", description="", duration_s=1.0),
        seed=7,
    )
    (tmp_path / "spec.json").write_text("of a run before")
    (tmp_path / "spec.json").chmod(0o644)
    protocol.write_spec(spec, tmp_path / "spec.json")
    assert (tmp_path / "spec.json").stat().st_mode & 0o777 == 0o600
    assert protocol.read_spec(tmp_path / "spec.json") == spec


@pytest.mark.parametrize("said", [b"", b"0a0b", b"no key\n", b"\n"])
def test_a_parent_that_gives_no_key_is_no_parent(said: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, said)
    os.close(writer)
    assert not protocol.take_key(reader)
    os.close(reader)


def test_a_key_is_one_line_on_the_stdin_of_its_worker() -> None:
    key = bytes(range(32))
    with subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        protocol.hand_key(process, key)
        assert process.communicate(timeout=60)[0] == key.hex().encode() + b"\n"
