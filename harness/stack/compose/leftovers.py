"""Finds Compose projects of a gatecrash that was killed outright by their label, names them, takes them down.

Only what surely has no owner any more is touched: see `harness.stack.owner`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import docker
import docker.errors
import msgspec
import requests

from harness.errors import EnvironmentProblem
from harness.stack.compose.command import PROJECT_LABEL
from harness.stack.owner import Fate, StackOwner, fate, owner_of

LABEL: Final = "gatecrash.owner"
"""On every container and network of docker-compose.yml: an Owner as JSON."""

_NAME: Final = re.compile(r"gatecrash-\d+-[0-9a-f]{6}")
_GONE_WITHIN_S: Final = 60.0
_PAUSE_S: Final = 0.5
_TROUBLE: Final = (docker.errors.DockerException, requests.RequestException)


class Leftover(msgspec.Struct, frozen=True):
    """A project of gatecrash's that nobody is seen to keep. `why`: why it is not sure that it has no owner; "" when
    that is sure."""

    project: str
    pid: int
    containers: int
    why: str

    @property
    def in_words(self) -> str:
        """In one line: what it is, and what became of its owner."""
        what = f"{self.project} ({self.containers} containers)"
        return f"{what}: {self.why}" if self.why else f"{what}: process {self.pid}, which raised it, was killed"

    @property
    def by_hand(self) -> str:
        """How a person takes it down who knows that nobody needs it."""
        chosen = f"--filter label={PROJECT_LABEL}={self.project}"
        return f"docker rm -fv $(docker ps -aq {chosen}); docker network prune -f {chosen}"


class _Part(msgspec.Struct, frozen=True):
    """A container or a network."""

    id: str
    labels: dict[str, str]


class Swept(msgspec.Struct, frozen=True):
    """What became of one. `trouble`: what kept us from taking it down; "" when it is down, or was left alone."""

    left: Leftover
    trouble: str = ""

    @property
    def in_words(self) -> str:
        """In one line."""
        left = self.left
        if left.why:
            return f"left alone: {left.in_words}; if nobody needs it: {left.by_hand}"
        return f"could not take down {left.in_words}: {self.trouble}" if self.trouble else f"took down {left.in_words}"


def find(engine: docker.DockerClient) -> tuple[Leftover, ...]:
    """Every project of gatecrash's on this engine but those whose owner lives. Raises EnvironmentProblem."""
    here = StackOwner.own()
    try:
        containers, networks = _containers(engine), _networks(engine)
    except _TROUBLE as problem:
        raise EnvironmentProblem(
            f"the Docker engine does not say what it has: {_line(problem)}", hint="see `docker ps`"
        ) from problem
    projects = {part.labels[PROJECT_LABEL] for part in (*containers, *networks)}
    found = []
    for project in sorted(filter(_NAME.fullmatch, projects)):
        mine = [part for part in containers if part.labels[PROJECT_LABEL] == project]
        parts = mine + [part for part in networks if part.labels[PROJECT_LABEL] == project]
        what, why = fate([owner_of(part.labels.get(LABEL, "")) for part in parts], here)
        if what is not Fate.KEPT:
            found.append(Leftover(project, int(project.split("-")[1]), len(mine), why))
    return tuple(found)


def sweep(engine: docker.DockerClient) -> Iterator[Swept]:
    """Take down what is surely orphaned, one after the other, and leave the rest. Raises EnvironmentProblem."""
    for left in find(engine):
        yield Swept(left, "" if left.why else _take_down(engine, left.project))


def _take_down(engine: docker.DockerClient, project: str) -> str:
    """Remove its containers with their volumes, then its networks; again for what a Compose that outlived its
    gatecrash adds meanwhile. Returns "" or what was in the way."""
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    trouble = ""
    while time.monotonic() < deadline_s:
        try:
            containers, networks = _containers(engine, project), _networks(engine, project)
        except _TROUBLE as problem:
            return _line(problem)
        if not containers and not networks:
            return ""
        trouble = _removed(engine, containers, networks)
        if trouble:
            time.sleep(_PAUSE_S)
    return trouble or "more and more are started"


def _removed(engine: docker.DockerClient, containers: list[_Part], networks: list[_Part]) -> str:
    """Ask for each to be removed; returns the last refusal. What is gone already is none."""
    trouble = ""
    removals = [partial(engine.api.remove_container, one.id, v=True, force=True) for one in containers]
    removals += [partial(engine.api.remove_network, one.id) for one in networks]
    for remove in removals:
        try:
            remove()
        except docker.errors.NotFound:
            continue
        except _TROUBLE as problem:
            trouble = _line(problem)
    return trouble


def _containers(engine: docker.DockerClient, project: str = "") -> list[_Part]:
    found = engine.api.containers(all=True, filters={"label": _chosen(project)})
    return [_Part(one["Id"], one["Labels"]) for one in found]


def _networks(engine: docker.DockerClient, project: str = "") -> list[_Part]:
    found = engine.api.networks(filters={"label": _chosen(project)})
    return [_Part(one["Id"], one["Labels"]) for one in found]


def _chosen(project: str) -> str:
    return f"{PROJECT_LABEL}={project}" if project else PROJECT_LABEL


def _line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
