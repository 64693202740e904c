"""The tables that a report reads, as data frames, with the few columns that every section derives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from harness.record.reader import Record
from harness.record.schema import PROBE_ACTOR, Outcome
from harness.sli.mapped import our_metrics

Floats: TypeAlias = npt.NDArray[np.float64]

STREAM_STEPS: Final = ("positions", "feed")
"""Their requests last as long as the stream; what a fan waits for is the first event."""

BUYERS: Final = ("fan", "bot")


@dataclass(frozen=True, slots=True)
class Frames:
    """requests also has `service_ms` and `response_ms`, to the first event for streams.

    Both are NaN where nothing came, and for refused requests: they answer at once and would flatter.
    """

    requests: pd.DataFrame
    operations: pd.DataFrame
    generator: pd.DataFrame
    metrics: pd.DataFrame


def read(record: Record) -> Frames:
    """The frames of a record, without what our own probes did; a table that was not written is an empty frame."""
    sent, done = record.table("requests"), record.table("operations")
    requests = sent.filter(pc.not_equal(sent["kind"], "probe")).to_pandas()
    operations = done.filter(pc.invert(pc.starts_with(done["actor"], PROBE_ACTOR))).to_pandas()
    stream = requests["step"].isin(STREAM_STEPS)
    answered_s = requests["t_end_s"].where(~stream, requests["t_first_byte_s"])
    answered_s = answered_s.where(requests["outcome"] != Outcome.FAIL)
    return Frames(
        requests=requests.assign(
            service_ms=1000 * (answered_s - requests["t_start_s"]),
            response_ms=1000 * (answered_s - requests["t_intended_s"]),
        ),
        operations=operations,
        generator=record.table("generator").to_pandas(),
        metrics=our_metrics(record).to_pandas(),
    )


def label(labels: pd.Series, name: str) -> pd.Series:
    """The value of one label in `a=b,c=d` strings; "" where it is absent."""
    return labels.str.extract(rf"(?:^|,){name}=([^,]*)", expand=False).fillna("")
