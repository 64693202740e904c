"""Generic experiments on real edges and parts: injected, proven by the canary of each probe, and healed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import pytest

from chaos import faults
from chaos.faults import Inverse
from chaos.faults.tools import Tools
from chaos.injection.conductor import Conductor
from chaos.specification.experiment import Experiment
from chaos.specification.fault import Kill, Pause
from chaos.specification.generic import experiment_for
from chaos.specification.timeline import Planned
from harness.errors import EnvironmentProblem
from harness.record.schema import FaultRun, FaultsDocument
from harness.scenario import Edge, Part, PlannedFault
from harness.stack.parts import OwnPart
from tests.chaos.servers import HOST, ROOT, Pages, ProxyServer, Upstream, Valkey, free_port, ping, receive
from tests.waiting import wait_until


def websocket(link: socket.socket) -> None:
    """Upgrades, and answers each ping with a pong."""
    key = re.search(r"Sec-WebSocket-Key: (\S+)", link.recv(4096).decode())
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(f"{key[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    link.sendall(head.encode() + accept + b"\r\n\r\n")
    while receive(link, 6):
        link.sendall(b"\x8a\x00")


def postgres(link: socket.socket) -> None:
    """As much of PostgreSQL as answers an SSLRequest; then it waits for a log-in."""
    if receive(link, 8):
        link.sendall(b"N")
        receive(link, 1)


def silent(link: socket.socket) -> None:
    """A protocol that nobody here speaks."""
    receive(link, 1)


def events(link: socket.socket) -> None:
    """A stream of server-sent events, with a comment now and then."""
    link.recv(4096)
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    link.settimeout(0.2)
    while True:
        link.sendall(b": still here\n\n")
        with contextlib.suppress(TimeoutError):
            if not link.recv(1):
                return


@dataclass(frozen=True)
class Addresses:
    """As much of the addresses as the conductor needs."""

    toxiproxy: str
    event: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """The stack control of a platform whose parts we did not start."""

    specs: Mapping[str, Part]
    folder: Path
    owner_pid: int = field(default_factory=os.getpid)

    def process(self, name: str) -> OwnPart:
        return OwnPart(name, self.specs[name], self.folder)

    def postgres_dsn(self, server: str) -> str:
        raise KeyError(server)


@pytest.fixture
def edges(ours: ProxyServer, valkey: Valkey) -> Iterator[dict[str, Edge]]:
    """An edge for each probe, with a real server behind it."""
    upstreams = {"websocket": Upstream(websocket), "postgres": Upstream(postgres), "tcp": Upstream(silent)}
    stream = Upstream(events)
    with Pages() as pages:
        addresses = {name: one.address for name, one in upstreams.items()}
        addresses |= {"http": pages.address, "redis": valkey.address, "stream": stream.address}
        made = {}
        for name, address in addresses.items():
            host, port = ours.create(name, address)
            probe = "http" if name == "stream" else name
            made[name] = Edge(listen=f"{host}:{port}", upstream=address, probe=probe)  # type: ignore[arg-type]
        yield made
        pages.shutdown()
    for one in (*upstreams.values(), stream):
        one.close()


def carried_out(
    experiments: list[Experiment], url: str, folder: Path, length_s: float, parts: Parts | None = None
) -> dict[str, FaultRun]:
    """All at once, each on an edge or part of its own; returns what became of them, by name."""
    path = folder / "faults.json"
    planned = [Planned(one, 1.2, length_s) for one in experiments]
    with Conductor(planned, Addresses(url), path, parts) as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(
            lambda: all(run.t_heal_requested_s is not None for run in conductor.runs()),
            within_s=60,
            what="the end of the faults",
        )
        conductor.finish()
    runs = msgspec.json.decode(path.read_bytes(), type=FaultsDocument).faults
    return {run.experiment: run for run in runs}


@pytest.mark.parametrize(
    ("name", "figures", "on", "length_s"),
    [
        ("cut", {}, ("tcp", "http", "redis", "postgres", "websocket"), 2.0),
        ("hang", {}, ("http", "redis", "postgres", "websocket"), 3.0),
        ("latency", {"ms": 700}, ("http", "redis", "postgres", "websocket"), 3.0),
        ("errors", {"percent": 50}, ("http", "redis", "postgres", "websocket"), 4.0),
        ("errors", {"percent": 100}, ("http", "redis"), 2.0),
        ("drop", {"percent": 50}, ("tcp", "stream", "redis", "postgres", "websocket"), 2.0),
    ],
)
def test_each_probe_proves_what_happens_on_its_edge(
    name: str,
    figures: dict[str, int],
    on: tuple[str, ...],
    length_s: float,
    edges: dict[str, Edge],
    ours: ProxyServer,
    tmp_path: Path,
) -> None:
    planned = [PlannedFault(experiment=name, start_s=1, edge=edge, **figures) for edge in on]  # type: ignore[arg-type]
    runs = carried_out([experiment_for(one, edges, {}) for one in planned], ours.url, tmp_path, length_s)
    assert {name: run.error for name, run in runs.items() if not run.proven} == {}
    assert set(runs) == {f"{name}-{edge}" for edge in on}
    for proxy in ours.call("GET", "/proxies").json().values():
        assert (proxy["enabled"], proxy["toxics"]) == (True, [])


def refused(experiment: Experiment, url: str, folder: Path, parts: Parts | None = None) -> EnvironmentProblem:
    with Conductor([Planned(experiment, 1.0)], Addresses(url), folder / "faults.json", parts) as conductor:
        with pytest.raises(EnvironmentProblem) as caught:
            conductor.preflight()
        return caught.value


def test_a_latency_that_the_answer_has_by_itself_is_refused(
    edges: dict[str, Edge], ours: ProxyServer, tmp_path: Path
) -> None:
    ours.toxic("http", "latency", latency=1)  # so that the first request is no faster than what follows
    ours.call("DELETE", "/proxies/http/toxics/latency_downstream")

    def slow(link: socket.socket) -> None:
        link.recv(4096)
        with contextlib.suppress(TimeoutError):
            link.settimeout(0.3)
            link.recv(1)
        link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    upstream = Upstream(slow)
    ours.create("slow", upstream.address)
    edges = {"slow": Edge(listen="127.0.0.1:1", upstream=upstream.address, probe="http")}
    planned = PlannedFault(experiment="latency", start_s=1, edge="slow", ms=100)
    problem = refused(experiment_for(planned, edges, {}), ours.url, tmp_path)
    assert "before any fault" in problem.message
    assert "raise it" in problem.hint
    upstream.close()


def test_an_http_edge_without_a_stream_cannot_prove_a_drop(
    edges: dict[str, Edge], ours: ProxyServer, tmp_path: Path
) -> None:
    planned = PlannedFault(experiment="drop", start_s=1, edge="http", percent=50)
    problem = refused(experiment_for(planned, edges, {}), ours.url, tmp_path)
    assert "path of a stream of events" in problem.hint


class Shop:
    """Processes of somebody's platform, each with a pid file; some below a supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []

    def part(self, name: str, *, started: bool, address: bool = True, supervised: bool = False) -> Part:
        """A part that runs. `started`: it has a start command."""
        port = free_port()
        words = [sys.executable, "-m", "tests.chaos.part_server", str(port), str(self.folder / f"{name}.pid")]
        command = f"cd {ROOT} && exec {shlex.join(words)}"
        loop = f"while :; do ({command}) & wait $!; done" if supervised else command
        self.children.append(subprocess.Popen(["/bin/sh", "-c", loop], start_new_session=True))
        wait_until(lambda: self.pid(name) is not None, what=f"the part {name}")
        return Part(
            pid_file=f"{name}.pid",
            address=f"{HOST}:{port}" if address else None,
            probe="http" if address else "tcp",
            start=f"({command}) > /dev/null 2>&1 &" if started else "",
        )

    def pid(self, name: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = int((self.folder / f"{name}.pid").read_text())
            return found if psutil.pid_exists(found) and psutil.Process(found).status() != "zombie" else None
        return None

    def status(self, name: str) -> str:
        pid = self.pid(name)
        return "" if pid is None else psutil.Process(pid).status()

    def close(self) -> None:
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for file in self.folder.glob("*.pid"):
            if pid := self.pid(file.stem):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def generic(name: str, part: str, specs: Mapping[str, Part]) -> Experiment:
    return experiment_for(PlannedFault(experiment=name, start_s=1, part=part), {}, specs)


def test_a_part_is_stopped_and_goes_on(shop: Shop, tmp_path: Path) -> None:
    specs = {"web": shop.part("web", started=True), "worker": shop.part("worker", started=False, address=False)}
    before = {name: shop.pid(name) for name in specs}
    experiments = [generic("stop", name, specs) for name in specs]
    runs = carried_out(experiments, "", tmp_path, 3.0, Parts(specs, tmp_path))
    assert {name: run.error for name, run in runs.items() if not run.proven} == {}
    assert {name: shop.pid(name) for name in specs} == before
    assert all(shop.status(name) != psutil.STATUS_STOPPED for name in specs)


def test_a_part_is_killed_and_started_again(shop: Shop, tmp_path: Path) -> None:
    specs = {
        "web": shop.part("web", started=True),
        "mute": shop.part("mute", started=True, address=False),
        "kept": shop.part("kept", started=False, supervised=True),
        "quiet": shop.part("quiet", started=False, supervised=True, address=False),
    }
    before = {name: shop.pid(name) for name in specs}
    experiments = [generic("kill", name, specs) for name in specs]
    runs = carried_out(experiments, "", tmp_path, 2.0, Parts(specs, tmp_path))
    assert {name: run.error for name, run in runs.items() if not run.proven} == {}
    assert all(shop.pid(name) not in (None, before[name]) for name in specs)
    assert runs["kill-kept"].measured["back_after_s"] > 0
    assert "refused_share" in runs["kill-web"].measured


def broken(fault: Kill | Pause, parts: Parts) -> Inverse:
    """What a journal has of a fault that is in force."""
    tools = Tools("", parts)
    inverse = faults.inverse_of(fault, "f", tools)
    faults.inject(fault, "f", inverse, tools)
    return msgspec.json.decode(msgspec.json.encode(inverse), type=Inverse)


def test_whoever_has_the_journal_starts_it_again_and_only_once(shop: Shop, tmp_path: Path) -> None:
    specs = {"web": shop.part("web", started=True)}
    before = shop.pid("web")
    inverse = broken(Kill(process="web"), Parts(specs, tmp_path))
    assert shop.pid("web") is None
    inverse.undo(Tools())
    again = shop.pid("web")
    assert again not in (None, before)
    inverse.undo(Tools())
    assert shop.pid("web") == again
    assert "tests.chaos" not in inverse.what  # a start command may hold secrets


def test_a_healer_waits_for_the_supervisor_of_a_part(shop: Shop, tmp_path: Path) -> None:
    specs = {"kept": shop.part("kept", started=False)}  # nobody starts this one
    inverse = broken(Kill(process="kept"), Parts(specs, tmp_path))
    with pytest.raises(EnvironmentProblem, match="has not started it again"):
        inverse.undo(Tools())
    shop.part("kept", started=False)
    inverse.undo(Tools())


def test_a_start_that_fails_or_forgets_the_pid_file_is_said(shop: Shop, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(shop.part("web", started=True), start="exit 7")
    inverse = broken(Kill(process="web"), Parts({"web": spec}, tmp_path))
    with pytest.raises(EnvironmentProblem, match="exit code 7"):
        inverse.undo(Tools())


def test_what_is_killed_is_killed_with_all_below_it(shop: Shop, tmp_path: Path) -> None:
    spec = shop.part("web", started=True)
    pid = shop.pid("web")
    assert pid is not None
    supervisor = shop.children[0].pid
    assert pid == supervisor  # `exec`: the shell became the server
    broken(Kill(process="web"), Parts({"web": spec}, tmp_path))
    assert shop.pid("web") is None


def preflight_problem(parts: Parts, name: str) -> EnvironmentProblem:
    return refused(generic("kill", name, parts.specs), "", parts.folder, parts)


def test_a_part_that_does_not_run_is_refused_before_any_load(tmp_path: Path) -> None:
    parts = Parts({"web": Part(pid_file="web.pid")}, tmp_path)
    assert "does not run" in preflight_problem(parts, "web").message
    (tmp_path / "web.pid").write_text("pid: 12")
    assert "does not begin with a process id" in preflight_problem(parts, "web").message


def test_an_id_that_another_process_has_since_is_never_signalled(tmp_path: Path) -> None:
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file = tmp_path / "web.pid"
        file.write_text(str(innocent.pid))
        old_s = time.time() - 3600
        os.utime(file, (old_s, old_s))
        assert "does not run" in preflight_problem(Parts({"web": Part(pid_file="web.pid")}, tmp_path), "web").message
    finally:
        innocent.communicate(b"\n")
    assert innocent.returncode == 0


@pytest.mark.needs_docker
@pytest.mark.parametrize("name", ["stop", "kill"])
@pytest.mark.parametrize("seen_at", ["its address", "its engine"])
def test_a_container_is_a_part(name: str, seen_at: str, contained: str, port: int, tmp_path: Path) -> None:
    address = f"{HOST}:{port}" if seen_at == "its address" else None
    specs = {"box": Part(container=contained, address=address, probe="redis")}
    runs = carried_out([generic(name, "box", specs)], "", tmp_path, 3.0, Parts(specs, tmp_path))
    assert runs[f"{name}-box"].proven, runs[f"{name}-box"].error
    assert runs[f"{name}-box"].injector == "docker"
    wait_until(lambda: ping((HOST, port)), what="Valkey in its container")
