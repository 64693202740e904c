"""Checks expectations about the fans' verbs against the operations of a record. Pure.

A person waits for a whole verb: one hold may be eight requests. So its time runs from when the person meant to begin to
the end of the operation, and the operation's end says whether it was answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaos.proof.observations import Observation, Window
from chaos.specification.expected import ANSWERS, VERBS, VerbsAnswered, VerbsRecover
from harness.amounts import amount
from harness.record.schema import BOT_ACTOR, LOCUST_KIND, LOST_ON_PURPOSE, FaultRun, Outcome

_COLUMNS = ["actor", "function", "t_intended_s", "t_complete_s", "outcome", "error", "value"]


class _Compared(msgspec.Struct, frozen=True):
    """One verb before and after a fault."""

    verb: str
    before: int
    after: int
    was: float
    now: float
    least: float
    was_ms: float
    now_ms: float
    most_ms: float

    @property
    def recovered(self) -> bool:
        return self.now >= self.least and self.now_ms <= self.most_ms

    @property
    def text(self) -> str:
        if self.most_ms == np.inf:
            told = (
                f"{self.verb}: {amount(self.now, 'ratio', [self.least])} answered after, {amount(self.was, 'ratio')} "
            )
            return f"{told}before; at least {amount(self.least, 'ratio', [self.now])} would do"
        told = f"{self.verb}: {amount(self.now, 'ratio', [self.least])} answered in "
        told += f"{amount(self.now_ms, 'ms', [self.most_ms])} after, {amount(self.was, 'ratio')} in "
        told += f"{amount(self.was_ms, 'ms')} before; at least {amount(self.least, 'ratio', [self.now])} in at most "
        return f"{told}{amount(self.most_ms, 'ms', [self.now_ms])} would do"


def of_requests(requests: pa.Table) -> pa.Table:
    """The requests of the users of a locustfile as rows of operations, with their names."""
    theirs = requests.filter(pc.equal(requests["kind"], LOCUST_KIND))
    known = pc.not_equal(theirs["outcome"], Outcome.UNKNOWN.value)
    ended = pc.if_else(known, theirs["t_end_s"], pa.scalar(None, pa.float64()))
    told = theirs.rename_columns({"step": "function"}).append_column("t_complete_s", ended)
    return told.append_column("value", pa.repeat("", len(told)))


def recover(operations: pa.Table, faults: Iterable[FaultRun], wanted: VerbsRecover, window: Window) -> Observation:
    """See `VerbsRecover`. Without operations before and after the fault there is nothing to compare with."""
    tried = _tried(operations, wanted.verbs)
    apart = _apart(tried, faults, wanted.within_s)
    before = apart[apart["t_over_s"] <= window.requested_s]
    after = apart[apart["t_intended_s"] >= window.heal_requested_s + wanted.within_s]
    compared = list(_compare(before, after, wanted))
    chances = sum(one.after for one in compared)
    if not compared:
        seen = f"only {len(before):,} of {', '.join(wanted.verbs)} before and {len(after):,} after"
        return Observation("not_exercised", f"{seen}, {wanted.samples_min:,} each of one are needed")
    worst = [one for one in compared if not one.recovered]
    told = "; ".join(one.text for one in worst or compared)
    return Observation("missed" if worst else "met", told, chances)


def answered(
    operations: pa.Table, faults: Iterable[FaultRun], wanted: VerbsAnswered, others: Sequence[str] = ()
) -> Observation:
    """See `VerbsAnswered`. `others`: names that count besides our verbs."""
    apart = _apart(_tried(operations, (*VERBS, *others)), faults, wanted.within_s)
    count = len(apart)
    if count < max(wanted.samples_min, 1):
        return Observation("not_exercised", f"only {count:,} were tried, {wanted.samples_min:,} are needed", count)
    share = float((~apart["answered"]).mean())
    told = f"{amount(share, 'ratio', [wanted.unanswered_at_most])} of {count:,} that were tried"
    return Observation("met" if share <= wanted.unanswered_at_most else "missed", told, count)


def _tried(operations: pa.Table, verbs: Sequence[str]) -> pd.DataFrame:
    """What users tried, without what the end of the run or the rehearsal itself cut.

    An operation that never ended took an infinite time. It is over when its user begins the next one.
    """
    rows: pd.DataFrame = operations.select(_COLUMNS).to_pandas()
    rows["t_end_s"] = rows["t_complete_s"].astype(float).fillna(np.inf)
    begun = rows.sort_values("t_intended_s", kind="stable").groupby("actor", sort=False)["t_intended_s"]
    next_s = begun.shift(-1).fillna(np.inf).clip(lower=rows["t_intended_s"])
    rows["t_over_s"] = np.minimum(rows["t_end_s"], next_s.where(rows["actor"] != "", np.inf))
    ours = rows["function"].isin(list(verbs)) & ~rows["actor"].str.startswith(BOT_ACTOR)
    lost = (rows["outcome"] == Outcome.UNKNOWN) & rows["value"].str.contains(LOST_ON_PURPOSE, regex=False)
    rows = rows[ours & ~lost & (rows["error"] != "stopped")].copy()
    refused = (rows["outcome"] == "fail") & rows["error"].isin(ANSWERS)
    rows["answered"] = (rows["outcome"] == "ok") | refused
    return rows


def _apart(tried: pd.DataFrame, faults: Iterable[FaultRun], within_s: float) -> pd.DataFrame:
    """The operations that do not overlap any fault, counted to `within_s` after its heal."""
    apart = np.ones(len(tried), dtype=bool)
    for fault in faults:
        if fault.t_requested_s is None:
            continue
        healed_s = np.inf if fault.t_heal_requested_s is None else fault.t_heal_requested_s + within_s
        apart &= (tried["t_over_s"] <= fault.t_requested_s) | (tried["t_intended_s"] >= healed_s)
    kept: pd.DataFrame = tried.loc[apart]
    return kept


def _compare(before: pd.DataFrame, after: pd.DataFrame, wanted: VerbsRecover) -> Iterator[_Compared]:
    slower = wanted.slower_at_most
    for verb in wanted.verbs:
        was, now = before[before["function"] == verb], after[after["function"] == verb]
        if min(len(was), len(now)) < max(wanted.samples_min, 1):
            continue
        was_ms = _median_ms(was)
        share = float(was["answered"].mean())
        yield _Compared(
            verb=verb,
            before=len(was),
            after=len(now),
            was=share,
            now=float(now["answered"].mean()),
            least=max(0.0, share - wanted.share_drop_at_most),
            was_ms=was_ms,
            now_ms=_median_ms(now),
            most_ms=np.inf if slower is None else max(was_ms * slower, was_ms + wanted.slack_ms),
        )


def _median_ms(tried: pd.DataFrame) -> float:
    """The median time of operations that ended; those that never did show in the share of answers."""
    took_s = (tried["t_end_s"] - tried["t_intended_s"]).to_numpy(dtype=float)
    ended_s = took_s[np.isfinite(took_s)]
    return float(np.median(ended_s)) * 1000 if len(ended_s) else 0.0
