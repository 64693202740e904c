"""The messages between the swarm and its parent process (`harness.swarm.control.child`), and the swarm's description.

`python -m harness.swarm` reads a `SwarmSpec` as the first line of its stdin, then one `Command` per line; it writes one
`Event` per line on stdout. All are JSON. The usual conversation:

    swarm      parent
    waiting    →            only with workers of other machines: they may join now
    baseline   →            only where a platform has orders of before: they are read
    arming     →            each second, until all are
    armed      →            every user is spawned, connected and waiting (or no more are for too long)
               ←  release   let them go
    release    →            T0 is announced, at least a second ahead
    progress   →            each second
    finished   →            the duration is over (or `stop` was read): no journey runs any more
               ←  settle    faults are healed: read the state at rest, sweep the seats
    settled    →            every table of the record is whole
               ←  quit      the process ends; so does end of file on stdin

A spec holds the operator's token. It goes from process to process over pipes only, so that no file keeps it.
`failed` may come instead of any answer; the process then ends with the exit code it names. Nothing here imports locust
or gevent, so the parent may load it.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Final

import msgspec

from harness.record.schema import LoadSummary, SeatMapFacts
from harness.scenario import Journeys, Scenario
from harness.stack import Addresses

JOIN_TIMEOUT_S: Final = 120.0
END_MOST_S: Final = 120.0  # a busy worker has so long to end
NOTICE_S: Final = 2.0  # T0 is announced so long ahead
_READ_BYTES: Final = 65536
DEFAULT_PLATFORM: Final = "scenarios/reference/platform.py:ReferencePlatform"
NO_ADAPTER: Final = "harness/swarm/users/unaudited.py:Unaudited"


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of the messages: frozen, and an unknown field is refused."""


class Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the swarm's master can be reached. `port` 0: any free one.

    `remote_workers`: how many workers of other machines it waits for, at `listen`:`port`. They must have `key`, see
    `run_key`; without remote workers it is "". `web_port` null: Locust's own pages are not served.
    """

    listen: str = "127.0.0.1"
    port: int = 0
    remote_workers: int = 0
    key: str = ""
    web_port: int | None = None


class SwarmSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a swarm needs to know. `platform` and `journeys` are "FILE:CLASS".

    A relative FILE is looked for in the working directory, then in the tree that gatecrash itself lives in.
    `workers` null: one per spare core. `refused_holds_s`: from when to when on the release clock new holds are expected
    to be refused, so that a probe that tries one takes no seat from anybody. `baseline_within_s`: how long the orders
    and the stock of before the release may take to be read; 0: they are not, nobody has bought anything yet.
    `purchase_acts`: see `harness.platform.LosesAnswers`.
    """

    run_dir: str
    addresses: Addresses
    scenario: Scenario
    seed: int
    platform: str = DEFAULT_PLATFORM
    journeys: Journeys = Journeys()
    workers: int | None = None
    reach: Reach = Reach()
    refused_holds_s: tuple[tuple[float, float], ...] = ()
    baseline_within_s: float = 0.0
    purchase_acts: int = 0

    @property
    def at_rest_within_s(self) -> float:
        """How long the platform has to come to rest after the run."""
        own = self.addresses.own
        return self.scenario.settle_timeout_s if own is None else own.rules.at_rest_within_s


class Armed(_Message, frozen=True, tag="armed"):
    """Who is ready to go. `failures`: what kept the others from arming → how many users it kept."""

    armed: int
    asked: int
    failures: dict[str, int] = {}


class Arming(_Message, frozen=True, tag="arming"):
    """So many users are ready by now."""

    ready: int
    asked: int


class Baseline(_Message, frozen=True, tag="baseline"):
    """What there was before the release is read, on a platform of the user's own. `problem`: why not, "" when it is."""

    problem: str = ""


class Waiting(_Message, frozen=True, tag="waiting"):
    """Workers of other machines may join at `port` now; so many are waited for, `JOIN_TIMEOUT_S` at most."""

    port: int
    remote_workers: int


class Release(_Message, frozen=True, tag="release"):
    """T0 is set: `t0_monotonic_s` on this machine's monotonic clock, `t0_wall_s` in unix time."""

    t0_monotonic_s: float
    t0_wall_s: float


class Progress(_Message, frozen=True, tag="progress"):
    """One second of the run. `outcomes`: operations so far, "function outcome" → count, e.g. {"hold ok": 812}.

    `requests` counts samples so far; `rps` and `p99_ms` (service time) are over the last three seconds.
    `workers_lost`: worker processes that died.
    """

    t_s: float
    users_by_step: dict[str, int]
    requests: int
    rps: float
    p99_ms: float | None
    outcomes: dict[str, int]
    workers_lost: int = 0


class Finished(_Message, frozen=True, tag="finished"):
    """No journey runs any more. `clock_offsets_ms`: "worker-1" → its clock minus the parent's."""

    load: LoadSummary
    capabilities: tuple[str, ...]
    journey_digest: str
    clock_offsets_ms: dict[str, float]
    notes: tuple[str, ...] = ()


class Settled(_Message, frozen=True, tag="settled"):
    """The state at rest is read and every table is a finished Parquet file.

    `load` replaces the one of `Finished`: it counts the requests of the final reads too. `at_rest`: the platform said
    so within the time it had. `seat_map`: what it said about its seat map then. `notes`: what could not be read, one
    line each. `foreign_owners`: see `FinalReads`.
    """

    load: LoadSummary
    at_rest: bool
    seat_map: SeatMapFacts | None = None
    notes: tuple[str, ...] = ()
    foreign_owners: str = ""


class FailureMessage(_Message, frozen=True, tag="failed"):
    """The swarm cannot go on; see `GatecrashError` for the fields."""

    message: str
    hint: str = ""
    exit_code: int = 3


class ReleaseCommand(_Message, frozen=True, tag="release"):
    """Announce T0 and let the armed users go."""


class Stop(_Message, frozen=True, tag="stop"):
    """End all journeys now; `finished` follows."""


class Settle(_Message, frozen=True, tag="settle"):
    """Read the state at rest and sweep the seats; `settled` follows."""


class Quit(_Message, frozen=True, tag="quit"):
    """Finish the tables and end."""


Event = Waiting | Baseline | Arming | Armed | Release | Progress | Finished | Settled | FailureMessage
Command = ReleaseCommand | Stop | Settle | Quit

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def encode_line(message: Event | Command) -> bytes:
    """One message as one line of JSON, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_event(line: bytes) -> Event:
    """An event from one line of the swarm's stdout. Raises msgspec.DecodeError or ValidationError."""
    return _event_decoder.decode(line)


def decode_command(line: bytes) -> Command:
    """A command from one line of the swarm's stdin. Raises msgspec.DecodeError or ValidationError."""
    return _command_decoder.decode(line)


def encode_spec(spec: SwarmSpec) -> bytes:
    """A spec as one line of JSON, newline included."""
    return _encoder.encode(spec) + b"\n"


def decode_spec(line: bytes) -> SwarmSpec:
    """A spec from its line. Raises msgspec.DecodeError or ValidationError."""
    return msgspec.json.decode(line, type=SwarmSpec)


class WorkerStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker process is told by its parent before anything else.

    `key`: of its channel to the master in hex, see `envelope`. `run_key`: of the connection, see `run_key`; "" on the
    master's own machine, where the connection is over loopback. `number_here` (0, 1 …) of `workers_here`: which of its
    machine's workers it is.
    """

    spec: SwarmSpec
    key: str
    run_key: str = ""
    number_here: int = 0
    workers_here: int = 1


def hand_start(process: subprocess.Popen[bytes], start: WorkerStart) -> None:
    """Tell a worker process how it starts: one line on its stdin, which stays open.

    Its command line, its environment and a file can be read by others, its stdin cannot.
    """
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it died already, which its parent notices elsewhere
            process.stdin.write(_encoder.encode(start) + b"\n")
            process.stdin.flush()


def take_start(descriptor: int) -> WorkerStart | None:
    """What `hand_start` told; null when the other end is gone before it did, or told something else."""
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(descriptor, _READ_BYTES)):
            return None
        line += read
    try:
        return msgspec.json.decode(line, type=WorkerStart)
    except msgspec.DecodeError:
        return None
