"""Masters that are not what they should be: one that says what it likes, and servers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from harness.swarm.joining import handshake
from harness.swarm.joining.handshake import Welcome, encode
from harness.swarm.messaging.protocol import SwarmSpec
from harness.swarm.messaging.run_key import RunKey


def welcome(spec: SwarmSpec, port: int = 1, **changes: str) -> bytes:
    """Lets a worker in as number 2. `changes`: file → another sha256 than it has."""
    return encode(Welcome(number=2, port=port, spec=spec, files=handshake.files_of(spec) | changes, key="00" * 32))


@contextmanager
def master(answer: bytes, key: RunKey | None) -> Iterator[int]:
    """A master that has this key, or asks for none; it gives one answer and then says nothing more. Yields its port."""
    context = zmq.Context()
    door = context.socket(zmq.ROUTER)
    if key is not None:
        key.serve(door)
    port = door.bind_to_random_port("tcp://127.0.0.1")
    over = threading.Event()

    def serve() -> None:
        answered = False
        while not over.is_set():
            if door.poll(50):
                sender, _ = door.recv_multipart()
                if not answered:
                    door.send_multipart([sender, answer])
                answered = True

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port
    finally:
        over.set()
        thread.join(30)
        door.close(linger=0)
        context.term()


@contextmanager
def listening(banner: bytes) -> Iterator[int]:
    """A server of something else, which says that to everybody. Yields its port."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.05)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = door.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(banner)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            over.set()
            thread.join(30)
