"""From the options of the command line to where a swarm's master can be reached. Imports neither locust nor gevent."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Sequence
from typing import Final

from harness import scenario as scenarios
from harness.errors import InputError
from harness.hosts import host_and_port, is_loopback
from harness.scenario import Override
from harness.swarm.joining.handshake import DEFAULT_PORT, scenario_digest
from harness.swarm.joining.lent import to_lend
from harness.swarm.messaging.protocol import Reach, SwarmSpec
from harness.swarm.messaging.run_key import RunKey, taken

WEB_PORT: Final = 8089  # Locust's own
_LOOPBACK: Final = "127.0.0.1"
_ELSEWHERE_TOO: Final = ("embedded", "own")  # stacks that workers of other machines can reach, too


def reach_of(listen: str, remote_workers: int, *, web: bool, stack: str = "embedded") -> Reach:
    """What was asked for. Raises InputError: no such address, or one that the stack cannot listen at as well."""
    host, port = host_and_port(listen, "--listen")
    if not is_loopback(host):
        _require_own_address(host)
        if stack not in _ELSEWHERE_TOO:
            raise InputError(
                f"workers of other machines cannot reach the stack {stack!r}, which listens on 127.0.0.1 only",
                key="--listen",
                hint="leave --stack out",
            )
    return Reach(
        listen=host,
        port=(port or DEFAULT_PORT) if remote_workers else 0,
        remote_workers=remote_workers,
        key=(taken() or RunKey.draw()).text if remote_workers else "",
        web_port=_web_port() if web else None,
    )


def invitation(spec: SwarmSpec, port: int) -> str:
    """The command line with which a worker of another machine joins, to be pasted there. It holds the run's key."""
    command = ("gatecrash", "worker", "--master", f"{spec.reach.listen}:{port}", "--key", spec.reach.key)
    return shlex.join((*command, *to_lend(spec)))


def expected_digest(scenario: str, changes: Sequence[str]) -> str:
    """The digest of the scenario that a worker is told to expect, "" for any. Raises InputError."""
    if not scenario:
        return ""
    loaded = scenarios.load(scenario, [Override.parse(change) for change in changes]).scenario
    return scenario_digest(loaded)


def _require_own_address(host: str) -> None:
    """The platform will listen there, too, so it has to be one address, and this machine's."""
    try:
        if host == "0.0.0.0":
            raise InputError(
                f"{host} is no address that others can call", key="--listen", hint="name one of this machine's"
            )
        with socket.create_server((host, 0)):
            return
    except OSError as error:
        raise InputError(
            f"{host} is no address of this machine: {error.strerror or error}", key="--listen", hint="see `ip address`"
        ) from error


def _web_port() -> int:
    """Locust's usual port where it is free, any other where not."""
    for port in (WEB_PORT, 0):
        try:
            with socket.create_server((_LOOPBACK, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise InputError("there is no free port for Locust's pages", key="--web")
