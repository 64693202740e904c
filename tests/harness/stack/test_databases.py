import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes.managed import stop_all
from harness.processes.ports import accepts, free_ports
from harness.stack import workspace
from harness.stack.databases import Postgres, postgres_binaries, start_valkey
from tests.waiting import wait_until


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
