"""Why objectives were missed: which stretch of the run, which part of the wait, which error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.amounts import amount, amounts
from harness.causes.missed import Attribution, attribute
from harness.causes.stretches import FAULT, REST, Stretch, met, under_faults_s
from harness.causes.waits import BETWEEN, Waits, tally, waits
from harness.judging.findings import objective_id
from harness.record.schema import Function, Outcome
from harness.record.verdict import Cause, CausePart, SliResult
from harness.registry.indicators import PERCENTILES
from harness.sli.indicators import INDICATORS, IndicatorSpec
from harness.sli.measured import Observations
from harness.sli.measures.latency import in_window
from harness.sli.measures.verbs import FUNCTIONS, waited
from harness.sli.samples import Samples

_MOST: Final = 3
_OF_VERB: Final = {
    f"{step}_response_p{percent}_ms": function for step, function in FUNCTIONS.items() for percent in PERCENTILES
}


def objective_causes(seen: Observations, slis: Iterable[SliResult], found: Sequence[Stretch]) -> Iterator[Cause]:
    """A cause for each missed objective of which the record has the samples."""
    for sli in slis:
        if sli.objective is None or sli.met is not False:
            continue
        spec = INDICATORS[sli.name]
        if spec.samples is not None:
            cause = _of_samples(seen, spec, spec.samples(seen), sli, found)
        elif sli.name == "queue_admission_rate_per_s":
            cause = _of_admissions(seen, sli, found)
        else:
            cause = None
        if cause is not None:
            yield cause


def _of_samples(
    seen: Observations, spec: IndicatorSpec, samples: Samples, sli: SliResult, found: Sequence[Stretch]
) -> Cause | None:
    ended = _ended_operations(seen, sli) if sli.name in _OF_VERB else None
    missed = attribute(samples, sli, found, None if ended is None else ended["t_intended_s"].to_numpy())
    if missed is None:
        return None
    time = None if ended is None else _waits(seen, ended.take(pa.array(missed.bad)))
    errors = {} if time is not None else _errors(seen, samples, missed, sli.name)
    said = [_where(missed, samples, sli), *_with_and_without(missed, sli)]
    said += _spent(time) if time is not None else _ended(errors)
    return Cause(
        of=objective_id(spec.name),
        sentence="; ".join(said) + ".",
        phase=missed.leading.name if missed.explains else "",
        explained=missed.share if missed.explains else None,
        t_from_s=missed.t_from_s,
        t_to_s=missed.t_to_s,
        within=missed.within,
        outside=missed.outside,
        parts=(*missed.parts, *(time.shares() if time is not None else _as_parts(errors))),
    )


def _where(missed: Attribution, samples: Samples, sli: SliResult) -> str:
    """Which stretch the bad samples met, or that none of them explains the miss."""
    bad = len(missed.bad)
    be, count = ("is", "counts") if bad == 1 else ("are", "count")
    target = amount(sli.objective or 0.0, sli.unit)
    against = f"{be} over {target}" if samples.quantile is not None else f"{count} against it"
    what = f"{bad:,} of {missed.total:,} {against}"
    lead, share = missed.leading, amount(missed.share, "ratio")
    every = "it" if bad == 1 else f"all {bad:,}"
    of_them = every if missed.count == bad else f"{missed.count:,} of them ({share})"
    in_second = f"in the second from T+{missed.worst_s} s"
    most = in_second if bad == 1 else f"most {in_second} ({missed.worst_count:,})"
    if missed.explains and lead.kind == FAULT:
        return f"{what}: {of_them} met {lead.name} (in force {lead.span}), begun {missed.span}"
    if missed.explains or lead.kind == REST:
        return f"{what}: {of_them} began {lead.when}, {most}"
    return f"{what}, spread over the run: {share} {lead.when}, no more than its share of all; {most}"


def _with_and_without(missed: Attribution, sli: SliResult) -> Iterator[str]:
    """The indicator with and without faults, and whether it would be missed without them too."""
    if missed.within is None or missed.outside is None or sli.objective is None:
        return
    outside, within, target = amounts(sli.unit, missed.outside, missed.within, sli.objective)
    met_without = missed.outside <= sli.objective if sli.better == "lower" else missed.outside >= sli.objective
    yield f"apart from faults and the seconds after them it is {outside}, in them {within}"
    if not met_without:
        yield f"the target of {target} is missed without the faults too"


def _ended_operations(seen: Observations, sli: SliResult) -> pa.Table:
    """The operations that are the samples of a verb's response time, in the same order."""
    of_verb = pc.equal(seen.operations["function"], _OF_VERB[sli.name].value)
    return waited(seen.operations.filter(of_verb), seen.record.table("requests"))


def _waits(seen: Observations, ended: pa.Table) -> Waits:
    return waits(ended, seen.operations, seen.record.table("requests"))


def _spent(time: Waits) -> Iterator[str]:
    part, share = time.leading
    refused = [f"{count:,} × {_answer(name)}" for name, count in list(time.refused.items())[:_MOST]]
    after = f" after {', '.join(refused)}" if refused and part == BETWEEN else ""
    yield f"{amount(share, 'ratio')} of their time went by {part}{after}"
    if refused and part != BETWEEN:
        yield f"tries refused: {', '.join(refused)}"


def _ended(errors: dict[str, int]) -> Iterator[str]:
    if errors:
        yield "mostly " + ", ".join(f"{name} ({count:,})" for name, count in list(errors.items())[:_MOST])


def _as_parts(errors: dict[str, int]) -> Iterator[CausePart]:
    whole = sum(errors.values())
    for name, count in list(errors.items())[:_MOST]:
        yield CausePart(by="error", name=name, count=count, share=count / whole)


def _errors(seen: Observations, samples: Samples, missed: Attribution, name: str) -> dict[str, int]:
    """What ended the bad samples: of requests their step and error, of fans the last operation that failed them."""
    if name == "error_ratio":
        sent = in_window(seen.requests, "")
        rows = sent.take(pa.array(missed.bad)).select(["step", "status", "outcome", "error"]).to_pandas()
        found: Counter[str] = Counter()
        for step, own in rows.groupby("step"):
            found.update({f"{step} {_answer(error)}": count for error, count in tally(own).items()})
        return dict(found.most_common())
    if samples.who.dtype.kind != "U":
        return {}
    last = _last_failures(seen.operations)
    return dict(Counter(last[who] for who in samples.who[missed.bad].tolist() if who in last).most_common())


def _last_failures(operations: pa.Table) -> dict[str, str]:
    """Actor → the function and the error of the actor's last operation that did not end well."""
    bad = operations.filter(pc.not_equal(operations["outcome"], Outcome.OK.value)).sort_by("t_invoke_s")
    rows = zip(*(bad[name].to_pylist() for name in ("actor", "function", "error")), strict=True)
    return {actor: f"{function} {error or 'failed'}".replace("_", " ") for actor, function, error in rows}


def _answer(name: str) -> str:
    return f"answered {name}" if name.isdigit() else name.replace("_", " ")


def _of_admissions(seen: Observations, sli: SliResult, found: Sequence[Stretch]) -> Cause | None:
    """The admission rate by stretch: the one with the lowest rate while others were quicker explains the miss."""
    entered = seen.operations.filter(
        pc.and_(
            pc.equal(seen.operations["function"], Function.ENTER.value),
            pc.equal(seen.operations["outcome"], Outcome.OK.value),
        )
    )
    times_s = np.sort(entered["t_complete_s"].drop_null().to_numpy())
    if len(times_s) < 2 or sli.objective is None:
        return None
    first_s, last_s = float(times_s[0]), float(times_s[-1])
    under_fault = np.array([one.is_of_fault for one in found])[met(found, times_s, times_s)]
    lost_s = under_faults_s(found, first_s, last_s)
    calm_s = last_s - first_s - lost_s
    within = float(under_fault.sum() / lost_s) if lost_s > 0 else None
    outside = float((~under_fault).sum() / calm_s) if calm_s > 0 else None
    gaps = np.diff(times_s)
    worst = int(np.argmax(gaps))
    stretch = found[int(met(found, times_s[worst : worst + 1], times_s[worst + 1 : worst + 2])[0])]
    length, target = amount(float(gaps[worst]), "s"), amount(sli.objective, sli.unit)
    said = [f"for {length} nobody was admitted, from T+{times_s[worst]:.1f} s, {stretch.when}"]
    if within is not None and outside is not None:
        calm, broken = amount(outside, sli.unit), amount(within, sli.unit)
        said.append(f"apart from faults and the seconds after them the rate is {calm}, in them {broken}")
        if outside < sli.objective:
            said.append(f"the target of {target} is missed without the faults too")
    explains = outside is not None and within is not None and outside >= sli.objective > within
    return Cause(
        of=objective_id(sli.name),
        sentence="; ".join(said) + ".",
        phase=stretch.name if explains else "",
        t_from_s=float(times_s[worst]),
        t_to_s=float(times_s[worst + 1]),
        within=within,
        outside=outside,
    )
