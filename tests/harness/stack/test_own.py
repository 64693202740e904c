"""A platform that exists: looked at in the agreed order, reached through edges, and no secret left behind."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib import request

import msgspec
import pytest

from harness.errors import InputError
from harness.processes.ports import free_ports
from harness.scenario import Edge, OwnPlatform
from harness.scenario.own_platform import Limits
from harness.stack.own import OwnStack, redact_logs
from tests.hostile_server import BEHAVIOURS, behaving
from tests.nginx import certificate

SECRET = "sk-live-0815-4711"


class Shop(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]
    status = 200
    redirects: dict[str, str]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["X-Load-Test"]))
        if self.path in self.redirects:
            self.send_response(302)
            self.send_header("Location", self.redirects[self.path])
        else:
            self.send_response(self.status if self.path.startswith("/onsale") else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@contextmanager
def shop(
    status: int = 200, tls: ssl.SSLContext | None = None, redirects: dict[str, str] | None = None
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    handler = type("Handler", (Shop,), {"seen": [], "status": status, "redirects": redirects or {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *args: None  # type: ignore[method-assign] # a client that trusts nobody hangs up
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/onsale", handler.seen
    finally:
        server.shutdown()
        server.server_close()


def wrong(message: str, *keys: str | int, hint: str = "") -> InputError:
    return InputError(message, file="mine.yaml", line=7, key=".".join(map(str, keys)), hint=hint)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def stack_of(room: Path, **section: Any) -> OwnStack:
    given = {"adapter": "shop.py:Shop", **section}
    return OwnStack(OwnPlatform(**given), room, room / "logs", error=wrong, seed=1)


def refused(stack: OwnStack) -> str:
    with pytest.raises(InputError) as caught:
        stack.__enter__()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_raises_nothing_and_knows_where_the_platform_is(room: Path) -> None:
    with shop() as (url, seen), stack_of(room, url=url, headers={"X-Load-Test": "let me in"}, people="a.csv") as stack:
        assert seen == [("/onsale", "let me in")]
        assert stack.processes == ()
        assert stack.addresses.booking == url
        assert stack.addresses.own is not None
        assert stack.addresses.own.adapter == f"{room}/shop.py:Shop"
        assert stack.addresses.own.people == f"{room}/a.csv"


def test_what_the_preparation_says_is_where_it_looks(room: Path) -> None:
    with shop() as (url, seen):
        with stack_of(room, url="http://127.0.0.1:1/", prepare=f"echo url={url}/9; echo settings.item=9") as stack:
            assert stack.addresses.booking == f"{url}/9"
            assert stack.addresses.own is not None
            assert stack.addresses.own.settings == {"item": 9}
        assert seen == [("/onsale/9", None)]


def test_hosts_come_first_and_nothing_is_asked_or_prepared(room: Path) -> None:
    with shop() as (url, seen):
        for section in (
            {"url": "http://shop.example/"},
            {"url": url, "metrics": {"web": {"url": "http://metrics.example/"}}},
            {"url": url, "edges": {"db": {"listen": "127.0.0.1:9", "upstream": "db.example:5432"}}},
            {"url": url, "hosts": ["queue.example"]},
        ):
            platform = {"adapter": "a.py:A", "secrets": {"token": "NOT_SET_0815"}, "prepare": "touch done", **section}
            stack = OwnStack(msgspec.convert(platform, OwnPlatform), room, room / "logs", error=wrong)
            assert ".example' is not on this machine and not allowed" in refused(stack)
        assert seen == []
        assert not (room / "done").exists()


def test_then_the_variables_of_the_environment(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYSHOP_TOKEN", raising=False)
    monkeypatch.setenv("EMPTY", "")
    with shop() as (url, seen):
        said = refused(stack_of(room, url=url, secrets={"token": "MYSHOP_TOKEN"}, prepare="touch done"))
        assert said == (
            "mine.yaml:7: platform.secrets.token: the environment variable MYSHOP_TOKEN is not set "
            "(export MYSHOP_TOKEN=…)"
        )
        assert "EMPTY is empty" in refused(stack_of(room, url=url, headers={"X-Load-Test": "env:EMPTY"}))
        assert seen == []
        assert not (room / "done").exists()


def test_then_the_preparation(room: Path) -> None:
    with shop() as (url, seen):
        said = refused(stack_of(room, url=url, prepare="echo no such event >&2; exit 1"))
        assert "platform.prepare: it exited with code 1: no such event" in said
        assert seen == []


def test_a_preparation_may_not_lead_to_a_host_that_is_not_allowed(room: Path) -> None:
    with shop() as (url, _):
        said = refused(stack_of(room, url=url, prepare="echo url=http://shop.example/"))
        assert "'shop.example' is not on this machine and not allowed" in said
        said = refused(stack_of(room, url=url, prepare="echo url=http://me:pw@127.0.0.1/"))
        assert "its url has a user or a password in it" in said


@pytest.mark.parametrize(("status", "said"), [(404, "answered 404 Not Found to a GET"), (503, "answered 503 ")])
def test_a_wrong_status_is_one_line(room: Path, status: int, said: str) -> None:
    with shop(status) as (url, _):
        assert f"mine.yaml:7: platform.url: {url} {said}" in refused(stack_of(room, url=url))


def test_a_redirect_is_followed_to_its_page(room: Path) -> None:
    with shop(redirects={"/onsale": "/onsale/tickets"}) as (url, seen), stack_of(room, url=url):
        assert [path for path, _ in seen] == ["/onsale", "/onsale/tickets"]


@pytest.mark.parametrize(
    ("redirects", "said"),
    [
        ({"/onsale": "/gone"}, "/gone answered 404 Not Found to a GET"),
        ({"/onsale": "/onsale"}, "redirects more than 10 times"),
        ({"/onsale": "http://shop.example/"}, "its pages lead to shop.example: 'shop.example' is not on this machine"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_one_line(room: Path, redirects: dict[str, str], said: str) -> None:
    with shop(redirects=redirects) as (url, _):
        assert said in refused(stack_of(room, url=url))


def test_nobody_at_the_address_is_one_line(room: Path) -> None:
    (port,) = free_ports(1)
    said = refused(stack_of(room, url=f"http://127.0.0.1:{port}/"))
    assert said == (
        f"mine.yaml:7: platform.url: http://127.0.0.1:{port}/ cannot be reached: Connection refused "
        "(is the platform up, and is this its address, http or https?)"
    )


def test_one_that_never_answers_is_given_up_on(room: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        stack = stack_of(room, url=url, limits=Limits(first_byte_s=0.3))
        assert "did not answer within 0.3 s" in refused(stack)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_whatever_answers_it_is_looked_at_in_time(room: Path, behaviour: str) -> None:
    with behaving(BEHAVIOURS[behaviour]) as server:
        stack = stack_of(room, url=server.url, limits=Limits(first_byte_s=0.2))
        said: list[str] = []
        looking = Thread(target=lambda: said.append(entered(stack)), daemon=True)
        looking.start()
        looking.join(timeout=60)
        assert [len(line.splitlines()) for line in said] == [1], "it hangs"
        assert len(said[0]) < 2000


def entered(stack: OwnStack) -> str:
    """What it said."""
    try:
        with stack:
            return "well"
    except InputError as error:
        return str(error)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    return folder


def test_a_certificate_that_nobody_vouches_for_is_one_line_and_ca_file_mends_it(room: Path, signed: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed / "cert.pem", signed / "key.pem")
    with shop(tls=context) as (url, seen):
        said = refused(stack_of(room, url=url))
        assert "no TLS with 127.0.0.1" in said
        assert "self-signed certificate" in said
        assert "platform.ca_file" in said
        assert seen == []
        with stack_of(room, url=url, ca_file=str(signed / "cert.pem")):
            assert seen == [("/onsale", None)]


_REQUEST = (
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out {name}.csr -subj /CN=x "
    "-addext subjectAltName={san}"
)
_SIGN = "openssl x509 -req -in {name}.csr -signkey key.pem -days {days} -copy_extensions copy -out cert.pem"


def server_context(folder: Path, san: str = "IP:127.0.0.1", days: int = 2) -> ssl.SSLContext:
    for command in (_REQUEST, _SIGN):
        words = shlex.split(command.format(name="own", san=san, days=days))
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ({"days": -1}, "its certificate has expired (renew it"),
        ({"san": "DNS:elsewhere.test"}, "its certificate is for another name (write in platform.url the name"),
    ],
)
def test_a_certificate_that_no_browser_takes_is_one_line_before_anything_is_asked(
    room: Path, certificate: dict[str, Any], said: str
) -> None:
    with shop(tls=server_context(room, **certificate)) as (url, seen):
        assert said in refused(stack_of(room, url=url, ca_file=str(room / "cert.pem")))
        assert seen == []


def test_a_server_of_old_tls_or_of_none_is_one_line(room: Path) -> None:
    context = server_context(room)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is why nobody takes it
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with shop(tls=context) as (url, seen):
        said = refused(stack_of(room, url=url, ca_file=str(room / "cert.pem")))
        assert "it speaks no version of TLS from 1.2 on (browsers refuse older ones" in said
        assert seen == []
    with shop() as (url, _):
        said = refused(stack_of(room, url=url.replace("http:", "https:")))
        assert "what answers there speaks no TLS (is it an http:// address?)" in said


def test_an_edge_listens_carries_and_says_who_uses_it(room: Path) -> None:
    (listen,) = free_ports(1)
    with shop() as (url, _):
        upstream = url.removeprefix("http://").removesuffix("/onsale")
        edges = {"db": Edge(listen=f"127.0.0.1:{listen}", upstream=upstream)}
        with stack_of(room, url=url, edges=edges) as stack:
            assert stack.addresses.proxied == {"db": upstream}
            assert [process.name for process in stack.processes] == ["fault-proxy"]
            with pytest.raises(InputError) as caught:
                stack.require_used_edges()
            assert f"platform.edges.db: the shop does not use edge db: set its db port to {listen}" in str(caught.value)
            with request.urlopen(f"http://127.0.0.1:{listen}/onsale", timeout=5) as answer:
                assert answer.status == 200
            stack.require_used_edges()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listen), timeout=1).close()


def test_an_edge_whose_port_is_taken_is_one_line(room: Path) -> None:
    with shop() as (url, _), socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused(stack_of(room, url=url, edges={"db": Edge(listen=taken, upstream="127.0.0.1:1")}))
        assert f"platform.edges.db.listen: cannot listen at {taken}: Address already in use" in said


def test_a_secret_in_a_log_is_taken_out_when_it_ends(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSHOP_TOKEN", SECRET)
    with shop() as (url, _), stack_of(room, url=url, secrets={"token": "MYSHOP_TOKEN"}):
        (room / "logs" / "swarm.log").write_text(f"ValueError: {SECRET} was refused\n")
    assert (room / "logs" / "swarm.log").read_text() == "ValueError: *** was refused\n"


def test_logs_without_a_secret_are_left_alone(room: Path) -> None:
    log = room / "logs" / "a.log"
    log.write_bytes(b"\xff\x00 as it was")
    redact_logs(room / "logs", ("another",))
    assert log.read_bytes() == b"\xff\x00 as it was"


def test_a_secret_of_the_people_is_taken_out_as_well(room: Path) -> None:
    (room / "people.csv").write_text("login,card\nann,4242-0815\nbob,4242-4711\n")
    people = {"people": "people.csv", "secret_columns": ("card",)}
    with shop() as (url, _), stack_of(room, url=url, **people):
        (room / "logs" / "swarm.log").write_text("ann paid with 4242-0815\n")
    assert (room / "logs" / "swarm.log").read_text() == "ann paid with ***\n"


def test_it_can_be_made_fresh_once_more_and_may_then_be_elsewhere(room: Path) -> None:
    script = "n=$(cat times 2>/dev/null || echo 0); n=$((n + 1)); echo $n > times; echo url={url}/$n"
    with shop() as (url, seen), stack_of(room, url="http://127.0.0.1:1/", prepare=script.format(url=url)) as stack:
        assert stack.addresses.booking == f"{url}/1"
        stack.prepare_again()
        assert stack.addresses.booking == f"{url}/2"
        assert stack.addresses.own is not None
        assert stack.addresses.own.url == f"{url}/2"
        assert [path for path, _ in seen] == ["/onsale/1", "/onsale/2"]


def with_metrics(room: Path, url: str, page: str, told: list[str], **section: Any) -> OwnStack:
    given = {"adapter": "shop.py:Shop", "url": url, "metrics": {"web": {"url": page}}, **section}
    return OwnStack(msgspec.convert(given, OwnPlatform), room, room / "logs", error=wrong, announce=told.append)


def test_a_page_of_metrics_that_is_down_or_none_is_one_line(room: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}/metrics"
    with shop() as (url, _):
        for page, instead in ((nowhere, "did not answer"), (url.replace("onsale", "metrics"), "answered 404")):
            said = refused(with_metrics(room, url, page, []))
            assert said.startswith(f"mine.yaml:7: platform.metrics.web.url: {page} {instead} (bring it up")


def test_a_metric_that_no_page_shows_yet_is_said_and_no_more(room: Path) -> None:
    told: list[str] = []
    with shop() as (url, _):
        indicators = {"queue_depth_max": {"metric": "shop_waiting", "source": "web"}}
        with with_metrics(room, url, url, told, indicators=indicators):
            pass
    assert told == ["no page of metrics shows shop_waiting yet, which feeds queue_depth_max"]
