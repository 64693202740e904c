"""Writes the figures of `bench-results/holds.json` into `docs/contention.md`, between its two markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "contention.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
HEAD = (
    "| Seats wanted | Connections | Bare SET/s | Lua holds/s | of SET | WATCH holds/s | of SET | WATCH aborted | "
    "taken (Lua) | Lua p50/p99 | WATCH p50/p99 | server CPU µs per hold: SET, Lua, WATCH |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)
SEATS = {"own": "each its own", "hot": "the same few"}


def write(results: Path) -> Path:
    """The page with the table of these results in place of the old one."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(json.loads(results.read_text()))}\n{END}{after}")
    return PAGE


def table(document: dict[str, Any]) -> str:
    """One row for each point of contention, and what they were measured on."""
    rows = [_row(name, point) for name, point in document["points"].items()]
    machine = document["measured_on"]
    return "\n".join((*HEAD, *rows, "", f"Measured on {machine['cores']} cores, Python {machine['python']}."))


def _row(name: str, point: dict[str, Any]) -> str:
    wanted, _, connections = name.rpartition("-")
    bare, lua, watch = point["set"], point["lua"], point["watch"]
    cells = (
        SEATS[wanted],
        connections,
        f"{bare['held_per_s']:,.0f}",
        f"{lua['held_per_s']:,.0f}",
        _share(wanted, lua, bare),
        f"{watch['held_per_s']:,.0f}",
        _share(wanted, watch, bare),
        f"{watch['abort_ratio']:.1%}",
        f"{lua['taken_ratio']:.1%}",
        _times(lua),
        _times(watch),
        ", ".join(f"{side['server_us_per_hold']:.1f}" for side in (bare, lua, watch)),
    )
    return f"| {' | '.join(cells)} |"


def _share(wanted: str, side: dict[str, float], bare: dict[str, float]) -> str:
    """Not for seats that are given back: that is work which a SET does not do."""
    return f"{side['held_per_s'] / bare['held_per_s']:.0%}" if wanted == "own" else "–"


def _times(side: dict[str, float]) -> str:
    return f"{side['p50_us'] / 1000:.2f}/{side['p99_us'] / 1000:.2f} ms"
