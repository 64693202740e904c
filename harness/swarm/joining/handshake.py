"""The messages with which a worker of another machine joins a master, before Locust comes into play.

One line of JSON each way over a connection on which both have proved the run's key (see `run_key`): the worker asks to
join, the master welcomes or refuses. After that the worker's side sends an empty line each second, and the master sends
it back. When they stop, or the connection ends, the master has lost that worker, and the worker has lost its master and
stops: nobody loads a platform unseen. When the worker process has ended, its side says so with a last line. Both sides
must run the same code: a journey that differs by one line is another journey. Nothing here imports locust or gevent.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from harness import __version__
from harness.record.collecting.versions import sources_digest
from harness.scenario import Scenario
from harness.swarm.messaging.protocol import SwarmSpec
from harness.swarm.recording.progress_file import Begun
from harness.swarm.users.loader import TREE, find_file

DEFAULT_PORT: Final = 5557  # as Locust's
HEARTBEAT: Final = b"\n"
HEARTBEAT_S: Final = 1.0
LOST_AFTER_S: Final = 10.0
LINE_BYTES_MAX: Final = 4_000_000
_ROOMS: Final = ("harness", "scenarios")
_DIGITS: Final = 12


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the messages."""


class JoinRequest(_Line, frozen=True, tag="knock"):
    """A worker wants to join. `scenario`: the digest of the scenario it was told to expect, "" for any."""

    host: str
    versions: dict[str, str]
    scenario: str = ""


class Welcome(_Line, frozen=True, tag="welcome"):
    """The master takes the worker. `port`: Locust's on the master. `files`: each file of the spec → its sha256 there.

    `key`: of this worker's channel to the master in hex, see `envelope`.
    """

    number: int
    port: int
    spec: SwarmSpec
    files: dict[str, str]
    key: str


class Refused(_Line, frozen=True, tag="refused"):
    """The master refuses the worker."""

    message: str
    hint: str = ""


class Farewell(_Line, frozen=True, tag="farewell"):
    """The worker process has ended. `begun`: all that it did; null: its side cannot tell."""

    exit_code: int
    begun: Begun | None


Answer = Welcome | Refused

_encoder: Final = msgspec.json.Encoder()
_farewell_decoder: Final[msgspec.json.Decoder[Farewell]] = msgspec.json.Decoder(Farewell)
_join_request_decoder: Final[msgspec.json.Decoder[JoinRequest]] = msgspec.json.Decoder(JoinRequest)
_answer_decoder: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


def encode(message: JoinRequest | Answer | Farewell) -> bytes:
    """One line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_join_request(line: bytes) -> JoinRequest:
    """The request of a worker. Raises msgspec.DecodeError or ValidationError."""
    return _join_request_decoder.decode(line)


def decode_answer(line: bytes) -> Answer:
    """The answer of the join server. Raises msgspec.DecodeError or ValidationError."""
    return _answer_decoder.decode(line)


def decode_farewell(line: bytes) -> Farewell:
    """The last line of a worker's side. Raises msgspec.DecodeError or ValidationError."""
    return _farewell_decoder.decode(line)


def own_versions() -> dict[str, str]:
    """What must be the same on both sides: name → version."""
    return {
        "gatecrash": __version__,
        "sources": sources_digest(TREE, _ROOMS),
        "locust": version("locust"),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def differences(master: dict[str, str], worker: dict[str, str]) -> str:
    """What differs, in words; "" when nothing does."""
    names = sorted(master.keys() | worker.keys())
    return ", ".join(
        f"{name} {worker.get(name, 'unknown')} here and {master.get(name, 'unknown')} at the master"
        for name in names
        if master.get(name) != worker.get(name)
    )


def scenario_digest(scenario: Scenario) -> str:
    """Of the scenario as it runs, options and seed included; files of access codes lie elsewhere on each machine."""
    sale, load = (replace(one, codes=Path(one.codes).name) for one in (scenario.on_sale, scenario.load))
    named = replace(scenario, on_sale=sale, load=load)
    return hashlib.sha256(_encoder.encode(named)).hexdigest()[:_DIGITS]


def named_files(spec: SwarmSpec) -> tuple[str, ...]:
    """Every file that a worker needs for it: code, access codes, and what a platform of the user's own reads."""
    own = spec.addresses.own
    data = (spec.scenario.codes_shown, *((own.people, own.ca_file) if own else ()))
    return tuple(sorted({spec.platform.rpartition(":")[0], *spec.journeys.files, *filter(None, data)}))


def digest_of(file: Path) -> str:
    """sha256 of what it holds."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def files_of(spec: SwarmSpec) -> dict[str, str]:
    """Each of `named_files` → its sha256. Raises InputError when one is not there."""
    return {file: digest_of(find_file(file)) for file in named_files(spec)}
