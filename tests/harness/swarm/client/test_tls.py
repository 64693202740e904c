"""TLS against a real server with a certificate of its own: verified, resumed by the same user, cut short, refused."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.swarm.client import tls
from harness.swarm.client.transport import GUARD, resolve
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.barrier import fire
from tests.harness.swarm.client.test_http import GET, NOW, POST, client_of, rows
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, Script, ScriptedServer, response, serving

_MAKE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem "
    "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of "localhost" in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        shlex.split(_MAKE),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, trusted by this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls.client_context.cache_clear()
    yield certificate
    tls.client_context.cache_clear()


@contextmanager
def secured(
    script: Script, certificate: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[tuple[ScriptedServer, ssl.SSLContext]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serving(script, context) as server:
        yield server, context


def answers(asked: Asked) -> list[bytes | Hang]:
    return [response(asked.target.encode(), 201 if asked.method == "POST" else 200)]


def test_calls_over_tls_speak_http_1_and_keep_their_connection(trusted: Path) -> None:
    with secured(answers, trusted) as (server, _):
        client = client_of(server.url)
        assert [client.call(GET, f"/{n}", NOW).body for n in range(3)] == [b"/0", b"/1", b"/2"]
        assert server.asked[0].socket.selected_alpn_protocol() == "http/1.1"
        client.close()
    assert server.connections == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_user_who_comes_back_resumes_and_another_one_does_not(trusted: Path, version: ssl.TLSVersion) -> None:
    with secured(answers, trusted, version) as (server, context):
        first = client_of(server.url)
        for _ in range(3):
            assert first.call(GET, "/", NOW).error == ""
            first.close()
        other = client_of(server.url)
        assert other.call(GET, "/", NOW).error == ""
        other.close()
        assert server.connections == 4
        assert context.session_stats()["hits"] == 2


def test_a_stranger_is_not_trusted_and_certainly_nothing_happened(certificate: Path) -> None:
    tls.client_context.cache_clear()
    recorder = Recorder(1)
    with secured(answers, certificate) as (server, _):
        answer = client_of(server.url, recorder).call(POST, "/holds", NOW, body=b"")
        assert server.asked == []
    assert (answer.outcome, answer.error) == ("fail", "tls")
    assert len(rows(recorder)) == 1


def test_a_server_without_tls_is_a_tls_error() -> None:
    with serving(lambda _: [b"HTTP/1.1 400 no\r\n\r\n"]) as server:
        answer = client_of(server.url.replace("http:", "https:"), connect_s=0.5).call(GET, "/", NOW)
    assert answer.error in ("tls", "reset", "timeout")
    assert answer.outcome == "fail"


def test_a_handshake_that_never_ends_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        answer = client_of(url, connect_s=0.2).call(GET, "/", NOW)
    assert (answer.outcome, answer.error) == ("fail", "timeout")


def test_silence_over_tls_is_a_timeout(trusted: Path) -> None:
    with secured(lambda _: [Hang()], trusted) as (server, _):
        answer = client_of(server.url, first_byte_s=0.15).call(GET, "/", NOW)
    assert (answer.outcome, answer.error) == ("unknown", "timeout")


def test_a_body_that_ends_without_the_closing_words_of_tls_was_cut(trusted: Path) -> None:
    def cut(asked: Asked) -> Iterator[bytes | Hang]:
        yield b"HTTP/1.1 200 OK\r\n\r\nhalf of"
        asked.socket.detach_and_cut()
        yield CLOSE

    with secured(cut, trusted) as (server, _):
        answer = client_of(server.url).call(GET, "/", NOW)
    assert (answer.status, answer.error) == (0, "reset")


def test_a_connection_that_was_closed_while_idle_is_replaced_before_an_unsafe_request(trusted: Path) -> None:
    def once(asked: Asked) -> list[bytes | Hang]:
        return [*answers(asked), CLOSE]

    with secured(once, trusted) as (server, _):
        client = client_of(server.url)
        client.call(POST, "/first", NOW, body=b"")
        assert server.wait_closed(1)
        answer = client.call(POST, "/second", NOW, body=b"")
        client.close()
    assert (answer.outcome, answer.error) == ("ok", "")


def test_a_prepared_shot_goes_out_over_tls_at_the_release(trusted: Path) -> None:
    recorder = Recorder(1)
    with secured(answers, trusted) as (server, _):
        client = client_of(server.url, recorder)
        fire([client.prepare(GET, "/queue")])
        assert recorder.requests_sent == 1
        assert client.call(GET, "/queue", NOW).body == b"/queue"
        client.close()
    assert len(rows(recorder)) == len(server.asked) == 1


def test_a_name_with_several_addresses_is_tried_until_one_listens() -> None:
    with serving(lambda _: [response(b"here")]) as server:
        port = server.url.rpartition(":")[2]
        origin = resolve(f"http://localhost:{port}")
        assert client_of(f"http://localhost:{port}").call(GET, "/", NOW).body == b"here"
    assert origin.port == int(port)


def test_ports_are_counted_towards_the_server_that_takes_the_most() -> None:
    with serving(lambda _: [response()]) as server, serving(lambda _: [response()]) as other:
        before = GUARD.ports_in_use
        clients = [client_of(url) for url in (server.url, server.url, server.url, other.url)]
        assert {client.call(GET, "/", NOW).error for client in clients} == {""}
        assert GUARD.ports_in_use == max(3, before)
        for client in clients:
            client.close()
        assert GUARD.ports_in_use == before
