"""The platform of docker-compose.yml: real images on a Docker engine, one project for each run.

What the project needs beyond the file lies in a private directory: secrets and settings as env files, the proxies as
Toxiproxy's configuration. Entering returns when every part answers; leaving, on whatever way, keeps what the services
wrote, and removes the containers, their volumes and the directory.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

import docker
import docker.errors
import msgspec
import requests
from docker.models.containers import Container

from harness.errors import EnvironmentProblem, InputError
from harness.processes.managed import last_line
from harness.processes.ports import HOST, require_free
from harness.record.collecting.spans import spans_file
from harness.record.schema import Anomaly, ProcessInfo
from harness.record.seal_key import stripped_environment
from harness.scenario import OnSale
from harness.stack import Addresses
from harness.stack.compose import leftovers
from harness.stack.compose.command import PROJECT_LABEL, SERVICE_LABEL, Compose, find_compose
from harness.stack.compose.ports import DIRECT, ONE_SHOT, TARGETS, ComposePorts
from harness.stack.health import answers
from harness.stack.owner import StackOwner
from harness.stack.raised import RaisedStack
from harness.stack.reference import workspace
from harness.stack.reference.opening import opens_at_s, target_settings


class ContainerPart:
    """`address`: host:port on this machine, past every fault proxy. A container carries its own command and settings:
    there is nothing else that one would need to start it again."""

    outside: Final = None
    command: Final[tuple[str, ...]] = ()
    env: Final[dict[str, str] | None] = None
    cwd: Final[Path | None] = None
    user: Final[str | None] = None

    def __init__(self, name: str, container: Container, address: str, log: Path) -> None:
        self.name = name
        self.address = address
        self.log = log
        self._container = container

    @property
    def container(self) -> str:
        """Its id."""
        return str(self._container.id)

    @property
    def pid(self) -> int:
        """Its main process, as the engine's host numbers it; 0 while it does not run."""
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"])

    @property
    def running(self) -> bool:
        """Whether it runs."""
        self._container.reload()
        return bool(self._container.attrs["State"]["Running"])

    def kill(self) -> None:
        """SIGKILL."""
        self._container.kill()

    def start_again(self) -> None:
        """Start it as it was made."""
        self._container.start()


_BUILT_WITHIN_S: Final = 1800.0  # images may have to be fetched or built first
_HEALTHY_WITHIN_S: Final = 90.0
_DOWN_WITHIN_S: Final = 60.0
_STOPPED_WITHIN_S: Final = 30.0
_SHARDS: Final = ("shard_0", "shard_1")
_TRACED_PROFILES: Final = frozenset({"observe", "traces"})
_SPANS: Final = "/data/spans.jsonl"  # in each container of the booking system


class ComposeStack(RaisedStack):
    """Raises docker-compose.yml. `logs` must exist; each service gets a file there when the stack goes down, and with
    `traced` a file of the spans that it kept, see `harness.record.collecting.spans`.

    Raises EnvironmentProblem when there is no engine, no Compose, or a part does not become healthy.
    """

    name = "compose"

    def __init__(
        self,
        on_sale: OnSale,
        logs: Path,
        *,
        bug: str = "",
        traced: bool = False,
        booking_port: int = 0,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_sale = on_sale
        self._logs = logs
        self._bug = bug
        self._traced = traced
        self._booking_port = booking_port
        self._announce = announce
        self._opens_at_s = 0.0
        self._project = f"gatecrash-{os.getpid()}-{secrets.token_hex(3)}"
        self._compose: Compose | None = None
        self._environment: dict[str, str] = {}
        self._engine: docker.DockerClient | None = None
        self._runtime: Path | None = None
        self._addresses: Addresses | None = None
        self._containers: dict[str, Container] = {}
        self._ports: ComposePorts | None = None
        self._reported: set[str] = set()
        self._password = secrets.token_hex(16)
        self._redis_password = secrets.token_hex(16)

    @property
    def processes(self) -> tuple[ProcessInfo, ...]:
        """The containers' main processes, as the engine's host numbers them."""
        return tuple(
            ProcessInfo(name=service, pid=int(container.attrs["State"]["Pid"]), address=str(container.name))
            for service, container in sorted(self._containers.items())
        )

    def process(self, name: str) -> ContainerPart:
        """The container of that service, to be killed or paused. Raises KeyError.

        Experiments name parts as the embedded stack does; a service of another name answers to that one too.
        """
        service = next((service for service, other in DIRECT.items() if other == name), name)
        if self._ports is None:
            raise KeyError(name)
        address = f"{HOST}:{self._ports.of(service)}"
        return ContainerPart(name, self._containers[service], address, self._logs / f"{service}.log")

    def postgres_dsn(self, server: str) -> str:
        """How the superuser reaches postgres-primary or postgres-replica past every fault proxy. Raises KeyError."""
        if self._ports is None or not server.startswith("postgres-"):
            raise KeyError(server)
        return f"postgresql://postgres:{self._password}@{HOST}:{self._ports.direct[server]}/postgres"

    def deaths(self) -> tuple[Anomaly, ...]:
        """Containers that ended with an error of their own since the last call; a kill or a stop is none."""
        found = []
        for service, container in self._containers.items():
            if service in self._reported:
                continue
            try:
                container.reload()
            except (docker.errors.DockerException, requests.RequestException) as problem:
                found.append(Anomaly(t_s=None, source=service, text=f"{service} cannot be asked for: {problem}"))
                self._reported.add(service)
                continue
            code = int(container.attrs["State"]["ExitCode"])
            if container.status == "exited" and code not in {0, 137, 143}:
                text = f"{service} died on its own: its container exited with code {code}"
                found.append(Anomaly(t_s=None, source=service, text=text, is_death=True))
                self._reported.add(service)
        return tuple(found)

    def __enter__(self) -> Self:
        if self._on_sale.codes:
            hint = "leave --stack out"
            raise InputError("access codes are for the embedded stack only", key="on_sale.codes", hint=hint)
        if self._booking_port:
            require_free(self._booking_port)
        self._engine = engine()
        self._compose = find_compose()
        self._runtime = workspace.create()
        with workspace.raising(self._runtime, self.__exit__):
            for swept in leftovers.sweep(self._engine):
                self._announce(swept.in_words)
            self._raise(self._runtime)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._environment:
            self._run("stop", "--timeout", "3", within_s=_STOPPED_WITHIN_S)  # so that the last words are said
            self._keep_logs()
            self._run("down", "--volumes", "--remove-orphans", "--timeout", "3", within_s=_DOWN_WITHIN_S)
        self._containers.clear()
        self._environment = {}
        if self._runtime is not None:
            workspace.remove(self._runtime)
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _raise(self, runtime: Path) -> None:
        ports = self._ports = ComposePorts.choose(self._booking_port)
        self._opens_at_s = opens_at_s(self._on_sale)
        settings = self._settings(ports)
        workspace.write_private(runtime / "target.env", _env_file(settings))
        replication = {"PRIMARY": "postgres-primary:5432", "UPSTREAM": f"toxiproxy:{ports.proxies['replication']}"}
        workspace.write_private(runtime / "postgres.env", _env_file({"PGPASSWORD": self._password, **replication}))
        workspace.write_private(runtime / "redis.env", _env_file({"REDISCLI_AUTH": self._redis_password}))
        (runtime / "toxiproxy.json").write_text(json.dumps(ports.proxy_documents()))
        (runtime / "toxiproxy.json").chmod(0o644)
        owner = msgspec.json.encode(StackOwner.own()).decode()
        runtime_variables = {"GATECRASH_RUNTIME": str(runtime), "GATECRASH_OWNER": owner}
        self._environment = {**stripped_environment(), **ports.variables(), **runtime_variables}
        version = "" if self._compose is None else self._compose.version
        self._announce(f"Compose {version} starts the containers, which may first have to be fetched or built")
        done = self._run("up", "--detach", "--quiet-pull", within_s=_BUILT_WITHIN_S)
        if done != 0:
            raise EnvironmentProblem(
                f"Compose could not start the platform: {last_line(self._log)}", hint=f"see {self._log}"
            )
        self._find_containers()
        self._wait_healthy(ports)
        addresses = ports.addresses(self._on_sale.event, settings["TARGET_ADMIN_TOKEN"])
        kept = self._on_sale.accessible_pairs > 0
        self._addresses = msgspec.structs.replace(addresses, opens_at_s=self._opens_at_s, keeps_accessible=kept)

    def _settings(self, ports: ComposePorts) -> dict[str, str]:
        def dsn(proxy: str) -> str:
            base = f"postgresql://postgres:{self._password}@toxiproxy:{ports.proxies[proxy]}"
            return " ".join(f"{base}/{shard}" for shard in _SHARDS)

        traces = _TRACED_PROFILES & set(os.environ.get("COMPOSE_PROFILES", "").split(","))
        return {
            "TARGET_LISTEN": "0.0.0.0:8000",
            "TARGET_REDIS_URL": f"redis://:{self._redis_password}@toxiproxy:{ports.proxies['redis']}/0",
            "TARGET_PRIMARY_DSN": dsn("postgres_primary"),
            "TARGET_REPLICA_DSN": dsn("postgres_replica"),
            "TARGET_PAYMENTS_URL": f"http://toxiproxy:{ports.proxies['payments']}",
            "TARGET_WEBHOOK_URL": "http://booking:8000/webhooks/payments",
            "TARGET_SECRET": secrets.token_hex(32),
            "TARGET_ADMIN_TOKEN": secrets.token_hex(16),
            "TARGET_WEBHOOK_SECRET": secrets.token_hex(32),
            "TARGET_LEDGER_PATH": "/data/ledger.sqlite",
            "TARGET_PARKING_PATH": "/data/parking",
            "TARGET_SPANS_PATH": _SPANS if self._traced else "",
            "TARGET_SPANS_URL": "http://traces:4318/v1/traces" if traces else "",
            **target_settings(self._on_sale, self._opens_at_s),
            "TARGET_BUG": self._bug,
        }

    def _find_containers(self) -> None:
        found = {each.labels[SERVICE_LABEL]: each for each in self._found()}
        self._containers = {service: each for service, each in found.items() if service not in ONE_SHOT}

    def _wait_healthy(self, ports: ComposePorts) -> None:
        """Every part of the booking system answers through its published port, and Docker says so of the rest."""
        deadline_s = time.monotonic() + _HEALTHY_WITHIN_S
        self._announce("waiting until every part is healthy")
        missing = {name: f"http://{HOST}:{port}/healthz" for name, port in ports.targets.items()}
        while missing:
            missing = {name: url for name, url in missing.items() if not answers(url)}
            if (deaths := self.deaths()) or time.monotonic() > deadline_s:
                what = "; ".join(death.text for death in deaths) or f"not healthy in time: {', '.join(missing)}"
                raise EnvironmentProblem(what, hint=f"see {self._logs}")
            time.sleep(0.1)

    @property
    def _log(self) -> Path:
        return self._logs / "compose.log"

    def _run(self, *arguments: str, within_s: float) -> int:
        """Run Compose on our project; returns its exit code."""
        if self._compose is None:
            raise RuntimeError("no Compose was looked for")
        return self._compose.run(
            arguments, project=self._project, environment=self._environment, log=self._log, within_s=within_s
        )

    def _keep_logs(self) -> None:
        """Copies the log and the spans of each service, one-shot ones included. A container that does not answer is
        left out; one that saw no traced journey has no spans."""
        for container in self._found():
            service = container.labels[SERVICE_LABEL]
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                (self._logs / f"{service}.log").write_bytes(container.logs(timestamps=True))
            if self._traced and service in TARGETS:
                with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                    spans_file(self._logs, service).write_bytes(_file_in(container, _SPANS))

    def _found(self) -> list[Container]:
        if self._engine is None:
            return []
        try:
            return self._engine.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={self._project}"})
        except (docker.errors.DockerException, requests.RequestException):
            return []


def _env_file(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _file_in(container: Container, path: str) -> bytes:
    """A file of a container, running or not. Raises docker.errors.DockerException."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        return b"" if file is None else file.read()


def engine() -> docker.DockerClient:
    """The Docker engine of the environment, to be closed. Raises EnvironmentProblem when none answers."""
    try:
        return docker.from_env(timeout=30)
    except (docker.errors.DockerException, requests.RequestException) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentProblem(
            f"no Docker engine answers: {reason}", hint="start it, or use the embedded stack"
        ) from error
