"""kill and pause of a container: the engine does it, and anybody with the container's id can undo it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from chaos.faults.tools import ChangedHands, Gone

if TYPE_CHECKING:
    from chaos.injectors.docker import Docker


class StartContainer(msgspec.Struct, frozen=True, tag_field="inverse", tag="start_container"):
    """The inverse of a kill. `started`: when the killed run of the container had begun."""

    name: str
    container: str
    started: str

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"start the container of {self.name} ({self.container[:12]}) again"

    def undo(self, tools: object) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice: a container that runs is left as it is, whoever started it. Raises DockerProblem, Gone."""
        with engine_for(self.name) as engine:
            engine.start(self.container)


class ThawContainer(msgspec.Struct, frozen=True, tag_field="inverse", tag="thaw_container"):
    """The inverse of a pause."""

    name: str
    container: str
    started: str

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"let the container of {self.name} ({self.container[:12]}) go on"

    def undo(self, tools: object) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises DockerProblem, Gone, ChangedHands when the container was started anew since."""
        with engine_for(self.name) as engine:
            if engine.state(self.container).started != self.started:
                raise ChangedHands(f"the container of {self.name} was started anew since")
            engine.go_on(self.container)


def inverse_of_kill(name: str, container: str) -> StartContainer:
    """How to put it back. Raises DockerProblem when it does not run."""
    return StartContainer(name, *_run_of(name, container))


def inverse_of_pause(name: str, container: str) -> ThawContainer:
    """How to put it back. Raises DockerProblem when it does not run."""
    return ThawContainer(name, *_run_of(name, container))


def kill(inverse: StartContainer) -> dict[str, float]:
    """End the container that the inverse will start. Returns no measurements: the canary measures."""
    with engine_for(inverse.name) as engine:
        engine.kill(inverse.container)
    return {}


def pause(inverse: ThawContainer) -> dict[str, float]:
    """Freeze the container that the inverse will let go on. Returns no measurements: the canary measures."""
    with engine_for(inverse.name) as engine:
        engine.pause(inverse.container)
    return {}


def _run_of(name: str, container: str) -> tuple[str, str]:
    """The id of a container, which may be given by its name, and when it was started. Raises DockerProblem."""
    with engine_for(name) as engine:
        state = engine.require_running(container)
        return state.id, state.started


@contextlib.contextmanager
def engine_for(name: str) -> Iterator[Docker]:
    """The engine of the environment. Within the block, a removed container raises Gone: its fault is gone too."""
    from chaos.injectors.docker import Docker, NoSuchContainer  # slow, and most journals have no container

    engine = Docker()
    try:
        yield engine
    except NoSuchContainer as problem:
        raise Gone(f"the container of {name} was removed") from problem
    finally:
        engine.close()
