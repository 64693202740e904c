"""When a fan who left a hold alone looks again."""

from __future__ import annotations

import pytest

from harness.platform import Hold
from harness.scenario import OnSale, Scenario
from scenarios.watcher import MapWatch

HOLD = Hold(hold_id="h", seats=("101-A-1",), ttl_s=3.0)
SCENARIO = Scenario(
    name="s", description="d", duration_s=11.0, on_sale=OnSale(hold_ttl_s=3.0, hold_late_max_s=1.0, map_late_max_s=0.5)
)


def test_the_look_comes_when_the_seats_must_be_back_and_a_fresh_map_must_show_it() -> None:
    pause_s = MapWatch.of(SCENARIO, 100.0).pause_s(HOLD, 102.0)
    assert pause_s is not None
    assert 3.0 + 1.0 + 0.5 < pause_s < 3.0 + 1.0 + 0.5 + 0.5


@pytest.mark.parametrize(("held_s", "looks"), [(105.0, True), (106.5, False), (111.0, False)])
def test_nobody_waits_for_it_beyond_the_end_of_the_run(held_s: float, looks: bool) -> None:
    assert (MapWatch.of(SCENARIO, 100.0).pause_s(HOLD, held_s) is not None) is looks
