"""Real `chaos run`s: a fault is effective and healed, a failure is seen, and a `chaos` that dies leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from chaos.lease import state
from chaos.specification import experiment
from chaos.toolkit import exporting
from tests.chaos.servers import ROOT, ProxyServer, Valkey, ping
from tests.waiting import wait_until

Json = dict[str, object]
EXPERIMENT = """
name: redis-off
hypothesis: The fault proxy goes on while Redis is cut off.
component: redis
kind: refuse
length_s: {length_s}
faults: [{{action: disable, proxy: redis}}]
canaries: [{{probe: redis, proxy: redis, effective: refused}}]
steady_state:
  - {{name: traffic is counted, metric: toxiproxy_proxy_received_bytes_total, compare: at_least, value: {steady}}}
expectations:
  - {{name: the line is idle, check: metric, metric: {metric}, compare: at_most, value: 0, within_s: 2, of: effective}}
  - {{name: nobody knows, check: response_time, step: hold, quantile: 0.99, at_most_ms: 2000}}
"""
OPEN = "gatecrash_proxy_connections"


@dataclass
class Room:
    """A fault proxy with a real Valkey behind it, and an exported experiment that cuts it off."""

    folder: Path
    server: ProxyServer
    through: tuple[str, int]

    def export(self, *, length_s: float = 2, steady: int = 0, metric: str = OPEN) -> Json:
        path = self.folder / "redis-off.yaml"
        path.write_text(EXPERIMENT.format(length_s=length_s, steady=steady, metric=metric))
        return json.loads(msgspec.json.encode(exporting.export(experiment.load(path))))  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def chaos_run(self, document: Json) -> Iterator[subprocess.Popen[bytes]]:
        (self.folder / "experiment.json").write_text(json.dumps(document))
        with (self.folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "chaostoolkit", "run", "experiment.json"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def run(self, document: Json) -> int:
        with self.chaos_run(document) as process:
            return process.wait(120)

    @property
    def journal(self) -> Json:
        return json.loads((self.folder / "journal.json").read_text())  # type: ignore[no-any-return]

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def whole(self) -> bool:
        return bool(self.server.call("GET", "/proxies/redis").json()["enabled"]) and ping(self.through)


@pytest.fixture
def room(tmp_path: Path, ours: ProxyServer, valkey: Valkey) -> Room:
    through = ours.create("redis", valkey.address)
    platform = {"toxiproxy": ours.url, "metrics": {"proxy": f"{ours.url}/metrics"}}
    (tmp_path / "platform.json").write_text(json.dumps(platform))
    assert ping(through)
    return Room(tmp_path, ours, through)


def no_journal() -> bool:
    return not state.journals()


def test_the_fault_is_effective_and_healed_and_the_journal_says_so(room: Room) -> None:
    assert room.run(room.export()) == 0, room.output
    journal = room.journal
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    inject, heal = journal["run"]
    assert (inject["status"], heal["status"]) == ("succeeded", "succeeded")
    assert heal["output"]["proven"] is True
    assert heal["output"]["measured"]["refused_share"] > 0.9
    assert heal["output"]["t_effective_s"] < heal["output"]["t_healed_s"]
    assert [probe["output"] for probe in journal["steady_states"]["after"]["probes"]][-1].startswith("met: ")
    assert room.whole()
    assert no_journal()


def test_an_expectation_that_is_missed_deviates(room: Room) -> None:
    assert room.run(room.export(metric="toxiproxy_proxy_received_bytes_total")) == 1, room.output
    assert (room.journal["status"], room.journal["deviated"]) == ("completed", True)
    assert "probe 'the line is idle' is not in the given tolerance" in room.output
    assert room.whole()


def test_an_injector_that_raises_fails_the_experiment(room: Room) -> None:
    """Left to itself Chaos Toolkit calls that completed, with exit code 0."""
    document = room.export()
    document["method"][0]["provider"]["arguments"]["platform"] = "no-such-platform.json"  # type: ignore[index]
    assert room.run(document) == 1, room.output
    assert (room.journal["status"], room.journal["deviated"]) == ("failed", True)
    assert "redis-off: no-such-platform.json: cannot be read" in room.output

    del document["steady-state-hypothesis"]
    assert room.run(document) == 0
    assert room.journal["status"] == "completed"


def test_a_fault_that_is_never_effective_fails_the_experiment(room: Room) -> None:
    document = room.export()
    definition = document["method"][0]["provider"]["arguments"]["experiment"]  # type: ignore[index]
    definition["faults"] = [{"action": "toxic", "proxy": "redis", "type": "noop"}]
    assert room.run(document) == 1, room.output
    assert room.journal["status"] == "failed"
    assert "never effective: the canary (redis at redis) expected refused and saw ok" in room.output
    assert room.whole()


def test_without_a_steady_state_nothing_is_broken_and_that_is_a_failure(room: Room) -> None:
    assert room.run(room.export(steady=10**12)) == 1, room.output
    assert room.journal["status"] == "failed"
    assert room.journal["run"] == []
    assert room.whole()


def test_the_kill_switch_keeps_everything_whole(room: Room, own_state: Path) -> None:
    own_state.mkdir()
    (own_state / "STOP").touch()
    assert room.run(room.export()) == 1, room.output
    assert "the kill switch" in room.output
    assert room.whole()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_chaos_that_is_ended_in_the_middle_leaves_nothing_broken(room: Room, number: signal.Signals) -> None:
    with room.chaos_run(room.export(length_s=60)) as process:
        wait_until(lambda: not room.whole() and not no_journal(), within_s=60, what="the fault")
        process.send_signal(number)
        wait_until(lambda: room.whole() and no_journal(), within_s=30, what="the healing")


def test_a_file_without_rollbacks_or_healing_is_healed_when_its_time_is_over(room: Room) -> None:
    document = room.export(length_s=4)
    inject = document["method"][0]  # type: ignore[index]
    document |= {"rollbacks": [], "method": [inject | {"pauses": {"after": 60}}]}
    with room.chaos_run(document):
        wait_until(lambda: not room.whole() and not no_journal(), within_s=60, what="the fault")
        wait_until(room.whole, within_s=30, what="the healing")
    wait_until(no_journal, within_s=30, what="the end of the journal")


def test_a_host_that_nobody_named_is_refused(room: Room) -> None:
    (room.folder / "platform.json").write_text(json.dumps({"toxiproxy": "http://198.51.100.7:8474"}))
    assert room.run(room.export()) == 1
    assert "platform.json: '198.51.100.7' is not on this machine and not allowed" in room.output
