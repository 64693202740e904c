"""Overstatement: the time that the load generator itself added to response times; see docs/instrument.md.

A response time runs from when the user meant to send to when the client had noticed the whole answer. The generator
itself adds two parts: the delay of the send, and the time that the answer lay in the kernel before the client read it.
The column `overstated_ms` of `requests` holds their sum. Pure: tables and figures in, values out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.amounts import amounts
from harness.record.reader import Record
from harness.record.verdict import Overstatement, SliResult, Validity
from harness.scenario import Objective
from harness.sli import INDICATORS, IndicatorValue, percentile
from harness.sli.measured import Observations, rows_where

_FROM_EVENTS: Final = ("time_to_first_position_p95_s", "feed_freshness_p99_ms", "reconnect_recovery_p95_s")
"""Indicators of instants at which the loop took an event off a stream: the loop's lag is all that is known of them."""
_OP_BITS: Final = 40
_MS_OF: Final = {"s": 1000.0, "ms": 1.0}


class Doubt(msgspec.Struct, frozen=True):
    """One reason to doubt the generator, in words."""

    validity: Validity
    reason: str


def by_step(requests: pa.Table) -> dict[str, Overstatement]:
    """p50 and p99 of `overstated_ms` by step, over the answers that have it."""
    measured = rows_where(requests, pc.is_valid(requests["overstated_ms"]))
    steps, overstated_ms = pc.dictionary_encode(measured["step"]).combine_chunks(), measured["overstated_ms"].to_numpy()
    codes, names = steps.indices.to_numpy(), steps.dictionary.to_pylist()
    found = {names[code]: overstated_ms[codes == code] for code in sorted(range(len(names)), key=names.__getitem__)}
    return {
        step: Overstatement(p50=percentile(of, 0.5) or 0.0, p99=percentile(of, 0.99) or 0.0, samples=len(of))
        for step, of in found.items()
    }


def without_it(
    record: Record, values: Collection[IndicatorValue], loop_lag_ms: float | None
) -> tuple[IndicatorValue, ...]:
    """The indicators that are times, as they would be without the time that the generator added.

    From a response time we subtract the difference that the added time makes among the requests for which it was
    measured. A request without an answer counts as measured, because no answer was read late. From a time of events we
    subtract the loop's lag at its p99.
    """
    requests = record.table("requests")
    known = rows_where(
        requests,
        pc.or_(
            pc.is_valid(requests["overstated_ms"]),
            pc.and_(pc.equal(requests["status"], 0), pc.greater_equal(requests["seq"], 0)),
        ),
    )
    taken_off = pc.divide(pc.fill_null(known["overstated_ms"], 0.0), 1000.0)
    at = known.schema.get_field_index("t_end_s")
    truer = known.set_column(at, known.schema.field(at), pc.subtract(known["t_end_s"], taken_off))
    operations, ended_truer = _operations_without(record.table("operations"), known)
    as_seen, without = (
        Observations(record.with_table("requests", known).with_table("operations", operations)),
        Observations(record.with_table("requests", truer).with_table("operations", ended_truer)),
    )
    found: list[IndicatorValue] = []
    for value in values:
        spec = INDICATORS[value.name]
        if value.value is None:
            continue
        if spec.source in ("requests", "operations") and spec.unit in _MS_OF:
            seen, less = spec.measure(as_seen).value, spec.measure(without).value
            added = 0.0 if seen is None or less is None else seen - less
        elif value.name in _FROM_EVENTS and loop_lag_ms is not None:
            added = loop_lag_ms / _MS_OF[spec.unit]
        else:
            continue
        found.append(msgspec.structs.replace(value, value=max(0.0, value.value - added)))
    return tuple(found)


def _operations_without(operations: pa.Table, known: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The operations with a measured request, and the same operations ended earlier by the time that was added."""
    served = known.filter(pc.is_valid(known["op"])).group_by(["worker", "op"])
    added = served.aggregate([("overstated_ms", "sum")])
    at = pc.index_in(_numbers(operations), _numbers(added))
    less_ms = pc.fill_null(added["overstated_ms_sum"], 0.0).take(at)
    chosen, less_s = rows_where(operations, pc.is_valid(less_ms)), pc.divide(less_ms.drop_null(), 1000.0)
    at = chosen.schema.get_field_index("t_complete_s")
    earlier = pc.subtract(chosen["t_complete_s"], less_s)
    return chosen, chosen.set_column(at, chosen.schema.field(at), earlier)


def _numbers(rows: pa.Table) -> pa.Array:
    """The worker and the operation that each row names, in one number."""
    return pa.array(rows["worker"].to_numpy().astype(np.int64) << _OP_BITS | rows["op"].to_numpy())


def doubts(
    slis: Sequence[SliResult], without: Sequence[SliResult], objectives: Mapping[str, Objective], least_score: float
) -> tuple[Doubt, ...]:
    """Lists the decisions that would be different without the time that the generator added.

    `least_score`: the score that the required grade needs. INVALID when an indicator reaches its worst, or the grade is
    too low, only because of the added time: the run would be NOT READY because of the generator. DEGRADED when a target
    is missed only because of the added time.
    """
    truer = {sli.name: sli for sli in without}
    found: list[Doubt] = []
    for sli in slis:
        less = truer.get(sli.name)
        if less is None or sli.score is None or less.score is None:
            continue
        if objectives[sli.name].required and sli.score == 0.0 < less.score:
            found.append(Doubt(Validity.INVALID, _in_words(sli, less, "at or beyond its worst")))
        elif less.met and not sli.met:
            found.append(Doubt(Validity.DEGRADED, _in_words(sli, less, "beyond its target")))
    scores = [sli.score for sli in slis if sli.score is not None]
    scores_less = [truer.get(sli.name, sli).score or 0.0 for sli in slis if sli.score is not None]
    if scores and fmean(scores) < least_score <= fmean(scores_less):
        figures = (
            f"{fmean(scores):.1f} with what the generator added to response times, {fmean(scores_less):.1f} without"
        )
        reason = f"the grade is too low for the generator's sake: the score is {figures}"
        found.append(Doubt(Validity.INVALID, reason))
    return tuple(found)


def _in_words(sli: SliResult, less: SliResult, place: str) -> str:
    seen, truer = amounts(sli.unit, sli.value or 0.0, less.value or 0.0)
    return f"{sli.title} is {place} at {seen} only with what the generator added; without that it is {truer}"
