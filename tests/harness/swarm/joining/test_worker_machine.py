"""Workers of other machines: who may join, what they must have in common, and what becomes of the run."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from harness.errors import EnvironmentProblem, InputError, NoVerdict
from harness.judging.validity import health, judge_generator
from harness.processes.ports import free_ports
from harness.record.verdict import Validity
from harness.scenario import GeneratorLimits
from harness.stack import Addresses
from harness.swarm.joining import handshake
from harness.swarm.joining.handshake import (
    JoinRequest,
    Refused,
    Welcome,
    decode_answer,
    encode,
    own_versions,
    scenario_digest,
)
from harness.swarm.joining.keyed_connection import Master, reach
from harness.swarm.joining.lent import Lent
from harness.swarm.joining.reach import invitation
from harness.swarm.joining.worker_machine import Call, _require_reachable, join
from harness.swarm.messaging.protocol import (
    Armed,
    Finished,
    Progress,
    Reach,
    ReleaseCommand,
    Settle,
    Settled,
    SwarmSpec,
    Waiting,
)
from harness.swarm.messaging.run_key import RunKey
from tests.harness.swarm.joining.strange_masters import listening, master, welcome
from tests.harness.swarm.scripted_server import Asked, response, serving
from tests.harness.swarm.swarm_process import SHOP, running, shop_spec

ROOT = Path(__file__).parents[4]
KEY = RunKey.draw()


def shop(asked: Asked) -> list[bytes]:
    return [response(b"ok", 201 if asked.method == "POST" else 200)]


def with_guests(spec: SwarmSpec, guests: int) -> SwarmSpec:
    return msgspec.structs.replace(spec, reach=Reach(remote_workers=guests, key=KEY.text))


@contextmanager
def guest(spec: SwarmSpec, port: int) -> Iterator[subprocess.Popen[str]]:
    """Who pastes what the master shows."""
    command = [sys.executable, "-m", "harness", *shlex.split(invitation(spec, port))[1:]]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill() if process.poll() is None else None
        process.wait()
        process.stderr.close()


def knocked(port: int, request: JoinRequest) -> Welcome | Refused:
    connection = reach(Master("127.0.0.1", port), KEY, 30)
    try:
        connection.send(encode(request))
        return decode_answer(connection.receive(30) or b"")
    finally:
        connection.close()


def test_a_guest_shares_the_load_and_the_record_is_whole(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        with running(spec) as swarm, guest(spec, swarm.expect(Waiting).port) as worker:
            armed, finished, settled = swarm.to_the_end()
            said = worker.stderr.read()
            assert worker.wait(20) == 0, said
        asked = len(server.asked)
    assert (armed.armed, armed.asked) == (40, 40)
    assert [one.armed for one in finished.load.workers] == [20, 20]
    assert settled.load.requests_sent == settled.load.samples_recorded == swarm.table("requests").num_rows == asked
    assert sorted(set(swarm.table("requests")["worker"].to_pylist())) == [1, 2]
    assert "worker 2 joined" in said


def test_other_code_or_another_scenario_is_refused_and_so_is_one_too_many(tmp_path: Path) -> None:
    versions = own_versions()
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        with running(spec) as swarm:
            port = swarm.expect(Waiting).port
            old = knocked(port, JoinRequest(host="h", versions={**versions, "gatecrash": "0.0.1"}))
            other = knocked(port, JoinRequest(host="h", versions=versions, scenario="0123456789ab"))
            with guest(spec, port) as worker:
                swarm.expect(Armed)
                late = knocked(port, JoinRequest(host="h", versions=versions, scenario=scenario_digest(spec.scenario)))
                swarm.ended()
                worker.wait(20)
    assert isinstance(old, Refused)
    assert old.message.startswith("versions differ: gatecrash 0.0.1 here and ")
    assert isinstance(other, Refused)
    assert "another scenario" in other.message
    assert isinstance(late, Refused)
    assert "has begun without" in late.message


def worker_of(guest: subprocess.Popen[str]) -> int:
    """The pid of the worker process that a `gatecrash worker` watches."""
    (pid,) = Path(f"/proc/{guest.pid}/task/{guest.pid}/children").read_text().split()
    return int(pid)


def test_what_a_killed_worker_process_leaves_missing_is_told_exactly_by_its_own_side(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=5, workers=1), 1)
        with running(spec) as swarm, guest(spec, swarm.expect(Waiting).port) as worker:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            swarm.await_recorded(100)
            os.kill(worker_of(worker), signal.SIGKILL)
            finished = swarm.expect(Finished)
            swarm.tell(Settle())
            load = swarm.expect(Settled).load
            assert swarm.ended() == 0
            assert worker.wait(20) == 3
            folder = Path(worker.stderr.read().split("what it recorded is in ")[1].split()[0])
            shutil.rmtree(folder)
        answered = len(server.asked)
    _, lost = load.workers
    missing = lost.requests_sent - lost.samples_recorded
    assert lost.lost
    assert lost.released == 20
    assert load.users_released == 40
    assert 0 <= load.requests_sent - answered <= 1  # one may have been counted and not sent yet
    (note,) = [note for note in finished.notes if "was lost" in note]
    assert "it ended with exit code -9" in note
    assert f"{missing:,} of its {lost.requests_sent:,} requests are missing, and " in note
    assert note.endswith("; its users are gone: fan 20 to 39")
    result = judge_generator(load, health(swarm.table("generator"), 5.0, load.workers), GeneratorLimits())
    assert result.validity is Validity.INVALID
    assert "worker 2 was lost" in result.reasons
    assert not any("never released" in reason for reason in result.reasons)


def call(port: int, *load: Path, key: RunKey | None = None, wait_s: float = 20.0) -> Call:
    return Call(master=Master("127.0.0.1", port), key=key or KEY, lent=Lent.of(load, ()), wait_s=wait_s)


def test_a_worker_whose_master_falls_silent_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network between the two is gone, the platform's may not be: it must not be loaded unseen."""
    monkeypatch.setattr("harness.swarm.joining.worker_machine.LOST_AFTER_S", 1.5)
    (nowhere,) = free_ports(1)
    spec = shop_spec("http://127.0.0.1:1", tmp_path)
    said: list[str] = []
    words = r"nothing was heard from the master for 1\.5 s, so worker 2 was stopped"
    with master(welcome(spec, port=nowhere), KEY) as port, pytest.raises(NoVerdict, match=words):
        join(call(port, SHOP), 1, said.append)
    assert "worker 2 joined" in said[0]
    shutil.rmtree(said[1].split("what it recorded is in ")[1])


def test_a_guest_that_is_killed_is_lost_and_its_users_stay_lost(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=6, workers=1), 1)
        with running(spec) as swarm, guest(spec, swarm.expect(Waiting).port) as worker:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            swarm.await_recorded(100)
            worker.kill()
            finished = swarm.expect(Finished)
            swarm.tell(Settle())
            settled = swarm.expect(Settled)
            assert swarm.ended() == 0
    assert [one.lost for one in finished.load.workers] == [False, True]
    (note,) = [note for note in finished.notes if "worker 2 was lost" in note]
    assert "requests and " in note
    assert " that it told of at " in note
    assert note.endswith(" are missing, and all that it did after that; its users are gone: fan 20 to 39")
    assert swarm.table("requests").num_rows == settled.load.samples_recorded
    first = [row["user"] for row in swarm.table("requests").to_pylist() if row["step"] == "queue_page"]
    assert len(first) == len(set(first)) == 40


def test_a_guest_does_not_outlive_a_killed_master(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, customer="Loiterer", workers=1), 1)
        with running(spec) as swarm, guest(spec, swarm.expect(Waiting).port) as worker:
            swarm.expect(Armed)
            swarm.process.kill()
            assert worker.wait(60) == 3
            said = worker.stderr.read()
    assert "the master is gone" in said
    folder = Path(said.split("what it recorded is in ")[1].split()[0])
    shutil.rmtree(folder)


def test_the_operators_token_stays_at_home(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        secret = msgspec.structs.replace(
            spec, addresses=Addresses(booking=server.url, feeds=(), event="e", admin_token="secret")
        )
        with running(secret) as swarm:
            answer = knocked(swarm.expect(Waiting).port, JoinRequest(host="h", versions=own_versions()))
    assert isinstance(answer, Welcome)
    assert answer.spec.addresses.booking == server.url
    assert answer.spec.addresses.admin_token == ""
    assert answer.files == handshake.files_of(spec)


def test_what_is_no_master_is_told() -> None:
    with listening(b"SSH-2.0-OpenSSH\r\n" * 10) as port, pytest.raises(InputError, match="does not have this key"):
        join(call(port), 1, print)


def test_nobody_there_is_told_after_the_time_to_wait() -> None:
    (port,) = free_ports(1)
    with pytest.raises(EnvironmentProblem, match=f"no master answers at 127.0.0.1:{port}: nobody listens there"):
        join(call(port, wait_s=0.2), 1, print)


def test_a_host_without_an_address_is_told_at_once_and_again_after_the_time_to_wait() -> None:
    nowhere = msgspec.structs.replace(call(1, wait_s=0.7), master=Master("no-such.invalid", 1))
    said: list[str] = []
    with pytest.raises(InputError, match=r"there is no host no-such\.invalid"):
        join(nowhere, 1, said.append)
    [waits] = said
    assert waits.startswith("there is no host no-such.invalid yet (")


def test_a_platform_on_the_masters_loopback_is_out_of_reach_elsewhere() -> None:
    addresses = Addresses(booking="http://127.0.0.1:8000", feeds=(), event="e")
    _require_reachable(addresses, "127.0.0.1")
    with pytest.raises(InputError, match="only the master's machine reaches"):
        _require_reachable(addresses, "10.1.2.3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("box", Master("box", 5557)), ("box:9", Master("box", 9)), ("[::1]:9", Master("::1", 9))],
)
def test_a_master_is_a_host_and_perhaps_a_port(text: str, expected: Master) -> None:
    assert Master.parse(text) == expected


@pytest.mark.parametrize("text", ["", ":9", "box:port", "box:99999"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--master"):
        Master.parse(text)


def test_locusts_pages_show_the_run_and_cannot_steer_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=8, workers=1)
        with running(msgspec.structs.replace(spec, reach=Reach(web_port=port))) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            while not _totals(port):
                swarm.expect(Progress)
            with pytest.raises(urllib.error.HTTPError, match="409") as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/swarm", b"user_count=5", timeout=30)
            refused.value.close()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
                assert b"<title>Locust</title>" in page.read()
            elsewhere = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"evil.example:{port}"})
            with pytest.raises(urllib.error.HTTPError, match="403") as refused:
                urllib.request.urlopen(elsewhere, timeout=30)
            refused.value.close()


def _totals(port: int) -> int:
    """How many requests Locust's page knows of."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats/requests", timeout=30) as answer:
        stats = msgspec.json.decode(answer.read())["stats"]
    return next(row["num_requests"] for row in stats if row["name"] == "Aggregated")
