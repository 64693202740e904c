"""A drill: one experiment alone under the steady load of scenarios/drill.yaml. An experiment in, overrides out."""

from __future__ import annotations

from typing import Final

from harness.scenario.file import Override

STEADY_S: Final = 6.0
"""How long business is as usual before the fault."""
RECOVERY_S: Final = 14.0
"""How long it is watched after the heal: the longest time that a shipped experiment gives a platform to recover."""
_FANS_PER_S: Final = 8
_LAST_ARRIVAL_BEFORE_END_S: Final = 4.0


def overrides_for(experiment: str, length_s: float) -> list[Override]:
    """What the drill scenario needs for it: its fault, a length, and fans who keep coming until the end."""
    duration_s = STEADY_S + length_s + RECOVERY_S
    ramp_s = duration_s - _LAST_ARRIVAL_BEFORE_END_S
    values: dict[str, object] = {
        "faults": [{"experiment": experiment, "start_s": STEADY_S, "length_s": length_s}],
        "duration_s": duration_s,
        "load.fans": round(_FANS_PER_S * ramp_s),
        "load.arrivals": {"shape": "ramp", "ramp_s": ramp_s},
    }
    return [Override(key, value, f"drill {experiment}") for key, value in values.items()]
