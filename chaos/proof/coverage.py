"""What could have been broken on this platform, and which of it the run proved: component by component. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from chaos.specification.experiment import shipped
from chaos.specification.generic import GENERIC, name_of
from harness.record.schema import FaultRun, RunDocument
from harness.record.verdict import Coverage

_COMPOSE = "compose"


class _Own(msgspec.Struct, frozen=True):
    edges: dict[str, object] = {}
    parts: dict[str, object] = {}


class _Scenario(msgspec.Struct, frozen=True):
    platform: _Own | None = None


def coverage(run: RunDocument, faults: tuple[FaultRun, ...]) -> tuple[Coverage, ...]:
    """Each experiment that this platform could be put to, and what became of it; then the user's own experiments.

    Of an experiment that was carried out twice a run that proved it counts.
    On the booking system these are the experiments that come with gatecrash, on a platform of the user's own the
    generic ones for each edge and part.
    """
    platform = msgspec.convert(run.scenario, _Scenario).platform
    known = list(_shipped(run.stack) if platform is None else _generic(platform))
    names = {one.experiment for one in known}
    carried_out = {fault.experiment: fault for fault in faults}
    carried_out |= {fault.experiment: fault for fault in faults if fault.proven}
    own = [
        Coverage(fault.experiment, fault.component, fault.kind)
        for fault in carried_out.values()
        if fault.experiment not in names
    ]
    return tuple(_judged(one, carried_out.get(one.experiment)) for one in (*known, *own))


def _shipped(stack: str) -> Iterator[Coverage]:
    for one in shipped(containers=True):
        impossible = one.needs_containers and stack != _COMPOSE
        note = "needs a stack of containers: --stack compose" if impossible else ""
        yield Coverage(one.name, one.component, one.kind, note=note)


def _generic(platform: _Own) -> Iterator[Coverage]:
    for each in GENERIC.values():
        for place in platform.edges if each.on == "edge" else platform.parts:
            yield Coverage(name_of(each.name, place), place, each.kind)


def _judged(one: Coverage, fault: FaultRun | None) -> Coverage:
    if fault is None:
        return msgspec.structs.replace(one, note=one.note or "the scenario does not plan it")
    status = "proven" if fault.proven else "not_proven"
    return msgspec.structs.replace(one, status=status, note=fault.error)
