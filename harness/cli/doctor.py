"""`doctor`: checks what this machine can do for a rehearsal, and says how to mend what is missing."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec
import psutil

from harness import plugins
from harness.errors import GatecrashError
from harness.processes.machine import cores
from harness.processes.ports import free_ports, port_range
from harness.stack.reference.databases import postgres_binaries, valkey_binary

_NEEDED_FDS: Final = 4_096
_NEEDED_MEMORY_BYTES: Final = 2 * 10**9
_NEEDED_DISK_BYTES: Final = 10**9
_NEEDED_PORTS: Final = 10_000
_NEEDED_BACKLOG: Final = 4_096
_NEEDED_TRACKED: Final = 20_000
_CONNTRACK: Final = Path("/proc/sys/net/netfilter")
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
_LIFT_HARD_FDS: Final = "nofile in /etc/security/limits.conf, or LimitNOFILE= of the service"
_PACKAGES: Final = ("locust", "gevent", "websocket-client", "sseclient-py", "toxiproxy-python", "pyarrow", "granian")


class Check(msgspec.Struct, frozen=True):
    """One check. `status`: ok · limited (works, with less) · optional (absent and not needed) · missing (a rehearsal
    cannot run).
    """

    name: str
    status: str
    found: str
    mend: str = ""


def examine() -> tuple[Check, ...]:
    """All checks, in the order in which a rehearsal needs the things that they check."""
    return tuple(_checks())


def _checks() -> Iterator[Check]:
    yield Check(
        "python", "ok", f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    )
    for package in _PACKAGES:
        yield _package(package)
    yield _server("Valkey", valkey_binary)
    yield _server("PostgreSQL", postgres_binaries)
    yield _cores()
    memory = psutil.virtual_memory().available
    yield _amount(
        "memory available",
        memory,
        _NEEDED_MEMORY_BYTES,
        "stop other programs, ask for fewer users, or add machines (gatecrash plan)",
    )
    temporary = Path(tempfile.gettempdir())
    yield _amount(
        f"disk free in {temporary}", shutil.disk_usage(temporary).free, _NEEDED_DISK_BYTES, "set TMPDIR to another disk"
    )
    yield _descriptors()
    yield _connections()
    yield _backlog()
    yield _tracking()
    yield _ports()
    yield _account()
    yield from _docker()
    yield _toxiproxy()
    yield from _plugins()


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "missing", "not installed", "make setup")


def _server(name: str, find: Callable[[], Path]) -> Check:
    try:
        return Check(name, "ok", str(find()))
    except GatecrashError as error:
        return Check(name, "missing", error.message, error.hint)


def _cores() -> Check:
    found = cores()
    if found < 2:
        return Check(
            "cores",
            "limited",
            str(found),
            "the platform and the load share it: expect DEGRADED; add a core, or a machine (gatecrash worker)",
        )
    return Check("cores", "ok", str(found))


def _amount(name: str, found_bytes: int, needed_bytes: int, mend: str) -> Check:
    found = f"{found_bytes / 1e9:,.1f} GB"
    if found_bytes < needed_bytes:
        return Check(name, "limited", f"{found}, {needed_bytes / 1e9:.0f} GB wanted", mend)
    return Check(name, "ok", found)


def _descriptors() -> Check:
    """A rehearsal raises its limit to the hard one by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{hard:,} (hard limit)"
    if hard < _NEEDED_FDS:
        return Check("file descriptors", "limited", found, _LIFT_HARD_FDS)
    return Check("file descriptors", "ok", found, f"for more: {_LIFT_HARD_FDS}")


def _connections() -> Check:
    """Each connection to one address of the platform takes one local port of this machine."""
    first, last = port_range()
    found = f"{first} to {last}: {last - first + 1:,} connections to one address, half of them opened fast"
    lift = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535", or more machines (gatecrash plan)'
    if last - first + 1 < _NEEDED_PORTS:
        return Check("local ports", "limited", found, lift)
    return Check("local ports", "ok", found, f"for more: {lift}")


def _backlog() -> Check:
    """Connects that come at once wait in the listener's queue; those that do not fit are sent again a second later."""
    name, lift = "listen queue", "sysctl -w net.core.somaxconn=4096"
    try:
        longest = int(_SOMAXCONN.read_text())
    except OSError:
        return Check(name, "ok", "as the system has it")
    if longest < _NEEDED_BACKLOG:
        return Check(name, "limited", f"{longest:,}, {_NEEDED_BACKLOG:,} wanted", lift)
    return Check(name, "ok", f"{longest:,}", "" if longest > _NEEDED_BACKLOG else f"for more: {lift[:-4]}65535")


def _tracking() -> Check:
    """A firewall that tracks connections, also closed ones for a while, silently drops those beyond its table."""
    name, lift = "connection tracking", "sysctl -w net.netfilter.nf_conntrack_max=1048576"
    try:
        most, used = (int((_CONNTRACK / f"nf_conntrack_{what}").read_text()) for what in ("max", "count"))
    except OSError:
        return Check(name, "ok", "none")
    found = f"{used:,} of {most:,} connections"
    if most - used < _NEEDED_TRACKED:
        return Check(name, "limited", f"{found}, room for {_NEEDED_TRACKED:,} wanted", lift)
    return Check(name, "ok", found, f"for more: {lift}")


def _ports() -> Check:
    try:
        free_ports(20)
    except GatecrashError as error:
        return Check("loopback ports", "missing", error.message, error.hint)
    return Check("loopback ports", "ok", "20 of 20 free")


def _account() -> Check:
    if os.geteuid() != 0:
        return Check("account", "ok", "an ordinary user")
    return Check("account", "ok", "root; PostgreSQL will run as nobody")


def _docker() -> Iterator[Check]:
    import docker
    from docker.errors import DockerException
    from requests import RequestException

    from harness.stack.compose import leftovers

    try:
        with contextlib.closing(docker.from_env(timeout=2)) as engine:
            told, behind = str(engine.version()["Version"]), leftovers.find(engine)
    except (DockerException, RequestException, GatecrashError):
        yield Check("Docker engine", "optional", "none reachable", "not needed for the embedded stack")
        return
    yield Check("Docker engine", "ok", told)
    for left in behind:
        yield Check("left behind", "limited", left.in_words, left.by_hand if left.why else "gatecrash target down")


def _plugins() -> Iterator[Check]:
    for one in plugins.installed():
        yield Check("plugin", "ok", f"{one.version.in_words}: {one.in_words}")
    for wrong in plugins.problems():
        yield Check("plugin", "missing", wrong.message, wrong.hint)


def _toxiproxy() -> Check:
    found = shutil.which("toxiproxy-server")
    if found is None:
        return Check("Toxiproxy server", "optional", "none on PATH", "not needed: the embedded one is used")
    return Check("Toxiproxy server", "ok", f"{found} (used when GATECRASH_TOXIPROXY names it)")
