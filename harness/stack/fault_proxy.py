"""The fault proxy of a stack: our Toxiproxy-compatible server, or a real one, filled with one proxy for each edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from harness.errors import EnvironmentProblem, InputError
from harness.input_file import is_file
from harness.processes.managed import ManagedProcess, child_environment
from harness.processes.ports import HOST
from harness.stack.proxy_keeper import Borrowed, Refused, ask, keep

_RECEIVED: Final = "toxiproxy_proxy_received_bytes_total"
"""What Toxiproxy counts of a proxy, for each direction."""


class FaultProxy:
    """`server` is "" for our own, host:port of one that runs, or the path of a toxiproxy-server binary to start.

    `seed` makes the draws of our own repeatable; a real one draws as it likes.
    """

    def __init__(self, port: int, server: str, logs: Path, *, seed: int | None = None) -> None:
        self._server = server
        self._is_running_elsewhere = bool(server) and not is_file(Path(server))
        if self._is_running_elsewhere and not server.rpartition(":")[2].isdigit():
            raise InputError(f"toxiproxy {server!r} is neither a file nor host:port", hint="e.g. 127.0.0.1:8474")
        self.url = f"http://{server}" if self._is_running_elsewhere else f"http://{HOST}:{port}"
        self._port = port
        self._seed = seed
        self._logs = logs
        self._borrowed: Borrowed | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> list[ManagedProcess]:
        """Start the server unless it runs already; returns the processes started, when it answers."""
        if self._is_running_elsewhere:
            if not self._answers():
                raise EnvironmentProblem(f"no Toxiproxy answers at {self.url}", hint="start it, or leave it out")
            return []
        own = [sys.executable, "-m", "chaos.proxy", "--host", HOST, "--port", str(self._port)]
        own += [] if self._seed is None else ["--seed", str(self._seed)]
        real = [self._server, "-host", HOST, "-port", str(self._port), "-proxy-metrics"]
        process = ManagedProcess(
            "fault-proxy",
            real if self._server else own,
            log=self._logs / "fault-proxy.log",
            env=child_environment({}),
            address=f"{HOST}:{self._port}",
        )
        process.wait_healthy(self._answers, within_s=15)
        return [process]

    def populate(
        self, upstreams: Mapping[str, str], ports: Sequence[int], hosts: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Create one proxy for each name → upstream, listening on `ports` in turn. Returns name → listening port.

        `hosts`: name → where it listens, if not on loopback.
        """
        where = hosts or {}
        wanted = [
            {"name": name, "upstream": upstream, "listen": f"{where.get(name, HOST)}:{port}"}
            for (name, upstream), port in zip(upstreams.items(), ports, strict=True)
        ]
        try:
            self._borrow([str(proxy["name"]) for proxy in wanted])
            created = json.loads(ask(self.url, "/populate", wanted))["proxies"]
        except (OSError, ValueError, KeyError) as problem:
            raise EnvironmentProblem(f"the fault proxy at {self.url} refused its proxies: {problem}") from problem
        return {str(proxy["name"]): int(str(proxy["listen"]).rpartition(":")[2]) for proxy in created}

    def _borrow(self, names: Sequence[str]) -> None:
        """From now on a server that runs elsewhere is given back as it is now, whatever becomes of us."""
        if not self._is_running_elsewhere:
            return
        there = json.loads(ask(self.url, "/proxies"))
        before = [_definition(there[name]) for name in names if name in there]
        self._borrowed = Borrowed(self.url, tuple(names), tuple(before))
        self._keeper = keep(self._borrowed)

    def give_back(self) -> None:
        """Leave a server that runs elsewhere as it was found. Safe to call twice."""
        if self._borrowed is None or self._keeper is None:
            return
        self._borrowed.give_back()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper.wait()
        self._borrowed = self._keeper = None

    def _answers(self) -> bool:
        try:
            ask(self.url, "/version")
        except OSError:
            return False
        return True


def _definition(proxy: Mapping[str, object]) -> dict[str, object]:
    return {key: proxy[key] for key in ("name", "listen", "upstream", "enabled", "toxics")}


def edge_bytes(url: str) -> dict[str, int]:
    """Proxy → bytes that it has read so far, both ways together; `url` is that of a fault proxy, ours or a real one.

    A real one tells nothing of a proxy before its first byte. Raises EnvironmentProblem when it does not count.
    """
    try:
        names = json.loads(ask(url, "/proxies"))
        page = ask(url, "/metrics").decode()
    except Refused as problem:
        hint = "start toxiproxy-server with -proxy-metrics"
        raise EnvironmentProblem(f"the fault proxy at {url} counts no bytes: {problem}", hint=hint) from problem
    except (OSError, ValueError) as problem:
        raise EnvironmentProblem(f"the fault proxy at {url} does not tell its bytes: {problem}") from problem
    counted = dict.fromkeys(map(str, names), 0)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == _RECEIVED and sample.labels.get("proxy") in counted:
                counted[sample.labels["proxy"]] += int(sample.value)
    return counted


def from_environment() -> str:
    """The real Toxiproxy server the user named in GATECRASH_TOXIPROXY (host:port or a binary), or ""."""
    return os.environ.get("GATECRASH_TOXIPROXY", "").strip()
