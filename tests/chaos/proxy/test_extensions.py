"""What the embedded server can do beyond Toxiproxy, over real sockets. `differences.py` has the API's differences."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.chaos import servers
from tests.chaos.servers import HOST, ROOT, ProxyServer, Upstream, connect, echo, elapsed_s, free_port, receive
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]


def fate(link: socket.socket) -> str:
    """open, fin or rst."""
    link.settimeout(0.05)
    try:
        return "fin" if link.recv(1) == b"" else "data"
    except TimeoutError:
        return "open"
    except ConnectionResetError:
        return "rst"


def fates(links: Sequence[socket.socket], gone: int) -> list[str]:
    """The fate of each, as soon as `gone` of them are not open any more."""
    found = dict.fromkeys(links, "open")

    def are_gone() -> bool:
        found.update({link: fate(link) for link, state in found.items() if state == "open"})
        return sum(state != "open" for state in found.values()) >= gone

    wait_until(are_gone, within_s=15, what="the drop")
    return list(found.values())


def fate_of_answer(link: socket.socket) -> str:
    """data, fin or rst, whichever comes."""
    try:
        return "fin" if link.recv(1) == b"" else "data"
    except ConnectionResetError:
        return "rst"


def exchange(link: socket.socket) -> None:
    link.settimeout(5)
    link.sendall(b"x")
    assert receive(link, 1) == b"x"


@pytest.mark.parametrize(
    ("count", "percent", "dropped"), [(40, 50, 20), (7, 50, 4), (3, 50, 2), (30, 100, 30), (9, 0, 0), (10, 12.5, 1)]
)
@pytest.mark.parametrize("mode", ["rst", "fin"])
def test_exactly_that_share_is_dropped(
    ours: ProxyServer, upstream: Start, count: int, percent: float, dropped: int, mode: str
) -> None:
    address = ours.create("a", upstream(echo).address)
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(connect(address)) for _ in range(count)]
        for link in links:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
        answer = ours.call("POST", "/proxies/a/connections/drop", {"percent": percent, "mode": mode})
        assert answer.json() == {"open": count, "dropped": dropped}
        found = fates(links, gone=dropped)
        assert found.count(mode) == dropped
        assert found.count("open") == count - dropped
        for link, state in zip(links, found, strict=True):
            if state == "open":
                link.settimeout(5)
                link.sendall(b"y")
                assert receive(link, 1) == b"y"
        assert len(ours.call("GET", "/proxies/a/connections").json()) == count - dropped


def test_a_stalled_connection_stays_open_and_carries_nothing(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    with connect(address) as stalled, connect(address) as other:
        exchange(stalled)
        exchange(other)
        answer = ours.call("POST", "/proxies/a/connections/drop", {"percent": 100, "mode": "stall"})
        assert answer.json() == {"open": 2, "dropped": 2}
        stalled.sendall(b"lost")
        assert fate(stalled) == "open"
        listed = ours.call("GET", "/proxies/a/connections").json()
        assert [each["stalled"] for each in listed] == [True, True]
        again = ours.call("POST", "/proxies/a/connections/drop", {"percent": 100, "mode": "rst"})
        assert again.json() == {"open": 0, "dropped": 0}
        with connect(address) as fresh:
            exchange(fresh)
        ours.call("POST", "/reset")
        assert fates([stalled, other], gone=2) == ["rst", "rst"]


def test_a_client_that_gives_up_a_stalled_connection_is_let_go(ours: ProxyServer, upstream: Start) -> None:
    """Its end must not be kept for ever, and its upstream is not told."""
    told = threading.Event()

    def watch(link: socket.socket) -> None:
        try:
            echo(link)
        finally:
            told.set()

    address = ours.create("a", upstream(watch).address)
    with connect(address) as link:
        exchange(link)
        ours.call("POST", "/proxies/a/connections/drop", {"percent": 100, "mode": "stall"})
    wait_until(lambda: ours.call("GET", "/proxies/a/connections").json() == [])
    assert not told.is_set()
    ours.call("POST", "/reset")
    assert told.wait(5)


def test_a_toxic_is_removed_when_its_lease_runs_out(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    body = {"type": "bandwidth", "attributes": {"rate": 0}, "lease_s": 0.3}
    added = ours.call("POST", "/proxies/a/toxics", body).json()
    assert added["lease_s"] == 0.3
    assert 0 < added["lease_left_s"] <= 0.3
    with connect(address) as link:
        link.sendall(b"held back")
        assert receive(link, 9) == b"held back"
    assert ours.call("GET", "/proxies/a/toxics").json() == []


def always_late(link: socket.socket) -> bool:
    """Whether a latency of 100 ms hits this connection: once may be chance."""
    return all(elapsed_s(lambda: exchange(link)) > 0.099 for _ in range(3))


def test_a_renewed_lease_keeps_the_toxic_and_its_rolls(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    body = {"type": "latency", "attributes": {"latency": 100}, "toxicity": 0.5, "lease_s": 2.0}
    ours.call("POST", "/proxies/a/toxics", body)
    path = "/proxies/a/toxics/latency_downstream"
    assert ours.call("PATCH", path, {"lease_s": 30}).json()["lease_left_s"] > 25
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(connect(address)) for _ in range(12)]
        hit = [always_late(link) for link in links]
        for _ in range(5):
            assert ours.call("PATCH", path, {"lease_s": 30}).json()["lease_left_s"] > 25
        assert [always_late(link) for link in links] == hit
    assert "lease_s" not in ours.call("PATCH", path, {"lease_s": 0}).json()
    assert len(ours.call("GET", "/proxies/a/toxics").json()) == 1


@pytest.mark.parametrize("lease_s", [-1, "soon"])
def test_a_lease_that_makes_no_sense_is_refused(ours: ProxyServer, lease_s: object) -> None:
    ours.create("a", "127.0.0.1:9")
    assert ours.call("POST", "/proxies/a/toxics", {"type": "noop", "lease_s": lease_s}).status_code == 400
    assert ours.call("GET", "/proxies/a/toxics").json() == []


def test_a_lease_does_not_outlive_its_proxy(ours: ProxyServer, upstream: Start) -> None:
    """A proxy of the same name that comes later keeps its toxic of the same name."""
    toxic = {"type": "noop", "lease_s": 0.2}
    entry = {"name": "a", "upstream": "127.0.0.1:9", "toxics": [toxic]}
    ours.call("POST", "/populate", [entry])
    ours.call("DELETE", "/proxies/a")
    ours.call("POST", "/populate", [{**entry, "toxics": [{"type": "noop"}]}])
    ours.call(
        "POST", "/populate", [{"name": "clock", "upstream": "127.0.0.1:9", "toxics": [{**toxic, "lease_s": 0.5}]}]
    )
    wait_until(lambda: ours.call("GET", "/proxies/clock/toxics").json() == [])
    assert len(ours.call("GET", "/proxies/a/toxics").json()) == 1


def test_toxics_that_are_populated_hit_the_first_connection(ours: ProxyServer, upstream: Start) -> None:
    toxics = [{"type": "latency", "attributes": {"latency": 150}}]
    body = [{"name": "a", "upstream": upstream(echo).address, "listen": f"{HOST}:0", "toxics": toxics}]
    (made,) = ours.call("POST", "/populate", body).json()["proxies"]
    assert [toxic["name"] for toxic in made["toxics"]] == ["latency_downstream"]
    with connect((HOST, int(made["listen"].rpartition(":")[2]))) as link:
        assert elapsed_s(lambda: exchange(link)) > 0.149


def test_a_bad_toxic_among_the_populated_creates_nothing(ours: ProxyServer) -> None:
    good = {"name": "a", "upstream": "127.0.0.1:9"}
    for toxics in ([{"type": "nonsense"}], [{"type": "noop"}, {"type": "noop"}], 3):
        answer = ours.call("POST", "/populate", [good, {**good, "name": "b", "toxics": toxics}])
        assert answer.status_code in {400, 409}
        assert ours.call("GET", "/proxies").json() == {}


@pytest.mark.parametrize("seed", ["1", "2"])
def test_one_seed_hits_the_same_connections_every_time(seed: str, upstream: Start) -> None:
    """Each connection's fate follows from its number, whatever went on in between and whatever the toxic is called."""

    def fates(name: str) -> list[bool]:
        with servers.embedded("--seed", seed) as server:
            address = server.create("a", upstream(echo).address)
            server.call("POST", "/proxies/a/toxics", {"type": "reset_peer", "name": name, "toxicity": 0.5})
            found = []
            for _ in range(24):
                with connect(address) as link:
                    link.sendall(b"x")
                    found.append(fate_of_answer(link) == "rst")
            return found

    first = fates("of one run")
    assert first == fates("of another run")
    assert 0 < sum(first) < 24


def test_removing_a_timeout_spares_the_connections_that_lost_nothing(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    with connect(address) as quiet, connect(address) as harmed:
        exchange(quiet)
        exchange(harmed)
        ours.toxic("a", "timeout", "upstream", timeout=0)
        harmed.sendall(b"lost")
        assert fate(harmed) == "open"
        ours.call("DELETE", "/proxies/a/toxics/timeout_upstream")
        assert fate_of_answer(harmed) == "fin"
        exchange(quiet)


def test_metrics_tell_bytes_connections_and_drops(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    ours.toxic("a", "limit_data", bytes=3)
    with connect(address) as link, connect(address):
        link.sendall(b"12345")
        assert receive(link, 5) == b"123"
    wait_until(lambda: ours.call("GET", "/proxies/a/connections").json() == [])
    with connect(address) as link:
        link.sendall(b"1")
        receive(link, 1)
        ours.call("POST", "/proxies/a/connections/drop", {"percent": 100, "mode": "fin"})
        page = ours.call("GET", "/metrics").text
    listen = f"{HOST}:{address[1]}"
    upstream_address = ours.call("GET", "/proxies/a").json()["upstream"]
    labels = f'listener="{listen}",proxy="a",upstream="{upstream_address}"'
    assert f'toxiproxy_proxy_received_bytes_total{{direction="downstream",{labels}}} 6.0' in page
    assert f'toxiproxy_proxy_sent_bytes_total{{direction="downstream",{labels}}} 4.0' in page
    assert f'toxiproxy_proxy_sent_bytes_total{{direction="upstream",{labels}}} 6.0' in page
    assert 'gatecrash_proxy_connections_dropped_total{mode="fin",proxy="a"} 1.0' in page
    assert 'gatecrash_proxy_connections_accepted_total{proxy="a"} 3.0' in page
    assert 'gatecrash_proxy_toxics{proxy="a"} 1.0' in page


def test_open_connections_are_listed_with_their_bytes(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    with connect(address) as link:
        link.sendall(b"12345")
        receive(link, 5)
        (listed,) = ours.call("GET", "/proxies/a/connections").json()
        assert listed["client"] == f"{HOST}:{link.getsockname()[1]}"
        assert (listed["upstream_bytes"], listed["downstream_bytes"]) == (5, 5)
    wait_until(lambda: ours.call("GET", "/proxies/a/connections").json() == [])


@pytest.mark.parametrize("body", [{}, {"percent": 101}, {"percent": -1}, {"percent": 5, "mode": "gently"}])
def test_a_drop_that_makes_no_sense_is_refused(ours: ProxyServer, body: object) -> None:
    ours.create("a", "127.0.0.1:9")
    assert ours.call("POST", "/proxies/a/connections/drop", body).status_code == 400
    assert ours.call("POST", "/proxies/x/connections/drop", {"percent": 5}).status_code == 404


def test_an_upstream_that_does_not_answer_delays_no_other_connection(ours: ProxyServer, upstream: Start) -> None:
    """A listener whose queue is full swallows connects: dials must not wait for each other."""
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        address = ours.create("a", f"{HOST}:{deaf.getsockname()[1]}")
        for _ in range(5):
            stack.enter_context(connect(address))
        good = upstream(echo)
        ours.call("PATCH", "/proxies/a", {"upstream": good.address})
        with connect(address) as link:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"  # before the socket's own time-out


class TestProcess:
    """python -m chaos.proxy."""

    def test_a_config_file_fills_it_and_sigterm_ends_it_cleanly(self, tmp_path: Path) -> None:
        config = tmp_path / "proxies.json"
        config.write_text(json.dumps([{"name": "a", "upstream": "127.0.0.1:9", "listen": f"{HOST}:0"}]))
        with servers.embedded("--config", str(config)) as server:
            assert list(server.call("GET", "/proxies").json()) == ["a"]
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=30) == 0

    def test_the_command_is_the_same_server(self, tmp_path: Path) -> None:
        config = tmp_path / "proxies.json"
        toxics = [{"type": "latency", "attributes": {"latency": 5}}]
        config.write_text(
            json.dumps([{"name": "a", "upstream": "127.0.0.1:9", "listen": f"{HOST}:0", "toxics": toxics}])
        )
        port = free_port()
        options = ["--host", HOST, "--port", str(port), "--config", str(config)]
        with servers.serve([sys.executable, "-m", "harness", "toxiproxy", *options], port) as server:
            assert server.call("GET", "/proxies").json()["a"]["toxics"][0]["attributes"]["latency"] == 5
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(timeout=30) == 0

    def test_it_runs_before_others_where_that_is_allowed(self, ours: ProxyServer) -> None:
        """What a child of this test may do, the server may do too."""
        ask = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
        allowed = subprocess.run([sys.executable, "-c", ask], check=False, capture_output=True).returncode == 0
        policy = os.sched_getscheduler(ours.process.pid) & ~os.SCHED_RESET_ON_FORK
        assert policy == (os.SCHED_RR if allowed else os.SCHED_OTHER)

    @pytest.mark.parametrize("text", ["{", '[{"name": "a"}]'])
    def test_a_bad_config_is_one_clear_line(self, tmp_path: Path, text: str) -> None:
        config = tmp_path / "proxies.json"
        config.write_text(text)
        done = self.run("--port", str(free_port()), "--config", str(config))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "proxies.json" in done.stderr

    def test_a_port_in_use_is_one_clear_line(self) -> None:
        with socket.create_server((HOST, 0)) as taken:
            done = self.run("--port", str(taken.getsockname()[1]))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "another --port" in done.stderr

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chaos.proxy", "--host", HOST, *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
