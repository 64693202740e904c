"""Time to recover: from a fault's heal until an indicator is back within the interval of its control. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.paired.phases import AFTER, DURING
from harness.paired.rows import Halves
from harness.record.verdict import PairedPhase, PairedRecovery, PairedRow
from harness.sli import INDICATORS, IndicatorSpec
from harness.sli.resampling import Contrast, contrast
from harness.sli.samples import Samples
from harness.sli.statistics import ENOUGH

WINDOW_S: Final = 2.0
"""What is compared at a time."""
EVERY_S: Final = 0.5
_LOOK_BACK_S: Final = (0.0, 2.0, 4.0, 8.0, 16.0, 1e9)
_IN_A_ROW: Final = 3


def recoveries(rows: Sequence[PairedRow], halves: Halves, phases: Sequence[PairedPhase]) -> tuple[PairedRecovery, ...]:
    """The recovery of each indicator that a fault clearly made worse, during it or after it."""
    found = []
    for after in (phase for phase in phases if phase.phase == AFTER):
        for row in rows:
            spec = INDICATORS.get(row.name)
            if spec is not None and spec.samples is not None and _hurt(row, after.fault):
                found.append(_recovery(spec, spec.samples(halves.control), spec.samples(halves.treatment), after))
    return tuple(found)


def recovered_after_s(looks: Sequence[tuple[float, bool]], healed_s: float) -> float | None:
    """Seconds from the heal to the first of three looks in a row that were within, else null.

    `looks`: when each look began, and whether the treatment was within its control's interval.
    """
    run: list[float] = []
    for start_s, within in looks:
        run = [*run, start_s] if within else []
        if len(run) == _IN_A_ROW:
            return run[0] - healed_s
    return None


def look(
    control: Samples, treatment: Samples, better: str, healed_s: float, until_s: float
) -> list[tuple[float, bool]]:
    """Looks: stretches of 2 s that begin every half second, and whether the treatment was within the interval.

    When the control has too few observations in a stretch, its stretch is lengthened backwards. A stretch in which the
    treatment has fewer than `ENOUGH` observations is left out.
    """
    return list(_looks(control, treatment, better, healed_s, until_s))


def _looks(
    control: Samples, treatment: Samples, better: str, healed_s: float, until_s: float
) -> Iterator[tuple[float, bool]]:
    start_s = healed_s
    while start_s + WINDOW_S <= until_s + 1e-9:
        seen = treatment.between(start_s, start_s + WINDOW_S)
        found = _against_control(control, seen, start_s) if len(seen) >= ENOUGH else None
        if found is not None and found.treatment is not None:
            yield start_s, _not_beyond(found.treatment, found, better)
        start_s += EVERY_S


def _against_control(control: Samples, seen: Samples, start_s: float) -> Contrast | None:
    for back_s in _LOOK_BACK_S:
        found = contrast(control.between(start_s - back_s, start_s + WINDOW_S), seen, paired=False)
        if found.control_low is not None:
            return found
    return None


def _not_beyond(value: float, found: Contrast, better: str) -> bool:
    if found.control_low is None or found.control_high is None:
        return False
    return value <= found.control_high if better == "lower" else value >= found.control_low


def _hurt(row: PairedRow, fault: str) -> bool:
    return any(
        part.fault == fault and part.phase in (DURING, AFTER) and part.delta.effect == "worse" for part in row.phases
    )


def _recovery(spec: IndicatorSpec, control: Samples, treatment: Samples, after: PairedPhase) -> PairedRecovery:
    looks = look(control, treatment, spec.better, after.t_from_s, after.t_to_s)
    took_s = recovered_after_s(looks, after.t_from_s)
    status = "recovered" if took_s is not None else "not_recovered" if len(looks) >= _IN_A_ROW else "unknown"
    return PairedRecovery(
        fault=after.fault,
        indicator=spec.name,
        title=spec.title,
        status=status,
        recovery_s=took_s,
        watched_s=after.t_to_s - after.t_from_s,
    )
