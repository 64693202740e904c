"""Where the time of each traced step went, by hop."""

from __future__ import annotations

from typing import Final

from harness.record.schema import Struct
from harness.record.verdict import StepHops
from reports import text
from reports.view import words

_COLOURS: Final = ("waiting", "ticket", "unknown", "fail", "holding", "fault", "ok", "p99")


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


def hop_rows(steps: tuple[StepHops, ...]) -> tuple[HopRow, ...]:
    """The slowest step first; one hop has one colour in all rows."""
    names = dict.fromkeys(hop.name for step in steps for hop in step.hops)
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}
    return tuple(_row(step, colours) for step in steps)


def _row(step: StepHops, colours: dict[str, str]) -> HopRow:
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
