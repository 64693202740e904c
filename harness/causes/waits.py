"""Where the time of slow operations went: before the first try, in the tries, or between them; and what refused them.

A verb may take several requests, and a fan who is refused may try again: then the next operation is a retry of the one
before and is meant from the same instant. The parts of an operation's time add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import Outcome
from harness.record.verdict import CausePart

BEFORE: Final = "before the first request"
REQUEST: Final = "waiting for an answer"
BETWEEN: Final = "between tries"
_MOST: Final = 4
_KEY: Final = ["worker", "op"]
_TRIES_MOST: Final = 1000


class Waits(msgspec.Struct, frozen=True):
    """Seconds of all these operations together by part, and how many of their tries each error refused."""

    parts_s: dict[str, float]
    refused: dict[str, int]

    @property
    def whole_s(self) -> float:
        """The time of all of them together."""
        return sum(self.parts_s.values())

    @property
    def leading(self) -> tuple[str, float]:
        """The part that took most of the time, and its share."""
        part = max(self.parts_s, key=lambda name: self.parts_s[name])
        return part, self.parts_s[part] / self.whole_s if self.whole_s else 0.0

    def shares(self) -> Iterator[CausePart]:
        """Both tallies, for the record: time in ms by part, tries by error."""
        for part, seconds in sorted(self.parts_s.items(), key=lambda item: -item[1]):
            if seconds > 0 and self.whole_s:
                yield CausePart(by="time_ms", name=part, count=round(1000 * seconds), share=seconds / self.whole_s)
        tries = sum(self.refused.values())
        for error, count in list(self.refused.items())[:_MOST]:
            yield CausePart(by="error", name=error, count=count, share=count / tries)


def waits(ended: pa.Table, operations: pa.Table, requests: pa.Table) -> Waits:
    """The waits of the operations `ended`, which have `t_end_s`. `operations`, `requests`: those of the run."""
    ops = ended.select([*_KEY, "t_intended_s", "t_end_s"]).to_pandas()
    own = requests.filter(pc.is_valid(requests["op"])).select(
        [*_KEY, "t_start_s", "t_end_s", "status", "outcome", "error"]
    )
    tried = own.to_pandas().rename(columns={"op": "tried"})
    tries = _with_earlier(ops, operations).merge(tried, on=["worker", "tried"], how="inner")
    spent = tries.assign(took_s=tries["t_end_s"] - tries["t_start_s"]).groupby(_KEY)
    by_op = spent.agg(first_s=("t_start_s", "min"), took_s=("took_s", "sum")).reset_index()
    joined = ops.merge(by_op, on=_KEY, how="left")
    whole_s = (joined["t_end_s"] - joined["t_intended_s"]).to_numpy(dtype=np.float64)
    before_s = (joined["first_s"] - joined["t_intended_s"]).fillna(0.0).clip(lower=0.0).to_numpy(dtype=np.float64)
    before_s = np.minimum(before_s, whole_s)
    took_s = np.minimum(joined["took_s"].fillna(0.0).to_numpy(dtype=np.float64), whole_s - before_s)
    parts = {BEFORE: before_s.sum(), REQUEST: took_s.sum(), BETWEEN: (whole_s - before_s - took_s).sum()}
    return Waits({name: float(seconds) for name, seconds in parts.items()}, tally(tries))


def _with_earlier(ops: pd.DataFrame, operations: pa.Table) -> pd.DataFrame:
    """A row for each of these operations and for each one that it is a retry of, as `tried`."""
    again = operations.filter(pc.is_valid(operations["retry_of"]))
    pairs = zip(again["worker"].to_pylist(), again["op"].to_pylist(), strict=True)
    before = dict(zip(pairs, again["retry_of"].to_pylist(), strict=True))
    rows: list[tuple[int, int, int]] = []
    for worker, op in zip(ops["worker"].tolist(), ops["op"].tolist(), strict=True):
        tried: int | None = op
        for _ in range(_TRIES_MOST):
            if tried is None:
                break
            rows.append((worker, op, tried))
            tried = before.get((worker, tried))
    return pd.DataFrame(rows, columns=[*_KEY, "tried"])


def tally(requests: pd.DataFrame) -> dict[str, int]:
    """How many of these requests ended with each error or refusing status, the most frequent first."""
    bad = requests[requests["outcome"] != Outcome.OK.value]
    names = bad["error"].where(bad["status"] == 0, bad["status"].astype(str))
    return {str(name): int(count) for name, count in names.value_counts().items()}
