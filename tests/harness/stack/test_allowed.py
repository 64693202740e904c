"""No load and no fault beyond this machine unless the user named the host twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.hosts import is_loopback
from harness.stack import Addresses
from harness.stack.allowed import reached, require_allowed

ROOT = Path(__file__).parents[3]
FAR = "http://tickets.example:8080"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://localhost:2/feed", "http://[::1]:3", "127.9.9.9:4", ""])
def test_this_machine_needs_no_permission(url: str) -> None:
    require_allowed([url], (), ())


@pytest.mark.parametrize(
    ("named", "confirmed", "hint"),
    [
        ((), (), "allow_hosts"),
        ((), ("tickets.example",), "allow_hosts"),
        (("tickets.example",), (), "--allow-host tickets.example"),
        (("tickets.example",), ("other.example",), "--allow-host tickets.example"),
    ],
)
def test_another_host_must_be_named_twice(named: tuple[str, ...], confirmed: tuple[str, ...], hint: str) -> None:
    with pytest.raises(InputError, match=r"tickets\.example") as refused:
        require_allowed([FAR], named, confirmed)
    assert hint in refused.value.hint


def test_a_host_that_is_named_twice_is_allowed() -> None:
    require_allowed([FAR], ("tickets.example",), ("tickets.example",))


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.example", "10.0.0.1", "0.0.0.0", "::", "host"])
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    assert not is_loopback(host)


@given(st.ip_addresses(v=4))
def test_only_net_127_is_this_machine(address: object) -> None:
    assert is_loopback(str(address)) == str(address).startswith("127.")


def test_every_address_is_looked_at() -> None:
    fields = {"booking": FAR, "feeds": (FAR,), "admin": FAR, "ledger": FAR, "toxiproxy": FAR, "metrics": {"m": FAR}}
    near: dict[str, object] = {"booking": "http://127.0.0.1:1", "feeds": (), "event": "e"}
    for name, value in fields.items():
        with pytest.raises(InputError):
            require_allowed(reached(Addresses(**{**near, name: value})), (), ())  # type: ignore[arg-type]


def test_a_fault_proxy_elsewhere_is_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "rehearse", "smoke", "--out", str(tmp_path)]
    env = {**os.environ, "GATECRASH_TOXIPROXY": "192.0.2.1:8474"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert "192.0.2.1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
