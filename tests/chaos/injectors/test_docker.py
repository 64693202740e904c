"""The Docker injector on a real engine: a real Valkey in containers of an image made here, without a registry."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from chaos.injectors.docker import Docker, DockerProblem, NoSuchContainer
from tests.chaos.containers import Bench
from tests.chaos.servers import HOST, free_port, ping
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_docker


@pytest.fixture
def injector(engine: object) -> Iterator[Docker]:
    made = Docker()
    yield made
    made.close()


def say(port: int, *words: str) -> bytes:
    text = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.create_connection((HOST, port), 2) as link:
        link.sendall(text.encode())
        return link.recv(64)


def refuses(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return True
    return False


def hangs(port: int) -> bool:
    """A server that is there and says nothing."""
    try:
        with socket.create_connection((HOST, port), 1) as link:
            link.sendall(b"PING\r\n")
            link.settimeout(0.3)
            return link.recv(16) == b"never"
    except TimeoutError:
        return True
    except OSError:
        return False


def test_a_kill_loses_what_was_in_memory_and_a_start_brings_it_back_empty(
    injector: Docker, contained: str, port: int
) -> None:
    say(port, "SET", "seat", "fan")
    before = injector.state(contained)
    injector.kill(contained)
    injector.kill(contained)
    wait_until(lambda: not injector.state(contained).running)
    wait_until(lambda: refuses(port))
    injector.start(contained)
    injector.start(contained)
    wait_until(lambda: ping((HOST, port)))
    after = injector.state(contained)
    assert say(port, "GET", "seat") == b"$-1\r\n"
    assert after.ports == before.ports
    assert after.started != before.started


def test_a_paused_container_hangs_and_goes_on_with_its_memory(injector: Docker, contained: str, port: int) -> None:
    say(port, "SET", "seat", "fan")
    injector.pause(contained)
    injector.pause(contained)
    assert injector.state(contained).paused
    assert hangs(port)
    injector.go_on(contained)
    injector.go_on(contained)
    assert say(port, "GET", "seat") == b"$3\r\nfan\r\n"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_paused_container_can_be_ended(injector: Docker, contained: str, port: int, how: str) -> None:
    injector.pause(contained)
    injector.kill(contained) if how == "kill" else injector.stop(contained, within_s=5)
    wait_until(lambda: not injector.state(contained).running)
    assert not injector.state(contained).paused


def test_a_restart_is_another_start_of_the_same_container(injector: Docker, contained: str, port: int) -> None:
    before = injector.state(contained)
    injector.restart(contained, within_s=5)
    wait_until(lambda: ping((HOST, port)))
    after = injector.state(contained)
    assert (after.id, after.ports) == (before.id, before.ports)
    assert after.started != before.started


def test_a_container_comes_back_to_its_network_as_it_was(injector: Docker, bench: Bench, port: int) -> None:
    """Aliases, address and published ports; twice, for undoing twice must be safe."""
    network = bench.network(subnet="10.231.17.0/24")
    valkey = bench.container(network, port, aliases=("redis", "cache"), address="10.231.17.77")
    wait_until(lambda: ping((HOST, port)))
    before = injector.state(valkey)
    (place,) = injector.attachments(valkey)
    assert (place.aliases, place.address) == (("redis", "cache"), "10.231.17.77")
    injector.disconnect(valkey, place)
    injector.disconnect(valkey, place)
    assert injector.state(valkey).attachments == ()
    assert not ping((HOST, port))
    bench.container(network, free_port())  # takes the lowest address that is free
    injector.reconnect(valkey, place)
    injector.reconnect(valkey, place)
    wait_until(lambda: ping((HOST, port)))
    after = injector.state(valkey)
    assert after.attachments == before.attachments
    assert after.ports == before.ports


def test_where_docker_chooses_the_addresses_the_names_come_back(injector: Docker, bench: Bench, port: int) -> None:
    network = bench.network()
    valkey = bench.container(network, port, aliases=("redis",))
    (place,) = injector.attachments(valkey)
    injector.disconnect(valkey, place)
    injector.reconnect(valkey, place)
    wait_until(lambda: ping((HOST, port)))
    assert [again.aliases for again in injector.attachments(valkey)] == [("redis",)]


def test_a_container_whose_port_would_change_is_left_alone(injector: Docker, bench: Bench) -> None:
    network = bench.network()
    valkey = bench.container(network, None)
    with pytest.raises(DockerProblem, match="6379/tcp wherever it falls"):
        injector.attachments(valkey)
    assert len(injector.state(valkey).attachments) == 1


def test_what_is_not_there_is_one_clear_error(injector: Docker, contained: str) -> None:
    with pytest.raises(NoSuchContainer):
        injector.state("no-such-container")
    (place,) = injector.attachments(contained)
    injector.disconnect(contained, place)
    with pytest.raises(DockerProblem, match="is on no network"):
        injector.attachments(contained)
    injector.kill(contained)
    wait_until(lambda: not injector.state(contained).running)
    with pytest.raises(DockerProblem):
        injector.pause(contained)


def test_no_engine_is_one_clear_error() -> None:
    with pytest.raises(DockerProblem, match="no Docker engine answers") as caught:
        Docker(f"tcp://{HOST}:{free_port()}").version()
    assert "\n" not in caught.value.message
