"""No secret of a run is in anything that the run leaves, and nobody else on the machine may read what it leaves."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from harness.processes.ports import free_ports
from harness.record.seal_key import FILE_VARIABLE
from harness.swarm.messaging import KEY_VARIABLE
from tests.e2e import rehearsals
from tests.harness.swarm.joining.test_strangers_at_the_door import NOTE as CONNECTIONS
from tests.harness.swarm.joining.test_strangers_at_the_door import over_zeromq
from tests.harness.swarm.messaging.test_stranger import NOTE as MESSAGES

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
]
_VARIABLES = ("TARGET_SECRET", "TARGET_ADMIN_TOKEN", "TARGET_WEBHOOK_SECRET", "PGPASSWORD")
_IN_URLS = ("TARGET_REDIS_URL", "TARGET_PRIMARY_DSN", "TARGET_REPLICA_DSN")


class Run(NamedTuple):
    """What a run left, and the values that nobody may know, by their names. `commands`: of all processes meanwhile."""

    directory: Path
    temporary: Path
    said: str
    commands: set[bytes]
    secrets: dict[str, str]


def secrets_of_stack(temporary: Path) -> dict[str, str]:
    """As the processes of the reference system that live now have them in their environments."""
    found: dict[str, str] = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if f"TMPDIR={temporary}\0".encode() not in content + b"\0":
            continue
        variables = dict(line.split("=", 1) for line in content.decode().split("\0") if "=" in line)
        found |= {name: variables[name] for name in _VARIABLES if variables.get(name)}
        for name in _IN_URLS:
            found |= {f"{name} {n}": word for n, word in enumerate(re.findall(r":([^:/@]+)@", variables.get(name, "")))}
    return found


def command_lines() -> set[bytes]:
    """Of every process on this machine, as everybody may read them."""
    found: set[bytes] = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(path.read_bytes())
    return found


def ports_of_swarm(pid: int) -> set[int]:
    """Where the master of its swarm listens, once it does."""
    found: set[int] = set()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            if child.cmdline()[-1:] == ["harness.swarm"]:
                listening = (one for one in child.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
                found |= {one.laddr.port for one in listening}
    return found


def two_ports() -> int:
    """The first of two neighbours that are free."""
    while True:
        (port,) = free_ports(1)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue


@pytest.fixture(scope="module")
def run(room: Path) -> Run:
    """A run with a worker that joins, a key for the seals, and the reference system."""
    key, seal_key, door = secrets.token_hex(32), secrets.token_hex(16), two_ports()
    file = room / "seal.key"
    file.touch(0o600)
    file.write_text(seal_key)
    environment = rehearsals.environment(room / "tmp") | {FILE_VARIABLE: str(file), KEY_VARIABLE: key}
    load = ["--users", "20", "--workers", "1", "--remote-workers", "1", "--listen", f"127.0.0.1:{door}"]
    rehearse = rehearsals.command("rehearse", "smoke", *load, "--out", str(room / "runs"))
    joining = rehearsals.command("worker", "--master", f"127.0.0.1:{door}", "--wait", "200")
    known = {"run key": key, "seal key": seal_key}
    with (room / "said").open("wb") as said, (room / "joined").open("wb") as joined:
        process = subprocess.Popen(rehearse, env=environment, cwd=rehearsals.ROOT, stdout=said, stderr=joined)
        worker = subprocess.Popen(joining, env=environment, cwd=rehearsals.ROOT, stdout=said, stderr=said)
        try:
            attacked, commands = set[int](), set[bytes]()
            while process.poll() is None:
                known |= secrets_of_stack(room / "tmp")
                commands |= command_lines()
                for port in ports_of_swarm(process.pid) - attacked:
                    over_zeromq(port, None)
                    attacked.add(port)
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
            worker.wait(60)
        finally:
            for one in (process, worker):
                one.kill()
                one.wait()
    directory = rehearsals.only_run(room / "runs")
    assert (directory / "verdict.json").exists(), (room / "joined").read_text()
    return Run(directory, room / "tmp", (room / "said").read_text(), commands, known)


def test_every_secret_of_the_stack_was_seen(run: Run) -> None:
    assert set(run.secrets) >= {"run key", "seal key", *_VARIABLES[:3], *(f"{name} 0" for name in _IN_URLS)}
    assert all(len(value) >= 32 for value in run.secrets.values())
    assert len({run.secrets[name] for name in ("TARGET_REDIS_URL 0", "TARGET_PRIMARY_DSN 0")}) == 2


def test_no_file_of_the_run_holds_one(run: Run) -> None:
    files = [path for folder in (run.directory, run.temporary) for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.json", "verdict.json", "report.html", "swarm.log", "requests.parquet"}
    held = [
        f"{name} in {path.name}"
        for path in files
        for name, value in run.secrets.items()
        if value.encode() in rehearsals.content_of(path)
    ]
    assert held == []
    assert not any(value in run.said for value in run.secrets.values())


def test_no_command_line_showed_one(run: Run) -> None:
    """Everybody on the machine may read them; environments only the same user."""
    words = [one.split(b"\0") for one in run.commands]
    seen = {word for one in words for word in one}
    assert seen >= {b"harness.swarm", b"harness.swarm.control.worker", b"target", b"chaos.proxy"}
    assert [line for line in run.commands for value in run.secrets.values() if value.encode() in line] == []


def test_strangers_at_the_swarms_ports_are_in_the_record_and_change_nothing(run: Run) -> None:
    """Each said all that a worker may say, and more, at each of the three ports."""
    texts = [one.text for one in rehearsals.document(run.directory).anomalies if one.source == "swarm"]
    assert any(MESSAGES in text for text in texts)
    assert any(CONNECTIONS in text for text in texts)
    verdict = rehearsals.verdict(run.directory)
    assert verdict.load is not None
    assert verdict.load.requests_sent == verdict.load.samples_recorded
    assert not any(one.lost for one in rehearsals.document(run.directory).load.workers)
    assert not any(one.status == "violated" for one in verdict.invariants)


def test_nobody_else_may_read_it_and_no_description_of_the_swarm_is_left(run: Run) -> None:
    assert run.directory.stat().st_mode & 0o777 == 0o700
    assert not list(run.directory.rglob("swarm.json"))
    assert not list(run.temporary.iterdir())
