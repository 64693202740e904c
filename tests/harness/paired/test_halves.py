from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem, GatecrashError, InputError, Interrupted, NoVerdict
from harness.paired.halves import Half, require_pairable, run_both
from harness.record.paths import RunPaths
from harness.scenario import PlannedFault, Scenario

CALM = Scenario(name="calm", description="", duration_s=10.0)
STORMY = Scenario(
    name="stormy", description="", duration_s=10.0, faults=(PlannedFault(experiment="redis-down", start_s=2.0),)
)


class Halves:
    """Notes which half was carried out where; the control may fail."""

    def __init__(self, failure: GatecrashError | None = None) -> None:
        self.carried_out: list[tuple[str, Half]] = []
        self.failure = failure

    def __call__(self, paths: RunPaths, half: Half) -> None:
        self.carried_out.append((paths.run_id, half))
        if self.failure is not None and half is Half.CONTROL:
            raise self.failure


def paths_in(folder: Path) -> RunPaths:
    root = folder / "a-run"
    root.mkdir()
    return RunPaths(root=root)


def test_the_control_goes_first_into_a_directory_of_its_own(tmp_path: Path) -> None:
    halves, said = Halves(), list[str]()
    run_both(paths_in(tmp_path), halves, said.append)
    assert halves.carried_out == [("a-run/control", Half.CONTROL), ("a-run", Half.TREATMENT)]
    assert (tmp_path / "a-run" / "control").is_dir()
    assert said == []


def test_a_control_that_fails_is_said_and_the_treatment_runs(tmp_path: Path) -> None:
    halves, said = Halves(NoVerdict("nobody could be armed")), list[str]()
    run_both(paths_in(tmp_path), halves, said.append)
    assert [half for _, half in halves.carried_out] == [Half.CONTROL, Half.TREATMENT]
    assert "nobody could be armed" in said[0]


@pytest.mark.parametrize("failure", [Interrupted("stopped"), EnvironmentProblem("no port"), InputError("bad")])
def test_what_stops_the_treatment_as_well_stops_both(tmp_path: Path, failure: GatecrashError) -> None:
    halves = Halves(failure)
    with pytest.raises(type(failure)):
        run_both(paths_in(tmp_path), halves, print)
    assert len(halves.carried_out) == 1


def test_a_scenario_without_faults_and_workers_from_elsewhere_cannot_be_paired() -> None:
    require_pairable(STORMY)
    with pytest.raises(InputError, match="no fault to leave out"):
        require_pairable(CALM)
    with pytest.raises(InputError, match="leave after one run"):
        require_pairable(STORMY, remote_workers=2)
