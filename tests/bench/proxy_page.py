"""Writes what the benchmarks proxy, accuracy and faults found into `docs/fault-proxy.md`, each between its markers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

PAGE = Path(__file__).parents[2] / "docs" / "fault-proxy.md"
OURS, REAL, NONE = "gatecrash", "toxiproxy", "direct"


def write(results: Path) -> Path:
    """The page with the table of these results in place of the old one."""
    begin, end = f"<!-- {results.stem} -->", f"<!-- end of {results.stem} -->"
    document = json.loads(results.read_text())
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    table = "\n".join(_TABLES[results.stem](document))
    machine = document["measured_on"]
    note = f"Measured on {machine['cores']} cores, Python {machine['python']}."
    PAGE.write_text(f"{before}{begin}\n{table}\n\n{note}\n{end}{after}")
    return PAGE


_FIGURES = {
    "error_ms_p50": "late by, p50 (ms)",
    "error_ms_p99": "late by, p99 (ms)",
    "error_ms_min": "late by, least (ms; below 0: early)",
    "control_ms_p99": "without the toxic, p99 (ms)",
    "distance": "distance from the uniform distribution (Kolmogorov-Smirnov)",
    "distance_by_chance": "the distance that chance alone may bring",
    "mean_ms": "mean (ms)",
    "off_percent_at_100_kb_per_s": "off 100 kB/s by (%)",
    "off_percent_at_1000_kb_per_s": "off 1,000 kB/s by (%)",
    "off_percent_at_10000_kb_per_s": "off 10,000 kB/s by (%)",
}


def proxy(document: dict[str, Any]) -> Iterator[str]:
    """One row for each shape of load."""
    yield "| Load | No proxy | Toxiproxy | gatecrash | to Toxiproxy | to no proxy | CPU: Toxiproxy, gatecrash |"
    yield "|---|---|---|---|---|---|---|"
    for name, shape in document["shapes"].items():
        middle, ratios = shape["medians"], shape["ratios"]
        sides = [_figure(middle[side]) if side in middle else "–" for side in (NONE, REAL, OURS)]
        compared = [_ratio(ratios.get(f"to_{peer}")) for peer in (REAL, NONE)]
        cpu = ", ".join(f"{middle[side]['proxy_cpu_us']:.1f} µs" for side in (REAL, OURS) if side in middle)
        yield f"| {' | '.join((name, *sides, *compared, cpu))} |"


def accuracy(document: dict[str, Any]) -> Iterator[str]:
    """One row for each figure of each part."""
    sides = [side for side in (OURS, REAL) if side in document["latency"]]
    yield f"| Toxic | Figure | {' | '.join(sides)} |"
    yield f"|---|---|{'---|' * len(sides)}"
    for part in ("latency", "jitter", "bandwidth"):
        for figure in document[part][OURS]:
            if figure != "rounds":
                values = (f"{document[part][side][figure]:,.4g}" for side in sides)
                yield f"| {part} | {_FIGURES.get(figure, figure.replace('_', ' '))} | {' | '.join(values)} |"


def faults(document: dict[str, Any]) -> Iterator[str]:
    """One row for each experiment."""
    yield "| Experiment | Command → effective | Heal → healthy |"
    yield "|---|---|---|"
    for name, fault in document["faults"].items():
        cells = [f"{fault[key]:,.0f} ms" if key in fault else "–" for key in ("effective_ms", "healthy_ms")]
        yield f"| `{name}` | {' | '.join(cells)} |"


def _figure(side: dict[str, float]) -> str:
    speed = [f"{side['per_s']:,.0f}/s"] if "per_s" in side else []
    delay = [f"p50 {side['p50_us']:,.0f}, p99 {side['p99_us']:,.0f} µs"] if "p50_us" in side else []
    return "; ".join(speed + delay)


def _ratio(ratios: dict[str, float] | None) -> str:
    names = {"per_s": "rate", "p50_us": "p50", "p99_us": "p99"}
    return ", ".join(f"{names[name]} {value:.2f} ×" for name, value in ratios.items()) if ratios else "–"


_TABLES: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "proxy": proxy,
    "accuracy": accuracy,
    "faults": faults,
}
