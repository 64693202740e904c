"""What a gatecrash that was killed leaves on a Docker engine: taken down when it is surely an orphan, and only then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import msgspec
import pytest
import yaml

from harness.processes.identity import Identity
from harness.stack.compose.command import FILE, PROJECT_LABEL
from harness.stack.compose.leftovers import LABEL, find, sweep
from harness.stack.owner import StackOwner
from tests.chaos.containers import engine as an_engine
from tests.chaos.containers import valkey_image
from tests.e2e import rehearsals
from tests.waiting import wait_until

Raise = Callable[[str, "StackOwner | None"], None]
HERE = StackOwner.own()
IMAGES = "GATECRASH_TARGET_IMAGE"


def test_every_container_and_network_of_the_file_says_who_raised_it() -> None:
    document = yaml.safe_load(FILE.read_text())
    for name, part in (document["services"] | document["networks"]).items():
        assert part["labels"] == {LABEL: "${GATECRASH_OWNER:?}"}, name
    assert "volumes" not in document  # one that has a name would outlive the containers


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    with an_engine() as client:
        yield client


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> Iterator[str]:
    with valkey_image(engine) as name:
        yield name


@pytest.fixture
def raised(engine: docker.DockerClient, image: str) -> Iterator[Raise]:
    """Raises projects of a network, a container that runs, one that is paused and one that was never started."""
    made: list[str] = []

    def up(project: str, owner: StackOwner | None) -> None:
        made.append(project)
        labels = {PROJECT_LABEL: project}
        if owner is not None:
            labels[LABEL] = msgspec.json.encode(owner).decode()
        network = engine.networks.create(project, labels=labels)
        words = {"image": image, "command": ["/server"], "labels": labels, "network": network.name}
        engine.containers.run(**words, detach=True)
        engine.containers.run(**words, detach=True).pause()
        engine.containers.create(**words)

    yield up
    for project in made:
        for container in engine.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={project}"}):
            container.remove(force=True, v=True)
        for network in engine.networks.list(filters={"label": f"{PROJECT_LABEL}={project}"}):
            network.remove()


def parts_of(engine: docker.DockerClient, project: str) -> int:
    chosen = {"label": f"{PROJECT_LABEL}={project}"}
    return len(engine.containers.list(all=True, filters=chosen)) + len(engine.networks.list(filters=chosen))


@pytest.mark.needs_docker
def test_only_what_is_surely_an_orphan_is_taken_down(engine: docker.DockerClient, raised: Raise) -> None:
    pid = HERE.process.pid
    dead = msgspec.structs.replace(HERE, process=Identity(pid, f"{HERE.process.boot}:1"))
    elsewhere = msgspec.structs.replace(dead, namespaces="pid:[1]")
    others = {f"gatecrash-{pid}-00000{at}": owner for at, owner in enumerate((HERE, elsewhere, None))}
    orphan, foreign = f"gatecrash-{pid}-0000ff", f"gatecrash-{pid}-test"
    for project, owner in {**others, orphan: dead, foreign: dead}.items():
        raised(project, owner)
    left = {each.project: each for each in find(engine)}
    assert {orphan, *list(others)[1:]} <= left.keys()
    assert left.keys().isdisjoint({foreign, next(iter(others))})
    assert left[orphan].why == ""
    assert left[orphan].containers == 3
    said = {each.left.project: each for each in sweep(engine)}
    assert said[orphan].in_words.startswith(f"took down {orphan} (3 containers): process {pid}")
    assert all(said[project].in_words.startswith(f"left alone: {project}") for project in list(others)[1:])
    assert parts_of(engine, orphan) == 0
    assert [parts_of(engine, project) for project in (*others, foreign)] == [4, 4, 4, 4]
    assert orphan not in {each.project for each in find(engine)}


@pytest.mark.e2e
@pytest.mark.needs_docker
def test_the_next_stack_takes_down_what_a_killed_rehearsal_left(engine: docker.DockerClient, tmp_path: Path) -> None:
    if IMAGES not in os.environ:
        pytest.skip(f"no {IMAGES}: .ci/images/build makes the images")
    temporary = tmp_path / "tmp"
    rehearsal = ("rehearse", "smoke", "--users", "20", "--stack", "compose", "--out", str(tmp_path / "runs"))
    with begun(temporary, tmp_path / "rehearsal.log", *rehearsal) as (process, said):
        wait_until(lambda: "T+" in said(), within_s=240, what="the rehearsal's first second")
        process.kill()
    project = f"gatecrash-{process.pid}-"
    (left,) = (each for each in find(engine) if each.project.startswith(project))
    assert left.why == ""
    assert left.containers >= 9
    assert f"process {process.pid}, which raised it, was killed" in rehearsals.run(temporary, "doctor", "--json").stdout
    up = ("target", "up", "--stack", "compose", "--logs", str(tmp_path / "logs"))
    with begun(temporary, tmp_path / "up.log", *up) as (process, said):
        wait_until(lambda: f"took down {project}" in said(), within_s=120, what="the next stack's take-down")
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, said()
    assert parts_of(engine, left.project) == 0
    assert project not in rehearsals.run(temporary, "target", "down").stdout
    assert list(temporary.iterdir()) == []


@contextlib.contextmanager
def begun(temporary: Path, log: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """A command at work, and what it has said on stderr so far."""
    words, environment = rehearsals.command(*arguments), rehearsals.environment(temporary)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            words, env=environment, cwd=rehearsals.ROOT, stderr=stderr, stdout=subprocess.DEVNULL
        )
        try:
            yield process, log.read_text
        finally:
            process.kill()
            process.wait(30)
