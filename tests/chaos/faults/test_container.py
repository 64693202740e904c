"""Kill, pause and disconnect of containers: broken and undone through plain data, as a reaper does it. On a real
engine."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from chaos import faults
from chaos.faults import Inverse
from chaos.faults.container import StartContainer, ThawContainer
from chaos.faults.disconnect import Reattach
from chaos.faults.tools import ChangedHands, Gone, Tools
from chaos.injectors.docker import Docker, DockerProblem
from chaos.specification.fault import Disconnect, Kill, Pause
from tests.chaos.containers import Bench
from tests.chaos.servers import HOST, ping
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_docker


@dataclass
class Part:
    """As much of a stack's part as a fault on a container asks for."""

    container: str


@dataclass
class OneContainer:
    """The stack_control of a stack of one container."""

    id: str

    def process(self, name: str) -> Part:
        return {"valkey": Part(self.id)}[name]


def from_the_journal(inverse: Inverse) -> Inverse:
    """What somebody has who was not there."""
    return msgspec.json.decode(msgspec.json.encode(inverse), type=Inverse)


@pytest.fixture
def tools(contained: str) -> Tools:
    return Tools("", OneContainer(contained))  # type: ignore[arg-type] # the rest of a stack is not asked for


def broken(fault: Kill | Pause | Disconnect, tools: Tools) -> Inverse:
    inverse = faults.inverse_of(fault, "f", tools)
    assert faults.injector_of(fault, inverse) == "docker"
    assert faults.inject(fault, "f", inverse, tools) == {}
    return from_the_journal(inverse)


def test_a_killed_container_is_started_by_whoever_has_the_inverse(tools: Tools, port: int) -> None:
    inverse = broken(Kill(process="valkey"), tools)
    assert isinstance(inverse, StartContainer)
    wait_until(lambda: not ping((HOST, port)))
    for _ in range(2):
        inverse.undo(Tools())
    wait_until(lambda: ping((HOST, port)))


def test_a_paused_container_goes_on(tools: Tools, port: int) -> None:
    inverse = broken(Pause(process="valkey"), tools)
    assert isinstance(inverse, ThawContainer)
    assert not ping((HOST, port))
    for _ in range(2):
        inverse.undo(Tools())
    assert ping((HOST, port))


def test_a_container_that_was_started_anew_is_left_alone(tools: Tools, contained: str) -> None:
    inverse = broken(Pause(process="valkey"), tools)
    engine = Docker()
    engine.restart(contained, within_s=1)
    engine.pause(contained)
    with pytest.raises(ChangedHands):
        inverse.undo(Tools())
    assert engine.state(contained).paused
    engine.close()


def test_a_container_that_was_cut_off_is_put_back_as_it_was(tools: Tools, contained: str, port: int) -> None:
    engine = Docker()
    before = engine.state(contained)
    inverse = broken(Disconnect(process="valkey"), tools)
    assert isinstance(inverse, Reattach)
    assert not ping((HOST, port))
    assert (engine.state(contained).attachments, engine.state(contained).running) == ((), True)
    for _ in range(2):
        inverse.undo(Tools())
    wait_until(lambda: ping((HOST, port)))
    after = engine.state(contained)
    assert (after.started, after.ports) == (before.started, before.ports)
    assert [place.network for place in after.attachments] == [place.network for place in before.attachments]
    engine.close()


@pytest.mark.parametrize("fault", [Kill(process="valkey"), Pause(process="valkey"), Disconnect(process="valkey")])
def test_a_container_that_was_removed_took_its_fault_along(
    fault: Kill | Pause | Disconnect, tools: Tools, bench: Bench, contained: str
) -> None:
    inverse = broken(fault, tools)
    bench.remove(contained)
    with pytest.raises(Gone):
        inverse.undo(Tools())


def test_a_container_that_does_not_run_is_not_broken_further(tools: Tools) -> None:
    inverse = broken(Kill(process="valkey"), tools)
    with pytest.raises(DockerProblem, match="does not run"):
        faults.inverse_of(Kill(process="valkey"), "g", tools)
    inverse.undo(Tools())
