from pathlib import Path

import pytest

from harness.record.verdict import Decision, Status
from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e


def test_confirmations_that_are_never_written_are_found(room: Path) -> None:
    out = room / "runs"
    done = rehearsals.run(
        room / "tmp", "rehearse", "smoke", "--no-chaos", "--plant-bug", "lost_ack", "--users", "60", "--out", str(out)
    )
    assert done.returncode == 4, done.stderr
    verdict = rehearsals.verdict(rehearsals.only_run(out))
    assert verdict.verdict is Decision.NOT_READY
    assert verdict.grade == "F"
    [lost] = [result for result in verdict.invariants if result.name == "no_lost_booking"]
    assert lost.status is Status.VIOLATED
    assert lost.violations[0].history
