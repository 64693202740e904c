import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from harness.processes.managed import stop_all
from harness.processes.ports import accepts, free_ports
from harness.stack.reference import workspace
from harness.stack.reference.databases import Postgres, postgres_binaries, start_valkey, valkey_binary
from tests.waiting import wait_until

ROOT = Path(__file__).parents[4]


@pytest.fixture
def root() -> Iterator[Path]:
    folder = workspace.create()
    yield folder
    workspace.remove(folder)


def query(postgres: Postgres, port: int, sql: str) -> str:
    command = [str(postgres_binaries() / "psql"), postgres.dsn(port), "-Atqc", sql]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_replica_follows_its_primary_and_everything_goes_down(root: Path, tmp_path: Path) -> None:
    primary_port, replica_port, valkey_port = free_ports(3)
    postgres = Postgres(root, tmp_path)
    started = []
    try:
        postgres.initialise().wait_success(within_s=30)
        started.append(start_valkey(valkey_port, root / "valkey", tmp_path / "valkey.log"))
        started.append(postgres.start_primary(primary_port))
        query(postgres, primary_port, "create table seats (id text); insert into seats values ('104-C-12')")
        started.append(postgres.start_replica(replica_port, primary_port, primary_port))
        assert query(postgres, replica_port, "select pg_is_in_recovery()") == "t"
        assert query(postgres, replica_port, "select id from seats") == "104-C-12"
        query(postgres, primary_port, "insert into seats values ('104-C-13')")
        wait_until(lambda: query(postgres, replica_port, "select count(*) from seats") == "2", what="streaming")
    finally:
        stop_all(started, within_s=5)
    assert not any(accepts(port) for port in (primary_port, replica_port, valkey_port))


def test_a_primary_that_was_killed_over_its_work_can_be_started_again_at_once(root: Path, tmp_path: Path) -> None:
    """What its servers are at does not let them see that it is gone."""
    [port] = free_ports(1)
    postgres = Postgres(root, tmp_path)
    postgres.initialise().wait_success(within_s=30)
    primary = postgres.start_primary(port)
    count = [
        str(postgres_binaries() / "psql"),
        postgres.dsn(port),
        "-qc",
        "select count(*) from generate_series(1, 1e9)",
    ]
    asking = [subprocess.Popen(count, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        busy = "select count(*) from pg_stat_activity where query like 'select count(*) from generate%'"
        wait_until(lambda: query(postgres, port, busy) == "2", what="two servers at work")
        primary.kill()
        primary.start_again()
        primary.wait_healthy(lambda: postgres._is_ready(port), within_s=60)
    finally:
        primary.stop(within_s=5)
        for one in asking:
            one.kill()
            one.wait()


def said_to(port: int, *commands: bytes) -> bytes:
    """What a Redis server answers to commands without arguments that hold spaces."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"".join(command + b"\r\n" for command in (*commands, b"QUIT")))
        said = b""
        while more := connection.recv(4096):
            said += more
        return said


def test_valkey_answers_nobody_without_its_password_and_shows_it_to_nobody(root: Path, tmp_path: Path) -> None:
    [port] = free_ports(1)
    valkey = start_valkey(port, root / "valkey", tmp_path / "valkey.log", "swordfish-0815")
    try:
        assert said_to(port, b"FLUSHALL", b"AUTH guessed").startswith(b"-NOAUTH")
        assert said_to(port, b"AUTH swordfish-0815", b"SET seat free").startswith(b"+OK\r\n+OK")
        assert not any("swordfish" in word for word in psutil.Process(valkey.pid).cmdline())
        readable = [path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
        assert readable == []
        valkey.kill()
        valkey.start_again()
        valkey.wait_healthy(lambda: accepts(port), within_s=30)
        assert said_to(port, b"GET seat").startswith(b"-NOAUTH")
    finally:
        valkey.stop(within_s=5)


def test_the_command_of_redis_in_the_compose_file_takes_its_password_from_the_environment(tmp_path: Path) -> None:
    """With our own Valkey in place of the image's server."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]
    [port] = free_ports(1)
    (tmp_path / "redis-server").symlink_to(valkey_binary())
    (script,) = service["command"]
    script = script.replace("$$", "$").replace("exec redis-server", f"exec redis-server --port {port}")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "REDISCLI_AUTH": "swordfish-0815"}
    process = subprocess.Popen([*service["entrypoint"], script], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(port), what="the server")
        assert said_to(port, b"PING").startswith(b"-NOAUTH")
        assert said_to(port, b"AUTH swordfish-0815", b"PING").startswith(b"+OK\r\n+PONG")
        assert not any("swordfish" in word for word in psutil.Process(process.pid).cmdline())
    finally:
        process.kill()
        process.wait()
