"""Compares a treatment with its control, both already judged, and returns `harness.record.verdict.Paired`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from harness.paired.halves import OPTION
from harness.paired.phases import BEFORE, phases
from harness.paired.recovery import recoveries
from harness.paired.rows import Halves, indicator_rows, retry_rows, step_rows
from harness.paired.sales import sales
from harness.record.reader import Record
from harness.record.verdict import Decision, Finding, Paired, PairedCause, PairedRow, Status, Validity, Verdict
from harness.sli.measured import Observations

ORDER: Final = "control first"
_RUNBOOK: Final = "docs/runbooks.md#paired-control"
_ALIKE_SHARE: Final = 0.2
"""Before the first fault so many of the comparisons may differ; 0.05 would by chance alone."""


def compare(
    control: Record,
    control_verdict: Verdict,
    treatment: Record,
    verdict: Verdict,
    where: str,
    *,
    order: str = ORDER,
    names: tuple[str, str] = ("control", "treatment"),
) -> Paired:
    """Compare treatment and control, or say why they cannot be compared.

    `where`: the control's directory, as the report names it.

    `names`: what the two runs are called when something is wrong with one of them.
    """
    head = Paired(
        control=where,
        order=order,
        control_verdict=control_verdict.verdict,
        control_grade=control_verdict.grade,
        control_score=control_verdict.score,
    )
    reason = _unusable(control_verdict, names[0]) or _unusable(verdict, names[1])
    if reason:
        return msgspec.structs.replace(head, left_out=reason)
    digest = treatment.run.journey_digest
    matched = bool(digest) and digest == control.run.journey_digest
    halves = Halves(Observations(control), Observations(treatment), matched)
    stretches = phases(treatment.faults.faults, halves.treatment.duration_s)
    rows = indicator_rows(halves, stretches)
    return msgspec.structs.replace(
        head,
        cautions=tuple(_cautions(control_verdict, verdict, rows, matched, names)),
        matched=matched,
        phases=stretches,
        indicators=rows,
        steps=step_rows(halves, stretches),
        retries=retry_rows(halves, stretches),
        recoveries=recoveries(rows, halves, stretches),
        sales=sales(halves, halves.treatment.duration_s),
        causes=causes(control_verdict, verdict),
    )


def left_out(where: str, reason: str) -> Paired:
    """The comparison of a treatment whose control could not be judged: only the reason."""
    return Paired(
        control=where, order=ORDER, control_verdict=None, control_grade=None, control_score=None, left_out=reason
    )


def is_paired(record: Record) -> bool:
    """Whether the run was asked to be paired, or has a control."""
    return (OPTION in record.run.command and "/" not in record.run.run_id) or record.paths.control.root.is_dir()


def added(verdict: Verdict, paired: Paired, control_files: Mapping[str, str]) -> Verdict:
    """The verdict with the comparison and the digests of the control's files; a failed comparison adds a finding."""
    findings = verdict.findings
    if paired.left_out:
        evidence = f"{paired.left_out[:1].upper()}{paired.left_out[1:]}"
        findings += (
            Finding("minor", "What the faults did apart from the spike cannot be told", evidence, _RUNBOOK, "paired"),
        )
    files = {f"{paired.control}/{name}": digest for name, digest in control_files.items()}
    return msgspec.structs.replace(verdict, paired=paired, findings=findings, record={**verdict.record, **files})


def causes(control: Verdict, treatment: Verdict) -> tuple[PairedCause, ...]:
    """For each objective: missed with the faults only, without them as well, or not at all."""
    alone = {sli.name: sli.met for sli in control.slis}
    return tuple(
        PairedCause(indicator=sli.name, cause=_cause(alone.get(sli.name), sli.met))
        for sli in treatment.slis
        if sli.objective is not None
    )


def _cause(met_alone: bool | None, met: bool | None) -> str:
    if met is None or met_alone is None:
        return "unknown"
    if met:
        return "none" if met_alone else "control_only"
    return "faults" if met_alone else "spike"


def _unusable(verdict: Verdict, half: str) -> str:
    """Why this half cannot be compared; "" when it can."""
    if verdict.verdict is Decision.NO_VERDICT:
        return f"the {half} gave no verdict: {verdict.reason}"
    generator = verdict.generator
    if generator is None or generator.validity is Validity.INVALID:
        return f"the {half}'s load generator was not valid: {'; '.join(generator.reasons if generator else ())}"
    unproven = [fault.experiment for fault in verdict.faults if not fault.proven]
    return f"in the {half} the fault {unproven[0]} was never proven" if unproven else ""


def _cautions(
    control: Verdict, treatment: Verdict, rows: Sequence[PairedRow], matched: bool, names: tuple[str, str]
) -> Iterator[str]:
    if not matched:
        yield "The two runs did not have the same journeys, so no fan was compared with themself."
    for half, verdict in zip(names, (control, treatment), strict=True):
        if verdict.generator is not None and verdict.generator.validity is Validity.DEGRADED:
            yield f"The {half}'s load generator was DEGRADED: {'; '.join(verdict.generator.reasons)}."
    broken = [result.name for result in control.invariants if result.status is Status.VIOLATED]
    if broken:
        calm = "" if control.faults else ", without any fault,"
        yield f"In the {names[0]}{calm} this did not hold: {', '.join(broken)}."
    alike = [part.delta.effect for row in rows for part in row.phases[:1] if part.phase == BEFORE]
    told = [effect for effect in alike if effect != "unknown"]
    differ = sum(1 for effect in told if effect != "none")
    if told and differ > max(1.0, _ALIKE_SHARE * len(told)):
        yield (
            f"Before the first fault the halves should be alike, but {differ} of {len(told)} indicators differ: "
            "differences of that size are not the faults' doing."
        )
