"""Network namespaces for tests: a machine of its own, as far as addresses and ports go. Needs root and `ip`."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NEW_NET = 0x40000000


def ip(*words: str, inside: str = "") -> None:
    """The ip command, in a namespace or outside."""
    subprocess.run(["ip", *(["-n", inside] if inside else []), *words], check=True, capture_output=True)


@contextmanager
def network_namespace(name: str) -> Iterator[str]:
    """A namespace with its loopback up; the test is skipped where the kernel or the rights are missing."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the ip command")
    own = f"{name}-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", own], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made: {made.stderr.strip()}")
    try:
        ip("link", "set", "lo", "up", inside=own)
        yield own
    finally:
        subprocess.run(["ip", "netns", "del", own], check=True, capture_output=True)


def link(one: str, one_address: str, other: str, other_address: str, number: int) -> None:
    """A cable between two namespaces. Addresses as "10.0.0.1/24"."""
    ends = {one: (f"gc{os.getpid() % 10**6}a{number}", one_address), other: (f"gc{os.getpid() % 10**6}b{number}", "")}
    ends[other] = (ends[other][0], other_address)
    ip("link", "add", ends[one][0], "type", "veth", "peer", "name", ends[other][0])
    for space, (device, address) in ends.items():
        ip("link", "set", device, "netns", space)
        ip("addr", "add", address, "dev", device, inside=space)
        ip("link", "set", device, "up", inside=space)


def inside(space: str) -> list[str]:
    """What goes before a command that is to run in there."""
    return ["ip", "netns", "exec", space]


def listener_inside(space: str, address: tuple[str, int]) -> socket.socket:
    """A listening socket of that namespace; it stays there, whoever uses it."""
    made: list[socket.socket] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{space}").open("rb") as there:
            if libc.setns(there.fileno(), _NEW_NET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server(address, backlog=512))

    thread = threading.Thread(target=make)  # of its own: the namespace is the thread's
    thread.start()
    thread.join()
    return made[0]
