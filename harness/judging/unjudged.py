"""Makes the verdict of a run that was not judged, or whose verdict could not be written: NO VERDICT, and why.

The verdict has no `judged_by`, because no version of gatecrash judged the record. The gate recognises it by that and
asks for `gatecrash report`.
"""

from __future__ import annotations

import msgspec

from harness.record.schema import RunDocument
from harness.record.verdict import VERDICT_SCHEMA, Decision, Reason, Verdict


def unjudged(run: RunDocument, reason: Reason) -> Verdict:
    """NO VERDICT on a run, from its run.json alone."""
    return Verdict(
        schema=VERDICT_SCHEMA,
        run_id=run.run_id,
        scenario=run.scenario_name,
        seed=run.seed,
        t0=run.t0,
        verdict=Decision.NO_VERDICT,
        grade=None,
        score=None,
        reason=reason.text,
        load=None,
        generator=None,
        slis=(),
        invariants=(),
        faults=(),
        findings=(),
        versions=run.versions,
        command=run.command,
        record={},
        reasons=(reason,),
    )


def unwritten(verdict: Verdict, reason: Reason) -> Verdict:
    """NO VERDICT because files could not be written; the reasons of the original verdict stay in the list."""
    given = verdict.reasons
    if verdict.verdict is not Decision.NO_VERDICT:
        text = f"The record gives {verdict.verdict}: {verdict.reason}"
        given = (Reason(text, reason.action), *verdict.reasons)
    return msgspec.structs.replace(
        verdict,
        verdict=Decision.NO_VERDICT,
        grade=None,
        score=None,
        reason=reason.text,
        reasons=(reason, *given),
        judged_by="",
        seal="",
    )


def is_unjudged(verdict: str, judged_by: str) -> bool:
    """Whether a verdict.json with these two fields was made by one of the two functions above."""
    return verdict == Decision.NO_VERDICT and not judged_by
