"""Where the time of each traced step went, by hop."""

from __future__ import annotations

from collections.abc import Mapping

from harness.record.schema import Struct
from harness.record.verdict import StepHops, Verdict
from reports import text
from reports.view import words
from reports.view.journeys.waterfalls import colours_of


class HopBar(Struct, frozen=True):
    """One hop of a step: its part of the bar in percent, and its time."""

    name: str
    time: str
    share: str
    width_percent: float
    colour: str


class HopRow(Struct, frozen=True):
    """One step."""

    title: str
    traces: str
    p50: str
    slowest: str
    bars: tuple[HopBar, ...]
    label: str


def hop_rows(verdict: Verdict) -> tuple[HopRow, ...]:
    """The slowest step first."""
    colours = colours_of(verdict)
    return tuple(_row(step, colours) for step in verdict.hops)


def _row(step: StepHops, colours: Mapping[str, str]) -> HopRow:
    bars = tuple(
        HopBar(
            name=hop.name,
            time=text.milliseconds(hop.mean_ms),
            share=text.share(hop.share, 1.0),
            width_percent=round(100 * hop.share, 2),
            colour=colours[hop.name],
        )
        for hop in step.hops
        if hop.share > 0
    )
    label = ", ".join(f"{bar.name} {bar.time} ({bar.share})" for bar in bars)
    return HopRow(
        title=words.step(step.step),
        traces=text.count(step.traces),
        p50=text.milliseconds(step.p50_ms),
        slowest=text.milliseconds(step.max_ms),
        bars=bars,
        label=label,
    )
