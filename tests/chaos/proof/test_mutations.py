"""Every shipped experiment as a whole: READY where all that it expects was seen, NOT READY when one behaviour is gone.

What was seen is on paper here; `python -m tests.chaos.mutants` breaks the reference system itself, live.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from chaos.proof.expectations import judge
from chaos.specification import experiment
from chaos.specification.experiment import Experiment
from harness.audit import audit
from harness.judging.grade import grade
from harness.record.schema import FaultsDocument
from harness.record.verdict import FaultResult, Verdict
from harness.sli import measure
from tests.builders import RunBuilder
from tests.chaos.mutants import MUTATIONS
from tests.chaos.mutants.site.sitecustomize import MUTANTS
from tests.chaos.proof.test_expectations import Paper
from tests.chaos.proof.test_shipped_expectations import written


@dataclass
class Drill(Paper):
    """What a drill of `tried` saw, on paper."""

    tried: Experiment = field(kw_only=True)

    @property
    def faults(self) -> FaultsDocument:
        (run,) = super().faults.faults
        run = msgspec.structs.replace(run, experiment=self.tried.name, definition=msgspec.to_builtins(self.tried))
        return msgspec.structs.replace(super().faults, faults=(run,))


def drilled(name: str, *, without: str = "") -> FaultResult:
    """All that the experiment expects was seen, but for the expectation `without` and others of the same metric."""
    tried = experiment.load(name)
    drill = Drill(tried=tried)
    gone = {getattr(wanted, "metric", None) for wanted in tried.expectations if wanted.name == without} - {None}
    for wanted in tried.expectations:
        if wanted.name == without or getattr(wanted, "metric", None) not in gone:
            for table, rows in written(wanted, kept=wanted.name != without).rows.items():
                drill.rows[table] += rows
    (result,) = judge(drill)
    return result


def verdict_of(fault: FaultResult) -> Verdict:
    """Of a run without any other fault."""
    builder = RunBuilder()
    planned = [{"experiment": fault.experiment, "start_s": 5.0}]
    scenario = msgspec.to_builtins(builder.scenario(), str_keys=True)
    builder.changed(scenario={**scenario, "faults": planned})
    record = builder.record()
    return grade(record, measure(record), audit(record), (fault,))


def test_every_shipped_experiment_has_a_mutation_and_every_mutant_is_used() -> None:
    assert sorted(MUTATIONS) == experiment.names()
    assert {mutation.mutant for mutation in MUTATIONS.values()} == MUTANTS.keys()


@pytest.mark.parametrize("name", experiment.names())
def test_it_passes_when_all_is_as_it_expects_and_fails_without_one(name: str) -> None:
    clean, broken = drilled(name), drilled(name, without=MUTATIONS[name].missed)
    assert {one.status for one in clean.expectations} == {"met"}
    assert MUTATIONS[name].missed in [one.name for one in broken.expectations if one.status == "missed"]
    assert verdict_of(clean).verdict == "READY"
    assert verdict_of(broken).verdict == "NOT READY"
    assert verdict_of(broken).reason.startswith(f"{name}: expected ")
