"""What could have been broken, on the reference system and on a platform of one's own."""

from __future__ import annotations

from typing import Any

import msgspec

from chaos.proof.coverage import coverage
from chaos.specification.generic import GENERIC
from tests.builders import RunBuilder


def own(**section: Any) -> RunBuilder:
    builder = RunBuilder(faulty=False)
    scenario: dict[str, Any] = builder.run.scenario
    return builder.changed(scenario={**scenario, "platform": {"url": "http://127.0.0.1:8000", **section}})


def test_a_platform_of_ones_own_could_be_put_to_each_generic_fault_at_each_edge_and_part() -> None:
    builder = own(
        edges={"front": {"listen": "127.0.0.1:1", "upstream": "127.0.0.1:2"}},
        parts={"web": {"pid_file": "web.pid", "start": ["./start"]}, "db": {"container": "db"}},
    )
    found = coverage(builder.run, ())
    on_edges = [each for each in GENERIC.values() if each.on == "edge"]
    assert len(found) == len(on_edges) + 2 * (len(GENERIC) - len(on_edges))
    assert {one.component for one in found} == {"front", "web", "db"}
    assert {one.note for one in found} == {"the scenario does not plan it"}


def test_a_platform_without_edges_and_parts_can_be_put_to_nothing() -> None:
    assert coverage(own().run, ()) == ()


def test_the_reference_system_could_be_put_to_every_shipped_experiment() -> None:
    assert "redis-down" in {one.experiment for one in coverage(RunBuilder(faulty=False).run, ())}


def test_of_an_experiment_that_was_carried_out_twice_the_run_that_proved_it_counts() -> None:
    builder = RunBuilder()
    fault = builder.faults.faults[0]
    failed = msgspec.structs.replace(fault, proven=False, error="the canary saw nothing")
    for faults in ((fault, failed), (failed, fault)):
        [found] = [one for one in coverage(builder.run, faults) if one.experiment == fault.experiment]
        assert (found.status, found.note) == ("proven", "")
