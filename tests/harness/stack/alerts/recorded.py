"""Series of a run on a grid of seconds, small enough to be kept in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
import yaml

from harness.record.reader import Record

FOLDER: Final = Path(__file__).parent
RULES: Final = Path(__file__).parents[4] / "compose" / "alerts.yml"


class Series(msgspec.Struct, frozen=True):
    """One series: a value for each second from `begin_s` on, null before its first scrape."""

    name: str
    labels: dict[str, str]
    values: tuple[float | None, ...]


class Recording(msgspec.Struct, frozen=True):
    """What the alerts can see of a run. `faults`: experiment → first and last second in force. Seconds after T0."""

    run: str
    begin_s: int
    series: tuple[Series, ...]
    faults: dict[str, tuple[float, float]]


def load(name: str) -> Recording:
    """One that was kept."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Recording)


def text(recording: Recording) -> str:
    """A line for each series."""
    return msgspec.json.format(msgspec.json.encode(recording), indent=1).decode() + "\n"


def metrics_of_rules() -> set[str]:
    """The names of the metrics that the rules ask for."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    return {name for rule in rules for name in re.findall(r"\btarget_\w+", rule["expr"])}


def of_run(path: Path) -> Recording:
    """The recording of a finished run: the last scrape at or before each second."""
    record = Record.open(path)
    table = record.table("metrics").to_pandas()
    table = table[table["name"].isin(metrics_of_rules())].sort_values("t_s")
    begin_s, end_s = int(table["t_s"].min()), int(table["t_s"].max())
    series = []
    for (name, node, labels), rows in table.groupby(["name", "source", "labels"], sort=True):
        seen = list(zip(rows["t_s"], rows["value"], strict=True))
        values = [
            next((float(value) for t_s, value in reversed(seen) if t_s <= at), None) for at in range(begin_s, end_s)
        ]
        pairs = dict(part.partition("=")[::2] for part in labels.split(",") if part)
        series.append(Series(name, {"node": node, **pairs}, tuple(values)))
    faults = {
        fault.experiment: (fault.t_effective_s, fault.t_healed_s)
        for fault in record.faults.faults
        if fault.t_effective_s is not None and fault.t_healed_s is not None
    }
    return Recording(path.name, begin_s, tuple(series), faults)
