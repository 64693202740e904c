"""Strangers on the master's port: whatever they say, the record is the same, and tells that they were there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pyarrow as pa
import zmq

from harness.record.schema import TABLES
from harness.swarm.messaging import messages
from harness.swarm.messaging.envelope import worker_end
from harness.swarm.messaging.messages import MESSAGE_TYPE, pack
from harness.swarm.messaging.protocol import Armed, Finished, ReleaseCommand, Settle, Settled
from tests.harness.swarm.scripted_server import Asked, response, serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.waiting import wait_until

NOTE = "on the swarm's port did not carry the run's secret"


def shop(asked: Asked) -> list[bytes]:
    return [response(b"ok", 201 if asked.method == "POST" else 200)]


def port_of(swarm: SwarmProcess) -> int:
    """Where the master listens for workers: its only listening socket by the time at which it starts them."""
    wait_until(lambda: bool(swarm.worker_pids()), what="the first worker of the master")
    master = psutil.Process(swarm.process.pid)
    (port,) = {one.laddr.port for one in master.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    return port


@contextmanager
def stranger(swarm: SwarmProcess, name: str = "stranger", linger_ms: int = 2000) -> Iterator[zmq.Socket]:
    port = port_of(swarm)
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IDENTITY, name.encode())
    dealer.connect(f"tcp://127.0.0.1:{port}")
    try:
        yield dealer
    finally:
        dealer.close(linger=linger_ms)
        context.term()


def locust(kind: str, data: Any, name: str = "stranger") -> bytes:
    """A message as Locust's own worker says it."""
    return msgpack.dumps((kind, data, name))


def ours(message: messages.FromWorker) -> bytes:
    return locust(MESSAGE_TYPE, pack(message))


def everything() -> list[list[bytes]]:
    """All that a worker may say, said by a stranger, and much that nobody may."""
    spoofed_stats = {
        "stats": [], "stats_total": {}, "errors": {}, "user_classes_count": {"Customer": 0}, "user_count": 0,
    }  # fmt: skip
    data = pa.RecordBatch.from_pylist([], schema=TABLES["requests"]).serialize().to_pybytes()
    batches = [
        messages.Batch(worker=worker, table="requests", number=number, data=data)
        for worker in (1, 2)
        for number in range(4)
    ]
    claims = [
        messages.Hello(worker=1, client_id="stranger", host="h", pid=1, capabilities=()),
        messages.Ping(worker=1, sent_s=0.0),
        messages.Spawned(worker=1, users={"fan": 0}),
        messages.UsersArmed(
            worker=1, armed=0, failures={"fan: refused": 40}, clock_offset_s=9.0, clock_uncertainty_s=9.0
        ),
        messages.TookT0(worker=1, t0_master_s=0.0, lead_s=0.0, clock_offset_s=9.0, clock_uncertainty_s=9.0),
        messages.Beat(worker=1, users_by_step={"done": 40}, requests_sent=0, operations_begun=0),
        messages.Ended(worker=1, requests_sent=0, first_sends_s=(), followers=0, cut=(), batches={}, notes=("x",)),
        messages.SettleDone(worker=1, at_rest=True, tables=(), seat_map=None, requests_sent=0, batches={}, notes=()),
    ]
    controls = {
        "client_ready": "2.47.0",
        "client_stopped": None,
        "heartbeat": {"state": "running", "current_cpu_usage": 99},
        "stats": spoofed_stats,
        "spawning": None,
        "spawning_complete": {"user_classes_count": {}, "user_count": 0},
        "quit": None,
        "exception": {"msg": "m", "traceback": "t"},
        "logs": {"worker_id": "x", "logs": ["l"]},
        "locustfile": {"version": "2.47.0"},
    }
    forged = worker_end(bytes(32), 1)
    return [
        *([ours(message)] for message in (*batches, *claims)),
        *([locust(kind, value)] for kind, value in controls.items()),
        *([forged.wrap(ours(message))] for message in claims),
        [b""], [b"\xc1"], [b"\x93\x01"], [b"\xdf\xff\xff\xff\xff"], [msgpack.dumps([1])], [b"\x91" * 5000],
        [b"\x00" * 12], [b"\x00" * 43], [b"\x00" * 44], [b"\xff" * 500], [b"", b""], [b"a", b"b", b"c"],
    ]  # fmt: skip


def require_untouched(swarm: SwarmProcess, finished: Finished, settled: Settled, asked: int) -> None:
    """As `test_a_run_from_arming_to_settled` finds the same run without strangers."""
    load = settled.load
    assert load.requests_sent == load.samples_recorded == swarm.table("requests").num_rows == asked == 81
    assert (load.users_armed, load.users_released, load.unfinished) == (40, 40, 0)
    assert [(one.armed, one.lost) for one in load.workers] == [(20, False), (20, False)]
    assert all(abs(one.clock_offset_ms) < 1000 for one in load.workers)
    assert swarm.table("operations").num_rows == 40
    assert settled.seat_map is not None
    assert finished.capabilities == ("queue", "seats")


def counted(note: str) -> int:
    count, _, what = note.replace(",", "").partition(" message")
    assert what.endswith(NOTE)
    return int(count)


def test_all_that_a_stranger_says_is_dropped_counted_and_noted_once(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        swarm.expect(Armed)
        said = everything()
        with stranger(swarm) as dealer:
            for frames in said:
                dealer.send_multipart(frames)
            finished, settled = swarm.from_release()
        asked = len(server.asked)
    require_untouched(swarm, finished, settled, asked)
    (note,) = [note for note in (*finished.notes, *settled.notes) if NOTE in note]
    assert counted(note) == len(said)
    log = (tmp_path / "swarm.log").read_text()
    assert "Traceback" not in log


def test_strangers_before_the_workers_are_there_take_nobodys_place(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        with stranger(swarm) as dealer:
            for frames in everything():
                dealer.send_multipart(frames)
            swarm.expect(Armed)
            finished, settled = swarm.from_release()
        asked = len(server.asked)
    require_untouched(swarm, finished, settled, asked)
    assert sum(counted(note) for note in (*finished.notes, *settled.notes) if NOTE in note) == len(everything())


def test_a_flood_of_strangers_does_not_keep_the_master_from_its_work(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        swarm.expect(Armed)
        over = threading.Event()

        def flood() -> None:
            with stranger(swarm, "flood", linger_ms=0) as dealer:
                while not over.wait(0.001):
                    with suppress(zmq.Again):  # the master reads slower than this, or is gone
                        for _ in range(50):
                            dealer.send(locust("quit", None, "flood"), zmq.NOBLOCK)

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            finished, settled = swarm.from_release()
        finally:
            over.set()
            thread.join(60)
        asked = len(server.asked)
    require_untouched(swarm, finished, settled, asked)
    assert any(counted(note) > 100 for note in finished.notes if NOTE in note)


def test_a_worker_cannot_speak_for_another(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, customer="Impostor")) as swarm:
        swarm.expect(Armed)
        finished, settled = swarm.from_release()
        asked = len(server.asked)
    require_untouched(swarm, finished, settled, asked)
    assert [counted(note) for note in finished.notes if NOTE in note] == [40]


def memory_peak_bytes(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_message_that_is_too_large_is_not_taken(tmp_path: Path) -> None:
    size = 1 << 28
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        swarm.expect(Armed)
        before = memory_peak_bytes(swarm.process.pid)
        with stranger(swarm, linger_ms=0) as dealer:
            dealer.send(bytes(size))
            swarm.tell(ReleaseCommand())
            finished = swarm.expect(Finished)
            after = memory_peak_bytes(swarm.process.pid)
        swarm.tell(Settle())
        settled = swarm.expect(Settled)
        assert swarm.ended() == 0
        asked = len(server.asked)
    require_untouched(swarm, finished, settled, asked)
    assert after - before < size // 2
