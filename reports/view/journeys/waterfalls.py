"""A few requests span by span, and the hops of traced steps, ready to print: one colour for each hop in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.record.schema import Struct, TraceSummary
from harness.record.verdict import Cause, Hop, Verdict, Waterfall, WaterfallBar
from reports import text
from reports.view import words

_WORTH_SAYING: Final = 0.005
_HOPS_SAID: Final = 3


class BarView(Struct, frozen=True):
    """One span: its hop and name in words, and its place in the track in percent."""

    hop: str
    name: str
    time: str
    left_percent: float
    width_percent: float
    indent: int
    colour: str
    failed: bool


class WaterfallView(Struct, frozen=True):
    """One request. `says`: in sentences, what is seen. `anchor`: its id in the page."""

    anchor: str
    title: str
    says: str
    actor: str
    bars: tuple[BarView, ...]
    more: str


def colours_of(verdict: Verdict) -> Mapping[str, str]:
    """Hop → the CSS variable of its colour."""
    bars = (bar.hop for fall in verdict.waterfalls for bar in fall.bars)
    names = dict.fromkeys([*(hop.name for step in verdict.hops for hop in step.hops), *bars])
    return {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}


COLOURS: Final = ("waiting", "ticket", "unknown", "fail", "holding", "fault", "ok", "p99", "choosing")


def waterfalls(verdict: Verdict) -> tuple[WaterfallView, ...]:
    """In the order of the verdict."""
    colours = colours_of(verdict)
    return tuple(_view(number, fall, colours) for number, fall in enumerate(verdict.waterfalls, 1))


def anchor_of(number: int) -> str:
    """The id in the page of the waterfall with this number, from 1 on."""
    return f"request-{number}"


def linked(verdict: Verdict, cause: Cause | None) -> str:
    """The id of the request that shows this cause: one that met its fault, or of the step that missed most, or ""."""
    if cause is None:
        return ""
    steps = [part.name for part in sorted(cause.parts, key=lambda part: -part.count) if part.by == "step"]
    for number, fall in enumerate(verdict.waterfalls, 1):
        if fall.why == "fault" and fall.of == cause.phase:
            return anchor_of(number)
    for step in steps:
        for number, fall in enumerate(verdict.waterfalls, 1):
            if fall.step == step:
                return anchor_of(number)
    return ""


def summary(traces: TraceSummary | None) -> str:
    """What was kept of the traces, in sentences; "" where nothing was traced."""
    if traces is None or not traces.traced:
        return ""
    lost = f" {text.count(traces.spans_lost)} spans found no room and are lost." if traces.spans_lost else ""
    left_out = f", {text.count(traces.spans_left_out)} are left out" if traces.spans_left_out else ""
    traced, spans = text.counted(traces.traced, "journey"), text.counted(traces.spans_kept, "span")
    return (
        f"{traced} carried a traceparent, {text.count(traces.kept)} are kept: by chance, or for being slowest, failing"
        f" or meeting a fault. {spans} of them are in the record{left_out}.{lost}"
    )


def _view(number: int, fall: Waterfall, colours: Mapping[str, str]) -> WaterfallView:
    return WaterfallView(
        anchor=anchor_of(number),
        title=f"{words.step(fall.step)}: {_why(fall)}",
        says=_says(fall),
        actor=fall.actor,
        bars=tuple(_bar(bar, fall.took_ms, colours) for bar in fall.bars),
        more=f"{text.counted(fall.left_out, 'shorter span')} not shown." if fall.left_out else "",
    )


def _why(fall: Waterfall) -> str:
    match fall.why:
        case "failed":
            return f"failed with {fall.of}"
        case "fault":
            return f"met {fall.of}"
        case _:
            return "among the slowest"


def _says(fall: Waterfall) -> str:
    who = f" by {fall.actor}" if fall.actor else ""
    spent = ", ".join(_spent(fall.hops))
    alone = " No span of the platform belongs to it." if len(fall.bars) == 1 and not fall.left_out else ""
    took = f"Sent{who} at {text.exactly_at(fall.t_s)}, ended {fall.ended} after {text.milliseconds(fall.took_ms)}"
    return f"{took}: {spent}.{alone}" if spent else f"{took}.{alone}"


def _spent(hops: Sequence[Hop]) -> Iterable[str]:
    for hop in hops[:_HOPS_SAID]:
        if hop.share >= _WORTH_SAYING:
            yield f"{text.milliseconds(hop.mean_ms)} in {hop.name}"


def _bar(bar: WaterfallBar, whole_ms: float, colours: Mapping[str, str]) -> BarView:
    left, width = (100 * bar.from_ms / whole_ms, 100 * bar.took_ms / whole_ms) if whole_ms else (0.0, 100.0)
    return BarView(
        hop=bar.hop,
        name="" if bar.depth == 0 else bar.name,
        time=text.milliseconds(bar.took_ms),
        left_percent=round(min(left, 99.5), 2),
        width_percent=round(max(width, 0.4), 2),
        indent=min(bar.depth, 8),
        colour=colours[bar.hop],
        failed=bar.failed,
    )
