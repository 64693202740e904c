"""`gatecrash capacity` on a system whose bottleneck was set on purpose."""

import json
from pathlib import Path

import pytest

from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e


def test_a_slow_provider_is_named_as_what_limits(room: Path) -> None:
    done = rehearsals.run(
        room / "tmp", "capacity", "--rates", "5,10", "--lasting", "5", "--refine", "0",
        "--set", "on_sale.payment_time_ms=1500", "--out", str(room / "runs"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "does not carry 5 fans per second" in done.stdout
    assert "payments, in which pay spent " in done.stdout  # beside a machine that others keep busy, too
    [answer] = (room / "runs").glob("*-capacity/capacity.json")
    [step] = json.loads(answer.read_text())["steps"]
    assert (step["rate_per_s"], step["doubt"]) == (5.0, "")
    assert rehearsals.verdict(answer.parent / step["run_id"]).run_id == step["run_id"]
    assert list((room / "tmp").iterdir()) == []
