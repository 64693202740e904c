"""The one table of deliberate differences: a real Toxiproxy 2.12, our server in strict mode, our server as it is.

Each row asks one question of a server and says what each of the three answers. A difference that is not in this table
is a fault; a row that no longer holds fails the suite, whichever side has changed.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.chaos.servers import HOST, ProxyServer, Upstream, connect, echo, receive
from tests.waiting import wait_until

UP = "127.0.0.1:9"  # nobody has to be there


@dataclass(frozen=True)
class Difference:
    """What `ask` gets from a real server, from ours with --strict, and from ours."""

    name: str
    why: str
    ask: Callable[[ProxyServer], object]
    real: object
    strict: object
    ours: object


def status(method: str, path: str, body: object = None) -> Callable[[ProxyServer], object]:
    def ask(server: ProxyServer) -> object:
        server.create("a", UP)
        return server.call(method, path, body).status_code

    return ask


def logger_key(server: ProxyServer) -> object:
    server.create("a", UP)
    return "Logger" in server.call("GET", "/proxies/a").json()


def populated_toxics(server: ProxyServer) -> object:
    entry = {"name": "a", "upstream": UP, "toxics": [{"type": "noop"}]}
    server.call("POST", "/populate", [entry])
    return len(server.call("GET", "/proxies/a/toxics").json())


def leased_toxic(server: ProxyServer) -> object:
    server.create("a", UP)
    return "lease_s" in server.call("POST", "/proxies/a/toxics", {"type": "noop", "lease_s": 60}).json()


def fate_after_a_timeout_is_removed(server: ProxyServer) -> object:
    """Of a connection on which nothing was sent while the toxic was in force."""
    upstream = Upstream(echo)
    try:
        with connect(server.create("a", upstream.address)) as link:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
            server.toxic("a", "timeout", "upstream", timeout=0)
            server.call("DELETE", "/proxies/a/toxics/timeout_upstream")
            link.settimeout(0.5)
            try:
                return "closed" if link.recv(1) == b"" else "data"
            except TimeoutError:
                return "open"
            except ConnectionResetError:
                return "closed"
    finally:
        upstream.close()


def overtakes_a_hanging_dial(server: ProxyServer) -> object:
    """Whether a second connection ever reaches the upstream before the first, whose handshake got lost there.

    A server that dials one after the other can never do it. One that does not may miss it in a try: the kernel repeats
    a lost handshake after 1 s and 3 s, and a busy machine may need as long for the second connection. After the first
    repetition there is more time.
    """
    return any(
        second_is_accepted_first(server, f"try-{number}", patience_s) for number, patience_s in enumerate((0, 1.2, 1.2))
    )


def second_is_accepted_first(server: ProxyServer, name: str, patience_s: float) -> bool:
    """One try. The upstream's queue is full when the first is dialled and has room when the second is.

    What is accepted tells the order of the dials: each handshake enters the queue when it is whole.
    """
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket())
        busy.settimeout(10)
        busy.bind((HOST, 0))
        busy.listen(0)
        port = busy.getsockname()[1]
        stack.enter_context(connect((HOST, port)))  # a queue of length 0 takes one
        address = server.create(name, f"{HOST}:{port}")
        stack.enter_context(connect(address)).sendall(b"1")
        wait_until(lambda: handshakes(server, port) > 0, what="the first dial")
        since_s = time.monotonic()
        wait_until(lambda: time.monotonic() >= since_s + patience_s)
        stack.enter_context(busy.accept()[0])
        stack.enter_context(connect(address)).sendall(b"2")
        reached, _ = busy.accept()
        stack.enter_context(reached)
        reached.settimeout(10)
        return reached.recv(1) == b"2"


def handshakes(server: ProxyServer, port: int) -> int:
    """How many of its connects to `port` have got no answer yet."""
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(each.status == "SYN_SENT" and bool(each.raddr) and each.raddr.port == port for each in found)


def refuses_slices_of_no_size(server: ProxyServer) -> object:
    server.create("a", UP)
    body = {"type": "slicer", "attributes": {"average_size": 0, "size_variation": 0}}
    return server.call("POST", "/proxies/a/toxics", body).status_code


def refuses_a_negative_rate(server: ProxyServer) -> object:
    server.create("a", UP)
    return server.call("POST", "/proxies/a/toxics", {"type": "bandwidth", "attributes": {"rate": -1}}).status_code


def words_for_a_wrong_type(server: ProxyServer) -> object:
    """Whether they name the types of a Go program."""
    return " Go " in server.call("POST", "/proxies", {"name": 1}).json()["error"]


def name_with_a_slash(server: ProxyServer) -> object:
    """Whether what was created under such a name can be had again, and so removed."""
    server.create("a", UP)
    server.call("POST", "/proxies/a/toxics", {"type": "noop", "name": "b/c"})
    return server.call("GET", "/proxies/a/toxics/b%2Fc").status_code


def empty_label(server: ProxyServer) -> object:
    return server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": "a..b:0"}).status_code


def foreign_host(server: ProxyServer) -> object:
    return server.call("GET", "/version", Host="evil.example:8474").status_code


def long_body(server: ProxyServer) -> object:
    """17 MB. One that refuses them may do so before it has read them all."""
    size = 17 * 1024 * 1024
    head = f"POST /populate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    with connect(server.api_address, 60) as link:
        with contextlib.suppress(ConnectionError):
            link.sendall(head.encode() + b"[".ljust(size - 1) + b"]")
        return int(receive(link, 12).split()[1])


def how_it_ends(link: socket.socket) -> str:
    try:
        return "fin" if link.recv(1) == b"" else "data"
    except ConnectionResetError:
        return "rst"


def reset_of_an_older_connection(server: ProxyServer) -> object:
    """How reset_peer ends a connection that was open before it came."""
    upstream = Upstream(echo)
    try:
        with connect(server.create("a", upstream.address)) as link:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
            server.toxic("a", "reset_peer")
            link.sendall(b"x")
            return how_it_ends(link)
    finally:
        upstream.close()


def reset_that_hits_nobody(server: ProxyServer) -> object:
    """How a connection ends whose upstream hangs up, with a reset_peer of toxicity 0."""
    upstream = Upstream(lambda link: link.sendall(link.recv(1)))
    try:
        address = server.create("a", upstream.address)
        server.toxic("a", "reset_peer", toxicity=0.0)
        with connect(address) as link:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
            return how_it_ends(link)
    finally:
        upstream.close()


def refused_change(server: ProxyServer) -> object:
    """The latency after a change that was refused because of another attribute."""
    server.create("a", UP)
    server.toxic("a", "latency", latency=5)
    change = {"attributes": {"latency": 7, "jitter": "much"}}
    assert server.call("PATCH", "/proxies/a/toxics/latency_downstream", change).status_code == 400
    return server.call("GET", "/proxies/a/toxics").json()[0]["attributes"]["latency"]


def refuses_a_negative_variation(server: ProxyServer) -> object:
    server.create("a", UP)
    body = {"type": "slicer", "attributes": {"average_size": 5, "size_variation": -1}}
    return server.call("POST", "/proxies/a/toxics", body).status_code


def metrics(server: ProxyServer) -> object:
    return server.call("GET", "/metrics").status_code


DIFFERENCES = (
    Difference("a proxy has a key Logger", "an accident of the Go server: no client needs it", logger_key,
               real=True, strict=False, ours=False),
    Difference("a slicer of size 0", "the Go server would spin for ever on the first chunk", refuses_slices_of_no_size,
               real=200, strict=400, ours=400),
    Difference("a negative rate", "it has no meaning", refuses_a_negative_rate, real=200, strict=400, ours=400),
    Difference("a negative size_variation", "it has no meaning", refuses_a_negative_variation,
               real=200, strict=400, ours=400),
    Difference("a refused change of a toxic", "what was refused changes nothing", refused_change,
               real=7, strict=5, ours=5),
    Difference("reset_peer and a connection that was open before", "a fault hits what is there",
               reset_of_an_older_connection, real="fin", strict="rst", ours="rst"),
    Difference("reset_peer of toxicity 0", "what hits nobody resets nobody", reset_that_hits_nobody,
               real="rst", strict="fin", ours="fin"),
    Difference("a foreign Host", "a page in a browser must not reach the API by a name of its own", foreign_host,
               real=200, strict=403, ours=403),
    Difference("a body above 16 MiB", "memory is bounded", long_body, real=201, strict=413, ours=413),
    Difference("a host name with an empty label",
               "no machine can look it up: a client that tries again after a 500 would for ever", empty_label,
               real=500, strict=500, ours=400),
    Difference("the words after `bad request body:`", "only a Go program knows Go's types", words_for_a_wrong_type,
               real=True, strict=False, ours=False),
    Difference("a slash in a name", "what can be created can be removed", name_with_a_slash,
               real=404, strict=200, ours=200),
    Difference("a dial that hangs", "one black-holed upstream must not stall every new connection",
               overtakes_a_hanging_dial, real=False, strict=True, ours=True),
    Difference("toxics in populate", "a stack begins with its faults in place", populated_toxics,
               real=0, strict=0, ours=1),
    Difference("a lease per toxic", "a fault must not outlive its keeper", leased_toxic,
               real=False, strict=False, ours=True),
    Difference("the list of connections", "to see what a drop would hit", status("GET", "/proxies/a/connections"),
               real=404, strict=404, ours=200),
    Difference("a drop of k % of the connections", "a share of sockets that is exact, quiet ones included",
               status("POST", "/proxies/a/connections/drop", {"percent": 0}), real=404, strict=404, ours=200),
    Difference("metrics without an option", "the server is always observable", metrics, real=404, strict=404, ours=200),
    Difference("a removed timeout and a connection that lost nothing", "healing must not break what was well",
               fate_after_a_timeout_is_removed, real="closed", strict="closed", ours="open"),
)  # fmt: skip
