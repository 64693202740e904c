"""What only the adaptive mode does: its rate follows the conflicts that bookings count, and makes up for no-shows."""

from __future__ import annotations

import pytest

from target.queue.rate_policy import OBSERVE_S
from tests.target.admission_line import MODES, Line, run
from tests.target.conftest import Valkey

RATE = "target_admission_rate_per_s"


def test_the_modes_are_those_of_the_setting() -> None:
    assert set(MODES) == {"fixed", "adaptive"}


@pytest.mark.parametrize(("mode", "low", "high"), [("adaptive", 5.0, 60.0), ("fixed", 30.0, 30.0)])
def test_the_rate_follows_the_conflicts_if_it_is_adaptive(valkey: Valkey, mode: str, low: float, high: float) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.observe(door, holds=0, conflicts=0)
        assert line.metric(RATE) == 30.0
        for _ in range(20):
            await line.observe(door, holds=30, conflicts=15)
        assert line.metric(RATE) == low
        assert line.metric("target_conflict_ratio") == pytest.approx(0.5, abs=0.05)
        for _ in range(60):
            await line.observe(door, holds=30, conflicts=0)
        assert line.metric(RATE) == high

    run(valkey, mode, test, admission_rate_per_s=30.0, admission_floor_per_s=5.0, admission_ceiling_per_s=60.0)


@pytest.mark.parametrize(("mode", "rate_per_s"), [("adaptive", 20.0), ("fixed", 10.0)])
def test_no_shows_are_made_up_for_if_the_rate_is_adaptive(
    valkey: Valkey, mode: str, rate_per_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("target.queue.waiting_room.LATE_S", 0.0)

    async def test(line: Line) -> None:
        door = line.worker()
        await line.observe(door, holds=0, conflicts=0)
        assert line.metric(RATE) == 10.0
        fans = [f"f{n}" for n in range(8)]
        await line.join(*fans)
        let_in = 0
        while let_in < 8:
            let_in += (await line.room.admit(rate_per_s=1e6, burst=8 - let_in)).count
        for fan in fans[:4]:
            await line.enter(fan)
        line.clock.now_s += OBSERVE_S
        await door.step()
        assert line.metric("target_show_ratio") == 0.5
        assert line.metric(RATE) == pytest.approx(rate_per_s)

    run(valkey, mode, test, admission_rate_per_s=10.0)
