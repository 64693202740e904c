"""Measures error budgets of SLOs over the sale: how much of each was used, and when it was gone.

The event is the window. Of all that was asked in it so many may be bad; when more are, the budget is gone, at the
instant at which it was known that one more was bad.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from harness.amounts import amount, in_full
from harness.record.verdict import Figure
from harness.scenario.openslo import ALL_STEPS, Slo
from harness.sli.examinations.figures import figure
from harness.sli.measured import Floats, Observations
from harness.sli.measures.funnel import not_ok_samples
from harness.sli.measures.latency import in_window
from harness.sli.measures.verbs import FUNCTIONS, verb_samples


def budgets(seen: Observations) -> Iterator[Figure]:
    """Two figures for each SLO of the scenario: the share of its error budget that was used, and when it was gone."""
    for slo in slos_of(seen):
        known_s, bad = _observed(slo, seen)
        allowed = (1 - slo.target) * len(bad)
        used = float(bad.sum()) / allowed if allowed else None
        yield figure(f"used/{slo.name}", f"{slo.name}: error budget used", used, "ratio", len(bad), _note(slo, bad))
        gone_s = _gone_s(known_s, bad, allowed)
        left = "" if gone_s is not None else "it lasted for the whole sale" if len(bad) else "nothing was asked"
        yield figure(f"gone_s/{slo.name}", f"{slo.name}: error budget gone at", gone_s, "s", len(bad), left)


def slos_of(seen: Observations) -> tuple[Slo, ...]:
    """The SLOs of the scenario."""
    return msgspec.convert(seen.record.run.scenario.get("slos", ()), tuple[Slo, ...])


def _observed(slo: Slo, seen: Observations) -> tuple[Floats, Floats]:
    """When each observation was known, and whether it was bad (1) or good (0)."""
    if slo.within_ms is None:
        requests = in_window(seen.requests, "" if slo.step == ALL_STEPS else slo.step)
        return requests["t_end_s"].to_numpy(), not_ok_samples(requests).value
    parts = [verb_samples(seen, step, slo.target) for step in (FUNCTIONS if slo.step == ALL_STEPS else [slo.step])]
    t_s, took_ms = (np.concatenate([getattr(part, name) for part in parts]) for name in ("t_s", "value"))
    return t_s + np.minimum(took_ms, slo.within_ms) / 1000, (took_ms > slo.within_ms).astype(np.float64)


def _gone_s(known_s: Floats, bad: Floats, allowed: float) -> float | None:
    """When more were known to be bad than are allowed in the whole sale; null: never."""
    order = np.argsort(known_s, kind="stable")
    over = np.flatnonzero(np.cumsum(bad[order]) > allowed + 1e-9)
    return float(known_s[order][over[0]]) if len(over) else None


def _note(slo: Slo, bad: Floats) -> str:
    good = "good" if slo.within_ms is None else f"within {in_full(slo.within_ms)} ms"
    asked = f"{in_full(slo.target, 'ratio')} of {slo.step.replace('_', ' ')} to be {good}"
    seen = f", {amount(1 - float(bad.mean()), 'ratio', [slo.target])} were" if len(bad) else ""
    return f"{asked}{seen}"
