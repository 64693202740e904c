"""Hosts of their own on one machine: network namespaces, each with one cable to this host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

NETWORK = f"10.{100 + os.getpid() % 100}"  # of this process: two may do this at once


class Host:
    """`name` of its namespace; `sees_us_at`: the address at which it reaches this host."""

    def __init__(self, number: int) -> None:
        self.name = f"gatecrash-{os.getpid()}-{number}"
        self.cable = f"gc{os.getpid() % 100_000}x{number}"
        self.sees_us_at = f"{NETWORK}.{number}.1"
        self.address = f"{NETWORK}.{number}.2"

    def command(self, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *arguments]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def _host(number: int) -> Iterator[Host]:
    host = Host(number)
    _ip("netns", "add", host.name)
    try:
        _ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("address", "add", f"{host.sees_us_at}/24", "dev", host.cable)
        _ip("link", "set", host.cable, "up")
        for device, address in (("lo", ""), ("eth0", f"{host.address}/24")):
            if address:
                _ip("-n", host.name, "address", "add", address, "dev", device)
            _ip("-n", host.name, "link", "set", device, "up")
        _ip("-n", host.name, "route", "add", "default", "via", host.sees_us_at)
        yield host
    finally:
        _ip("netns", "delete", host.name)


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many other hosts; the test is skipped, with the reason, where there can be none."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("other hosts need Linux and the ip command")
    with ExitStack() as stack:
        try:
            made = [stack.enter_context(_host(number)) for number in range(1, count + 1)]
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield made
