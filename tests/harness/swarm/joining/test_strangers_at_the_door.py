"""Strangers at the ports where workers of other machines join: they learn nothing, take nothing and are counted."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq

from harness.swarm.joining.handshake import JoinRequest, encode, own_versions
from harness.swarm.messaging.protocol import Armed, Finished, Settled, Waiting
from harness.swarm.messaging.run_key import RunKey
from tests.harness.swarm.joining.test_worker_machine import guest, shop, with_guests
from tests.harness.swarm.messaging.test_stranger import everything
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.waiting import wait_until

NOTE = "to the swarm's ports did not prove the run's key"
KNOCK = encode(JoinRequest(host="stranger", versions=own_versions()))


def in_plain_text(port: int) -> bytes:
    """What somebody hears who sends what a worker would have sent before there were keys."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(KNOCK)
        return heard(connection)


def heard(connection: socket.socket) -> bytes:
    said = b""
    connection.settimeout(1.0)
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while more := connection.recv(4096):
            said += more
    return said


def over_zeromq(port: int, key: RunKey | None) -> bytes:
    """What somebody hears who knocks with another key, or none."""
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    if key is not None:
        key.call(dealer)
    dealer.connect(f"tcp://127.0.0.1:{port}")
    try:
        for frames in ([KNOCK], *everything()):
            with contextlib.suppress(zmq.Again):
                dealer.send_multipart(frames, zmq.NOBLOCK)
        return dealer.recv() if dealer.poll(500) else b""
    finally:
        dealer.close(linger=0)
        context.term()


def with_the_masters_public_key_alone(port: int, key: RunKey) -> bytes:
    """Somebody who got hold of the master's public key, but has not the run's."""
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    key.call(dealer)
    dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
    dealer.connect(f"tcp://127.0.0.1:{port}")
    try:
        dealer.send(KNOCK)
        return dealer.recv() if dealer.poll(500) else b""
    finally:
        dealer.close(linger=0)
        context.term()


def ports_of(swarm: SwarmProcess) -> set[int]:
    """Where its master listens."""
    listening = psutil.Process(swarm.process.pid).net_connections("tcp")
    return {one.laddr.port for one in listening if one.status == psutil.CONN_LISTEN}


def require_whole(swarm: SwarmProcess, asked: int, armed: Armed, settled: Settled) -> None:
    load = settled.load
    assert (armed.armed, armed.asked) == (40, 40)
    assert [(one.armed, one.lost) for one in load.workers] == [(20, False), (20, False)]
    assert load.requests_sent == load.samples_recorded == swarm.table("requests").num_rows == asked


def counted(finished: Finished) -> int:
    (note,) = [note for note in finished.notes if NOTE in note]
    return int(note.partition(" ")[0].replace(",", ""))


def test_strangers_take_no_workers_place_and_are_counted(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        with running(spec) as swarm:
            port = swarm.expect(Waiting).port
            attacks: list[Callable[[int], bytes]] = [
                in_plain_text,
                lambda one: over_zeromq(one, None),
                lambda one: over_zeromq(one, RunKey.draw()),
                lambda one: with_the_masters_public_key_alone(one, RunKey.parse(spec.reach.key)),
            ]
            ours = ports_of(swarm)
            assert port in ours
            assert len(ours) == 3  # of the door, of workers elsewhere, of workers here
            said = [attack(one) for one in ours for attack in attacks]
            with guest(spec, port) as worker:
                armed, finished, settled = swarm.to_the_end()
                assert worker.wait(20) == 0
        asked = len(server.asked)
    require_whole(swarm, asked, armed, settled)
    for answer in said:  # at most how ZeroMQ greets everybody
        assert b"gatecrash" not in answer
        assert b"shop" not in answer
        assert len(answer) <= 64
    assert counted(finished) >= 8


def test_a_flood_of_strangers_holds_nobody_up(tmp_path: Path) -> None:
    over = threading.Event()
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        with running(spec) as swarm:
            door = swarm.expect(Waiting).port

            def flood(port: int) -> None:
                while not over.is_set():
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as one:
                        one.sendall(b"\xff" * 4096)

            threads = [threading.Thread(target=flood, args=[port]) for port in ports_of(swarm)]
            for thread in threads:
                thread.start()
            try:
                with guest(spec, door) as worker:
                    armed, finished, settled = swarm.to_the_end()
                    assert worker.wait(20) == 0
            finally:
                over.set()
                for thread in threads:
                    thread.join(60)
        asked = len(server.asked)
    require_whole(swarm, asked, armed, settled)
    assert counted(finished) > 100


@contextmanager
def tapped(port: int, heard: bytearray) -> Iterator[int]:
    """Somebody on the wire: passes on and keeps all that goes to and from that port. Yields where to connect."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    made: list[socket.socket] = []

    def pass_on(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                heard.extend(data)
                to.sendall(data)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while not over.is_set():
            try:
                near, _ = tap.accept()
            except TimeoutError:
                continue
            near.settimeout(None)
            far = socket.create_connection(("127.0.0.1", port), timeout=30)
            far.settimeout(None)
            made.extend((near, far))
            for pair in ((near, far), (far, near)):
                threads.append(threading.Thread(target=pass_on, args=pair, daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as tap:
        tap.settimeout(0.05)
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield tap.getsockname()[1]
        finally:
            over.set()
            accepting.join(30)
            for thread in threads:
                thread.join(30)
            for one in made:
                one.close()


def test_who_listens_on_the_wire_learns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = bytearray()
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, tmp_path, workers=1), 1)
        with (
            running(spec) as swarm,
            tapped(swarm.expect(Waiting).port, heard) as port,
            guest(spec, port) as worker,
        ):
            swarm.expect(Armed)
            wait_until(lambda: len(heard) > 2000, within_s=30, what="a conversation")
            swarm.ended()
            worker.wait(60)
    for word in (b"welcome", b"knock", b"gatecrash", b"corner_shop", spec.reach.key.encode(), server.url.encode()):
        assert word not in heard
    assert bytes.fromhex(spec.reach.key) not in heard
