"""A platform's own metrics under the names that our indicators read, as the scenario's `platform.indicators` says.

Only names are mapped. A histogram's buckets, sum and count follow its name; units must be the ones of our indicator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.record.reader import Record
from harness.registry.indicators import INDICATORS

_SUFFIXES: Final = ("", "_bucket", "_sum", "_count")


class _Source(msgspec.Struct, frozen=True):
    metric: str
    source: str = ""
    labels: dict[str, str] = {}


class _Platform(msgspec.Struct, frozen=True):
    indicators: dict[str, _Source] = {}


class _Scenario(msgspec.Struct, frozen=True):
    platform: _Platform | None = None


def our_metrics(record: Record) -> pa.Table:
    """The table of metrics, with every series that the scenario maps under our name. Raises InputError."""
    metrics = record.table("metrics")
    try:
        platform = msgspec.convert(record.run.scenario, _Scenario).platform
    except msgspec.ValidationError as problem:
        raise InputError(f"is no platform: {problem}", file="run.json", key="platform") from problem
    return mapped(metrics, platform.indicators if platform else {})


def mapped(metrics: pa.Table, indicators: Mapping[str, _Source]) -> pa.Table:
    """Rename each series that feeds an indicator to the name that the indicator reads; other series keep theirs.

    A series that feeds several indicators appears once under each name.
    """
    parts = [metrics]
    for name, chosen in indicators.items():
        ours = INDICATORS[name].metric if name in INDICATORS else ""
        parts += [_renamed(metrics, chosen, chosen.metric + end, ours + end) for end in _SUFFIXES if ours]
    return pa.concat_tables(parts)


def _renamed(metrics: pa.Table, chosen: _Source, theirs: str, ours: str) -> pa.Table:
    rows = metrics.filter(pc.equal(metrics["name"], theirs))
    if chosen.source:
        rows = rows.filter(pc.equal(rows["source"], chosen.source))
    wanted = {f"{key}={value}" for key, value in chosen.labels.items()}
    fits = np.array([wanted <= set(labels.split(",")) for labels in rows["labels"].to_pylist()], dtype=bool)
    rows = rows.filter(pa.array(fits))
    at = rows.schema.get_field_index("name")
    return rows.set_column(at, rows.schema.field(at), pa.array([ours] * rows.num_rows, pa.string()))
