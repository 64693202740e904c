"""When the sale was well again after a person healed a fault, on operations written by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from chaos.proof.runbook import runbook_result, well_again_s
from harness.record.schema import FaultRun, RunbookTimes
from harness.record.verdict import RunbookResult

BROKEN_S, HEALED_S = 6.0, 20.0


def operations(well_from_s: float, *, actor: str = "fan-000001", end_s: float = 30.0) -> pa.Table:
    """Ten a second; while the fault is in force, and until that time, all are unknown."""
    times = [at / 10 for at in range(int(end_s * 10))]
    outcomes = ["unknown" if BROKEN_S <= t_s < well_from_s else "ok" for t_s in times]
    return pa.table({"actor": [actor] * len(times), "t_invoke_s": times, "outcome": outcomes})


@pytest.mark.parametrize(("well_from_s", "found_s"), [(20.0, 20.0), (24.0, 23.9), (40.0, None)])
def test_well_again_is_when_operations_end_as_before(well_from_s: float, found_s: float | None) -> None:
    found = well_again_s(operations(well_from_s), BROKEN_S, HEALED_S)
    assert found == (None if found_s is None else pytest.approx(found_s, abs=0.11))


def test_a_sale_in_which_little_happens_is_not_well_again() -> None:
    table = operations(HEALED_S)
    few = [at for at, t_s in enumerate(table["t_invoke_s"].to_pylist()) if not HEALED_S <= t_s < 25 or at % 5 == 0]
    found = well_again_s(table.take(few), BROKEN_S, HEALED_S)
    assert found == pytest.approx(23.8, abs=0.2)


def test_bots_and_silence_show_nothing() -> None:
    assert well_again_s(operations(20.0, actor="bot-000001"), BROKEN_S, HEALED_S) is None
    assert well_again_s(operations(20.0, end_s=15.0), BROKEN_S, HEALED_S) is None
    assert well_again_s(operations(20.0), 0.0, HEALED_S) is None


def fault(**times: object) -> FaultRun:
    return FaultRun(
        experiment="redis-down", component="redis", kind="down", injector="toxiproxy", hypothesis="", runbook="",
        t_requested_s=BROKEN_S, t_effective_s=6.2, t_heal_requested_s=HEALED_S, t_healed_s=20.1, proven=True,
        runbook_times=RunbookTimes(60.0, **times) if times else None,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_times_are_told_after_the_alert() -> None:
    assert runbook_result(fault(), operations(20.0)) is None
    found = runbook_result(fault(acknowledged_s=8.2, mitigated_s=21.2, said="enabled it"), operations(20.0))
    assert found is not None
    assert found.said == "enabled it"
    assert found.sentence == "alert at T+6.2 s, acknowledged after 2 s, mitigated after 15 s, recovered after 13.9 s"


def test_what_did_not_happen_is_said() -> None:
    nothing = RunbookResult(6.2, None, None, None, "", 60.0)
    assert nothing.sentence == (
        "alert at T+6.2 s, never acknowledged, never mitigated, never recovered (the drill waited for 60 s)"
    )
    assert "never seen in force" in RunbookResult(None, None, None, None, "", 60.0).sentence
