"""Decides from a canary's samples whether a fault took effect and went away. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from chaos.specification.experiment import CanarySpec
from chaos.specification.shares import looks_for
from harness.record.schema import CanarySample

_REFUSED: Final = frozenset({"refused", "reset"})
_SHOWN_BY: Final = {
    "refused": _REFUSED,
    "failing": _REFUSED,
    "unanswered": _REFUSED | {"hung"},
    "restarted": _REFUSED | {"hung", "restarted"},
}
"""Effect → the states of a sample that show it, where those are not called as it is."""
_REFUSED_SHARE_MIN: Final = 0.9
_IN_A_ROW_MAX: Final = 100
_LASTING: Final = ("refused", "hung", "unanswered", "stale")
"""Effects that every probe must see once the first one did."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary proves. Times in s after T0. `error`: why it proves nothing, or ""."""

    effective_s: float | None
    healed_s: float | None
    measured: dict[str, float]
    error: str = ""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The planned time of an experiment, and when it was begun, seen, ended and seen healed.

    Instants in s after T0; null: not yet. `late_max_s`: by how much later than planned it may begin or end;
    `tolerance_s`: by how much longer or shorter than `asked_s` it may be in force.
    """

    start_s: float
    asked_s: float
    late_max_s: float
    tolerance_s: float
    requested_s: float | None
    effective_s: float | None
    heal_requested_s: float | None
    healed_s: float | None


def not_as_asked(timing: Timing) -> str:
    """Why a fault that was seen is not as it was asked for; "" when it is, or when it was never seen completely."""
    begun_s, seen_s, ended_s, healed_s = (
        timing.requested_s,
        timing.effective_s,
        timing.heal_requested_s,
        timing.healed_s,
    )
    if begun_s is None or seen_s is None or ended_s is None or healed_s is None:
        return ""
    if begun_s - timing.start_s > timing.late_max_s:
        return f"injected {begun_s - timing.start_s:.1f} s later than planned (tolerance {timing.late_max_s:g} s)"
    for lasted_s, tolerance_s in ((healed_s - seen_s, timing.tolerance_s), (ended_s - begun_s, timing.late_max_s)):
        if abs(lasted_s - timing.asked_s) > tolerance_s:
            return f"in force for {lasted_s:.1f} s instead of {timing.asked_s:g} s (tolerance {tolerance_s:g} s)"
    return ""


def blind(
    spec: CanarySpec,
    samples: Sequence[CanarySample],
    injected_s: float | None,
    heal_requested_s: float | None,
    tolerance_s: float,
) -> str:
    """Why a canary has not seen the whole fault: it did not probe for longer than the tolerance; "" when it has.

    A canary that holds sockets watches all the time and has a sample only when it sees something.
    """
    if spec.effective == "dropped" or injected_s is None or heal_requested_s is None:
        return ""
    looks_s = sorted(sample.t_s for sample in samples if injected_s <= sample.t_s <= heal_requested_s)
    edges_s = [injected_s, *looks_s, heal_requested_s]
    longest_s = max(after - before for before, after in pairwise(edges_s))
    if longest_s <= tolerance_s:
        return ""
    return f"the canary ({spec.probe} at {spec.place}) was late: it did not look for {longest_s:.1f} s"


def is_effective(spec: CanarySpec, sample: CanarySample) -> bool:
    """Whether this sample shows the fault."""
    if spec.effective == "slow":
        return sample.state == "ok" and sample.latency_ms is not None and sample.latency_ms >= spec.slow_ms_min
    return sample.state in _SHOWN_BY.get(spec.effective, {spec.effective})


def is_healthy(spec: CanarySpec, sample: CanarySample) -> bool:
    """Whether this sample shows no trace of the fault."""
    if spec.effective == "restarted":
        return sample.state == "restarted"
    return sample.state == "ok" and not is_effective(spec, sample)


def prove(
    spec: CanarySpec, samples: Sequence[CanarySample], injected_s: float | None, heal_requested_s: float | None
) -> Proof:
    """Judge the samples of one canary, each stamped with when it was begun."""
    if injected_s is None:
        return Proof(effective_s=None, healed_s=None, measured={}, error="never injected")
    until_s = float("inf") if heal_requested_s is None else heal_requested_s
    during = [sample for sample in samples if injected_s <= sample.t_s and _ended_s(sample) <= until_s]
    showing = [sample for sample in during if is_effective(spec, sample)]
    effective_s = _effective_s(spec, showing)
    seen_healed_s = healed_s(spec, samples, until_s)
    return Proof(
        effective_s=effective_s,
        healed_s=seen_healed_s,
        measured=_measure(spec, during, showing),
        error=_doubt(spec, during, showing, seen_healed_s, heal_requested_s),
    )


def healed_s(spec: CanarySpec, samples: Sequence[CanarySample], asked_s: float) -> float | None:
    """When the fault was first seen gone after `asked_s`; null when it was not.

    When it hits only a share of the connections, one success shows nothing: this many in a row must succeed.
    """
    after = sorted((sample for sample in samples if sample.t_s >= asked_s), key=lambda sample: sample.t_s)
    if spec.effective != "failing":
        return min((_ended_s(sample) for sample in after if is_healthy(spec, sample)), default=None)
    needed, run = min(looks_for(spec.percent), _IN_A_ROW_MAX), 0
    for at, sample in enumerate(after):
        run = run + 1 if is_healthy(spec, sample) else 0
        if run == needed:
            return _ended_s(after[at - needed + 1])
    return None


def _effective_s(spec: CanarySpec, showing: Sequence[CanarySample]) -> float | None:
    """A slow answer shows the fault at the time of the request, a refusal at the time of the answer."""
    moments = (sample.t_s if spec.effective == "slow" else _ended_s(sample) for sample in showing)
    return min(moments, default=None)


def _measure(spec: CanarySpec, during: Sequence[CanarySample], showing: Sequence[CanarySample]) -> dict[str, float]:
    measured = {"probes": float(len(during))}
    if spec.effective == "slow":
        latencies = [sample.latency_ms for sample in showing if sample.latency_ms is not None]
        if latencies:
            measured |= {"latency_ms_p50": statistics.median(latencies), "latency_ms_max": max(latencies)}
    elif spec.effective == "dropped":
        measured = {"canary_sockets": float(spec.sockets), "canary_sockets_dropped": float(len(showing))}
    elif spec.effective == "restarted":
        back_s = min((_ended_s(sample) for sample in showing if sample.state == "restarted"), default=None)
        down_s = min((sample.t_s for sample in showing), default=None)
        if back_s is not None and down_s is not None:
            measured["back_after_s"] = round(back_s - down_s, 3)
    elif during:
        measured[f"{spec.effective}_share"] = round(len(showing) / len(during), 4)
        if spec.effective == "unanswered":
            measured["hung_share"] = round(sum(sample.state == "hung" for sample in during) / len(during), 4)
    return measured


def _doubt(
    spec: CanarySpec,
    during: Sequence[CanarySample],
    showing: Sequence[CanarySample],
    healed_s: float | None,
    heal_requested_s: float | None,
) -> str:
    place = f"{spec.probe} at {spec.place}"
    if not showing:
        saw = ", ".join(sorted({sample.state for sample in during})) or "nothing"
        return f"never effective: the canary ({place}) expected {spec.effective} and saw {saw}"
    first = min(sample.t_s for sample in showing)
    settled = [sample for sample in during if sample.t_s >= first]
    if spec.effective in _LASTING and len(showing) < _REFUSED_SHARE_MIN * len(settled):
        return f"only {len(showing)} of {len(settled)} probes were {spec.effective}: the canary ({place}) got through"
    if spec.effective == "failing" and (doubt := _other_share(spec, len(showing), len(during))):
        return f"{doubt}: the canary ({place})"
    if heal_requested_s is None or healed_s is None:
        return f"never seen healed: the canary ({place}) did not get through again"
    return ""


def _other_share(spec: CanarySpec, failed: int, looked: int) -> str:
    """Why the number of failures differs from `percent` by four standard deviations; "" when it does not."""
    ratio = spec.percent / 100
    apart = abs(failed - ratio * looked)
    if apart <= 4 * math.sqrt(looked * ratio * (1 - ratio)) + 1:
        return ""
    return f"{failed} of {looked} connections failed, which is not the {spec.percent:g} % that were asked for"


def _ended_s(sample: CanarySample) -> float:
    return round(sample.t_s + (sample.latency_ms or 0.0) / 1000, 4)
