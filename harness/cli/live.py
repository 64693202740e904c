"""Shows the progress of a rehearsal on stderr: a live panel in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Self

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.fault_change import FaultChange
from harness.shown import on_one_line
from harness.swarm.messaging.protocol import Progress

_PLAIN_EVERY_S: Final = 5.0
_BAR_WIDTH: Final = 30
_CLOCK_WIDTH: Final = 20  # so that the clock and the rates fit one line of 80 columns
_SHOWN_OUTCOMES: Final = (
    "join ok",
    "enter ok",
    "hold ok",
    "hold fail",
    "choose ok",
    "choose fail",
    "pay ok",
    "pay fail",
)


def observer(
    console: Console,
    duration_s: float,
    half: str = "",
    starts_s: Sequence[tuple[float, str]] = (),
    names: Mapping[str, str] | None = None,
) -> PlainObserver | LiveObserver:
    """A live view when stderr is a terminal, else a plain one. `half`: which half of a paired run this is.

    `starts_s`: when each fault is planned to start, with its name. `names`: a platform's own words for steps.
    """
    if console.is_terminal:
        return LiveObserver(console, duration_s, half, starts_s, names or {})
    return PlainObserver(duration_s, half, names or {})


class PlainObserver:
    """One line for each phase, each fault that starts or ends, and every five seconds of the run."""

    def __init__(self, duration_s: float, half: str = "", names: Mapping[str, str] | None = None) -> None:
        self._duration_s = duration_s
        self._names = names or {}
        self._prefix = f"{half} · " if half else ""
        self._began_s = time.monotonic()
        self._printed_s = -_PLAIN_EVERY_S
        self._changes: Sequence[FaultChange] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def phase(self, name: str, detail: str = "") -> None:
        """A new stretch of the rehearsal begins."""
        self._say(self._prefix + (f"{name}: {detail}" if detail else name))

    def progress(self, progress: Progress, changes: Sequence[FaultChange]) -> None:
        """One second of the run has passed."""
        for text in _news(self._changes, changes):
            self.note(text)
        self._changes = changes
        if progress.t_s - self._printed_s >= _PLAIN_EVERY_S:
            self._printed_s = progress.t_s
            steps = ", ".join(
                f"{_named(step, self._names)} {count}" for step, count in _by_count(progress.users_by_step)
            )
            clock = f"{self._prefix}T{progress.t_s:+.0f} s of {self._duration_s:.0f}"
            self._say(f"{clock}: {_rates(progress)}; users: {steps or 'none'}")

    def note(self, text: str) -> None:
        """Something that the user should see now."""
        self._say(text)

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began_s:6.1f} s] {on_one_line(text)}", file=sys.stderr, flush=True)


class LiveObserver:
    """A panel that is redrawn: phase, users by step, request rate, p99, operations, fault in force.

    The steps keep the order in which they were first seen, so that their rows do not jump about.
    """

    def __init__(
        self,
        console: Console,
        duration_s: float,
        half: str = "",
        starts_s: Sequence[tuple[float, str]] = (),
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._duration_s = duration_s
        self._names = names or {}
        self._starts_s = sorted(starts_s)
        self._steps: dict[str, None] = {}
        self._title = f"gatecrash · {half}" if half else "gatecrash"
        self._began_s = time.monotonic()
        self._phases: list[tuple[str, str, float]] = []
        self._progress: Progress | None = None
        self._changes: Sequence[FaultChange] = ()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._draw, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def phase(self, name: str, detail: str = "") -> None:
        """A new stretch of the rehearsal begins."""
        self._phases.append((name, detail, time.monotonic()))
        self._live.console.print(
            Text.assemble((f"{self._elapsed_s():6.1f} s  ", "dim"), (name, "bold"), "  ", on_one_line(detail))
        )

    def progress(self, progress: Progress, changes: Sequence[FaultChange]) -> None:
        """One second of the run has passed."""
        for text in _news(self._changes, changes):
            self.note(text)
        self._progress, self._changes = progress, changes
        self._steps |= dict.fromkeys(step for step, count in progress.users_by_step.items() if count)

    def note(self, text: str) -> None:
        """Something that the user should see now."""
        self._live.console.print(Text.assemble((f"{self._elapsed_s():6.1f} s  ", "dim"), on_one_line(text)))

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _draw(self) -> RenderableType:
        name, detail, since_s = self._phases[-1] if self._phases else ("starting", "", self._began_s)
        head = Text.assemble((name, "bold cyan"), "  ", detail, (f"  {time.monotonic() - since_s:.0f} s", "dim"))
        parts: list[RenderableType] = [head]
        if self._progress is not None:
            parts += self._run(self._progress)
        return Panel(
            Group(*parts),
            title=self._title,
            title_align="left",
            subtitle="Ctrl-C heals and stops",
            subtitle_align="right",
            border_style="red" if _in_force(self._changes) else "cyan",
        )

    def _run(self, progress: Progress) -> list[RenderableType]:
        clock = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._duration_s, completed=max(progress.t_s, 0.0), width=_CLOCK_WIDTH)
        clock.add_row(f"T{progress.t_s:+.0f} s", bar, f"{self._duration_s:.0f} s", "  ", _rates(progress))
        broken = _in_force(self._changes)
        fault = (
            Text(f"fault in force: {', '.join(broken)}", style="bold red")
            if broken
            else Text(f"no fault in force{self._next_fault(progress.t_s)}", style="dim")
        )
        outcomes = Columns(
            [
                Text(f"{_named(key, self._names)} {progress.outcomes[key]:,}", style="dim")
                for key in _SHOWN_OUTCOMES
                if key in progress.outcomes
            ],
            padding=(0, 3),
        )
        steps = [(_named(step, self._names), progress.users_by_step.get(step, 0)) for step in self._steps]
        return [clock, fault, _step_bars([row for row in steps if row[1]]), outcomes]

    def _next_fault(self, t_s: float) -> str:
        coming = next(((start_s, name) for start_s, name in self._starts_s if start_s > t_s), None)
        return "" if coming is None else f"; next: {coming[1]} at T{coming[0]:+g} s"


def _named(step: str, names: Mapping[str, str]) -> str:
    """A step, or how an operation ended, with the platform's own word for it: "hold ok" is "basket ok".

    Not every platform has a queue: its page is whatever the fans see first.
    """
    verb, space, outcome = step.partition(" ")
    word = "first page" if verb == "queue_page" else verb
    return f"{names.get(verb, word)}{space}{outcome}"


def _news(before: Sequence[FaultChange], now: Sequence[FaultChange]) -> list[str]:
    """What to say of the faults that came into force and those that were healed since the last second."""
    told = Counter((change.experiment, change.in_force) for change in before)
    news = []
    for change in now:
        if told[change.experiment, change.in_force]:
            told[change.experiment, change.in_force] -= 1
        else:
            what = "in force" if change.in_force else "healed"
            news.append(f"fault {what}: {change.experiment} (T{change.t_s:+.1f} s)")
    return news


def _in_force(changes: Sequence[FaultChange]) -> list[str]:
    """The experiments whose faults are in force."""
    balance = Counter[str]()
    for change in changes:
        balance[change.experiment] += 1 if change.in_force else -1
    return sorted(name for name, count in balance.items() if count > 0)


def _step_bars(steps: Sequence[tuple[str, int]]) -> Table:
    table = Table.grid(padding=(0, 1))
    most = max((count for _, count in steps), default=1)
    for step, count in steps:
        table.add_row(step, ProgressBar(total=most, completed=count, width=_BAR_WIDTH), f"{count:,}")
    return table


def _by_count(users_by_step: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(((step, count) for step, count in users_by_step.items() if count), key=lambda item: -item[1])


def _rates(progress: Progress) -> str:
    p99 = "–" if progress.p99_ms is None else f"{progress.p99_ms:,.0f} ms"
    lost = f", {progress.workers_lost} workers lost" if progress.workers_lost else ""
    return f"{progress.requests:,} requests, {progress.rps:,.0f}/s, p99 {p99}{lost}"
