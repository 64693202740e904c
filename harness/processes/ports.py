"""Free loopback ports for servers.

They lie below the kernel's range for outgoing connections: a listener that a fault closes for a while must find its
port free again, although thousands of clients are connecting meanwhile.
"""

from __future__ import annotations

import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentProblem

HOST: Final = "127.0.0.1"
_FIRST: Final = 15_000
_DICE: Final = random.SystemRandom()  # not the seeded dice: two runs of one seed must not want the same ports
_MARKS: Final[list[socket.socket]] = []
_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def port_range() -> tuple[int, int]:
    """The local ports that outgoing connections take, first and last."""
    try:
        first, last = _RANGE_FILE.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 49_152, 65_535  # the IANA dynamic range, what BSD and macOS use


def free_ports(count: int) -> list[int]:
    """`count` distinct ports that could be bound just now, given to nobody else while this process lives.

    Raises EnvironmentProblem when there are too few.
    """
    end = max(port_range()[0], _FIRST + 1_000)
    candidates = _DICE.sample(range(_FIRST, end), min(end - _FIRST, count * 20))
    found: list[int] = []
    with ExitStack() as held:
        for port in candidates:
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            if not _reserved(port):
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise EnvironmentProblem(f"found only {len(found)} of {count} free ports on {HOST}", hint="stop other servers")


def _reserved(port: int) -> bool:
    """Whether the port is now this process's, among all that take theirs here: a server may bind it seconds later.

    Marked by an abstract socket address, which is gone with the process. Only Linux has them.
    """
    if sys.platform != "linux":
        return True
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0gatecrash-port-{port}")
    except OSError:
        mark.close()
        return False
    _MARKS.append(mark)
    return True


def require_free(port: int) -> None:
    """Raise EnvironmentProblem, in one clear line, when `port` on loopback is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise EnvironmentProblem(
                f"port {port} on {HOST} cannot be used: {error.strerror}", hint="choose another, or 0 for a free one"
            ) from error


def accepts(port: int) -> bool:
    """Whether something accepts connections at `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0
