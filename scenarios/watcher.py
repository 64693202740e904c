"""Fans who left a hold alone look again: its seats must be back on the map in time. A probe of `no_late_expiry`."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.platform import Hold
from harness.scenario import Scenario

_SURELY_S: Final = 0.2  # after the last instant at which the seats may still be kept, or a map be so old
_LOOK_WITHIN_S: Final = 0.5  # of the run's end nobody begins to look


class MapWatch(msgspec.Struct, frozen=True):
    """When a fan who left a hold alone looks at the map again. `ends_s`: of the run, on the worker's clock."""

    late_max_s: float
    ends_s: float
    hold_ttl_s: float | None = None  # of a hold that does not say how long it lasts

    @classmethod
    def of(cls, scenario: Scenario, t0_s: float) -> MapWatch:
        """As the scenario's rules have it; `t0_s` is the release."""
        rules = scenario.platform.rules if scenario.platform else scenario.on_sale
        late_max_s = rules.hold_late_max_s + rules.map_late_max_s + _SURELY_S
        return cls(late_max_s, t0_s + scenario.duration_s, rules.hold_ttl_s)

    def pause_s(self, hold: Hold, held_s: float) -> float | None:
        """How long to wait after `held_s`, when the hold was told; null: nobody knows when it ends,
        or the run is over before."""
        ttl_s = self.hold_ttl_s if hold.ttl_s is None else hold.ttl_s
        if ttl_s is None:
            return None
        pause_s = ttl_s + self.late_max_s
        return pause_s if held_s + pause_s < self.ends_s - _LOOK_WITHIN_S else None
