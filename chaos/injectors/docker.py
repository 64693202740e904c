"""Breaks containers through the Docker SDK: kill, stop, restart, pause, and taking them off a network and back.

A container is known by its id and its start time. All that an inverse needs is plain data, read before the fault.
Docker takes kill and stop for manual: no restart policy starts the container again, only healing does. A paused
container neither ends nor answers: it must be unpaused before anything else is done with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import docker
import docker.errors
import msgspec
import requests
from docker.models.containers import Container

from chaos.injectors.attachment import Attachment
from harness.errors import EnvironmentProblem

_TIMEOUT_S: Final = 20.0
_NO_FIXED_ADDRESS: Final = "user configured subnets"


class DockerProblem(EnvironmentProblem):
    """The engine did not carry out the request."""


class NoSuchContainer(DockerProblem):
    """The container was removed."""


class Port(msgspec.Struct, frozen=True, order=True):
    """A published port: the container's port (6379/tcp), and the host's address and port for it."""

    container_port: str
    host: str
    host_port: str


class ContainerState(msgspec.Struct, frozen=True):
    """A container as the engine knows it. `started`: RFC 3339, new after each start. Ports only while it runs."""

    id: str
    name: str
    started: str
    running: bool
    paused: bool
    attachments: tuple[Attachment, ...] = ()
    ports: tuple[Port, ...] = ()
    dynamic_ports: tuple[str, ...] = ()  # the ports whose host port Docker chooses anew


class Docker:
    """One Docker engine, `url` "" for that of the environment. Every method raises DockerProblem when it fails."""

    def __init__(self, url: str = "", *, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        with _translated():
            self._client = (
                docker.DockerClient(base_url=url, timeout=int(timeout_s))
                if url
                else docker.from_env(timeout=int(timeout_s))
            )

    def close(self) -> None:
        """Close the connection to the engine."""
        self._client.close()

    def version(self) -> str:
        """The engine's version; fails when there is no engine."""
        with _translated():
            return str(self._client.version()["Version"])

    def state(self, container: str) -> ContainerState:
        """A container, by id or name. Raises NoSuchContainer."""
        with _translated():
            return _state(self._client.containers.get(container))

    def require_running(self, container: str) -> ContainerState:
        """A container that runs. Raises DockerProblem, NoSuchContainer."""
        state = self.state(container)
        if not state.running:
            raise DockerProblem(f"the container {state.name} does not run", hint="see `docker logs` of it")
        return state

    def project(self, project: str) -> dict[str, ContainerState]:
        """The containers of a compose project, by service; stopped ones too."""
        label = f"com.docker.compose.project={project}"
        with _translated():
            found = self._client.containers.list(all=True, filters={"label": label})
            return {each.labels["com.docker.compose.service"]: _state(each) for each in found}

    def kill(self, container: str) -> None:
        """SIGKILL. A container that does not run is no error."""
        if self._ready_to_end(container):
            with _translated():
                self._client.containers.get(container).kill()

    def stop(self, container: str, *, within_s: int) -> None:
        """SIGTERM, and SIGKILL after `within_s`. A container that does not run is no error."""
        if self._ready_to_end(container):
            with _translated():
                self._client.containers.get(container).stop(timeout=within_s)

    def restart(self, container: str, *, within_s: int) -> None:
        """Stop and start in one."""
        self._ready_to_end(container)
        with _translated():
            self._client.containers.get(container).restart(timeout=within_s)

    def start(self, container: str) -> None:
        """Start the container; one that runs is left as it is."""
        with _translated():
            self._client.containers.get(container).start()

    def pause(self, container: str) -> None:
        """Freeze all its processes: connections hang. Raises DockerProblem when it does not run."""
        if not self.state(container).paused:
            with _translated():
                self._client.containers.get(container).pause()

    def go_on(self, container: str) -> None:
        """Thaw it; one that is not paused is left as it is."""
        if self.state(container).paused:
            with _translated():
                self._client.containers.get(container).unpause()

    def attachments(self, container: str) -> tuple[Attachment, ...]:
        """Its places on its networks, one or more; to be kept before a disconnect.

        Raises DockerProblem when it has none, or when a reconnect could not give everything back.
        """
        state = self.require_running(container)
        if not state.attachments:
            raise DockerProblem(f"the container {state.name} is on no network", hint="see `docker inspect` of it")
        if state.dynamic_ports:
            ports = ", ".join(state.dynamic_ports)
            hint = "publish it at a fixed port: a new one would be given after the fault"
            raise DockerProblem(f"the container {state.name} publishes {ports} wherever it falls", hint=hint)
        return state.attachments

    def disconnect(self, container: str, place: Attachment) -> None:
        """Take it off that network. One that is off already is no error."""
        if self._place(container, place) is None:
            return
        with _translated():
            self._client.networks.get(place.network).disconnect(container, force=True)

    def reconnect(self, container: str, place: Attachment) -> None:
        """Put it back on the network under its aliases and links, and at its address where the network allows that
        (one with a subnet of the user's own); without that Docker chooses. One that is on it is left as it is."""
        if self._place(container, place) is not None:
            return
        try:
            self._connect(container, place)
        except DockerProblem as problem:
            if _NO_FIXED_ADDRESS not in problem.message:
                raise
            self._connect(container, msgspec.structs.replace(place, address="", address6=""))

    def _connect(self, container: str, place: Attachment) -> None:
        with _translated():
            self._client.networks.get(place.network).connect(
                container,
                aliases=list(place.aliases) or None,
                links=[(name, alias) for name, _, alias in (link.partition(":") for link in place.links)] or None,
                ipv4_address=place.address or None,
                ipv6_address=place.address6 or None,
            )

    def _place(self, container: str, place: Attachment) -> Attachment | None:
        return next((each for each in self.state(container).attachments if each.network == place.network), None)

    def _ready_to_end(self, container: str) -> bool:
        """Whether it runs; a paused one is let go on, or no signal would reach it."""
        state = self.state(container)
        if state.paused:
            self.go_on(container)
        return state.running


def _state(container: Container) -> ContainerState:
    attrs = container.attrs
    wanted = attrs["HostConfig"].get("PortBindings") or {}
    return ContainerState(
        id=str(attrs["Id"]),
        name=str(attrs["Name"]).removeprefix("/"),
        started=str(attrs["State"]["StartedAt"]),
        running=bool(attrs["State"]["Running"]),
        paused=bool(attrs["State"]["Paused"]),
        attachments=tuple(_attachments(attrs)),
        ports=tuple(sorted(_ports(attrs["NetworkSettings"].get("Ports") or {}))),
        dynamic_ports=tuple(
            sorted(port for port, hosts in wanted.items() if any(_is_dynamic(host) for host in hosts or ()))
        ),
    )


def _is_dynamic(host: dict[str, str]) -> bool:
    return host.get("HostPort", "") in {"", "0"}


def _attachments(attrs: dict[str, object]) -> Iterator[Attachment]:
    settings = msgspec.convert(attrs["NetworkSettings"], _NetworkSettings)
    own = str(attrs["Id"])[:12]  # Docker adds it by itself
    for name, endpoint in sorted((settings.networks or {}).items()):
        yield Attachment(
            network=endpoint.network,
            network_name=name,
            aliases=tuple(alias for alias in endpoint.aliases or () if alias != own),
            links=tuple(endpoint.links or ()),
            address=endpoint.address,
            address6=endpoint.address6,
        )


def _ports(found: dict[str, list[dict[str, str]] | None]) -> Iterator[Port]:
    for container_port, hosts in found.items():
        for host in hosts or ():
            yield Port(container_port, host["HostIp"], host["HostPort"])


class _Endpoint(msgspec.Struct, frozen=True):
    network: str = msgspec.field(name="NetworkID", default="")
    address: str = msgspec.field(name="IPAddress", default="")
    address6: str = msgspec.field(name="GlobalIPv6Address", default="")
    aliases: list[str] | None = msgspec.field(name="Aliases", default=None)
    links: list[str] | None = msgspec.field(name="Links", default=None)


class _NetworkSettings(msgspec.Struct, frozen=True):
    networks: dict[str, _Endpoint] | None = msgspec.field(name="Networks", default=None)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Within, the SDK's exceptions become ours."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NoSuchContainer(f"Docker knows nothing of it: {error.explanation or error}") from error
    except docker.errors.APIError as error:
        raise DockerProblem(f"Docker refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        hint = "start it, or use an experiment that needs no containers"
        raise DockerProblem(f"no Docker engine answers: {error}", hint=hint) from error
