"""Judges a record: audit, indicators, expectations, grade, and for a paired run the comparison with its control.

`rehearse`, `report`, `gate` and `compare` all judge here, and the same record gives the same verdict, byte for byte: it
depends on no clock, on no path of this machine and on no random order of a process. This module writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import GatecrashError
from harness.input_file import NOT_JSON

if TYPE_CHECKING:
    from harness.record.reader import Record
    from harness.record.schema import PluginVersion
    from harness.record.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A record with its verdict. `control`: the record of a paired run's control; null when there is none that can be
    trusted.
    """

    record: Record
    verdict: Verdict
    control: Judged | None = None


def judge_record(run: Path) -> Judged:
    """Judge the record in `run`. Raises InputError when the record cannot be trusted."""
    alone = _alone(run)
    control, verdict = _against_control(alone.record, alone.verdict)
    return Judged(alone.record, _signed(verdict), control)


def sealed_verdict(run: Path) -> Verdict | None:
    """The verdict that this gatecrash gave on the record in `run`, where a key proves it; null where nothing does.

    Proven is a verdict.json with the seal of our key, judged by these sources with the same plugins, on a record of
    which every file is still what it was then: only judging with the key makes such a file, and to judge again would
    give it again. A paired run is not proven so. Raises InputError when the record cannot be trusted.
    """
    from harness import plugins
    from harness.record import seal_key
    from harness.record.reader import Record
    from harness.record.seal import require_verdict_seal
    from harness.record.verdict import Verdict

    if seal_key.current() is None:
        return None
    record = Record.open(run)
    try:
        content = record.paths.verdict.read_bytes()
        require_verdict_seal(record.paths.verdict, msgspec.json.decode(content, type=dict[str, object]))
        verdict = msgspec.json.decode(content, type=Verdict)
    except (OSError, *NOT_JSON, GatecrashError):
        return None  # the caller judges, and refuses such a verdict with its reason
    used = tuple(one.version for one in plugins.judging(record.run.plugins))
    is_ours = verdict.judged_by == _judged_by(used) and verdict.plugins == used
    alone = verdict.paired is None and not record.paths.control.root.is_dir()
    return verdict if is_ours and alone and verdict.record == record.digest() else None


def _alone(run: Path) -> Judged:
    """The verdict on a record without its control; not sealed."""
    from chaos.proof import expectations
    from chaos.proof.coverage import coverage
    from harness import plugins
    from harness.audit import audit
    from harness.causes import with_causes
    from harness.judging.grade import grade
    from harness.record.reader import Record
    from harness.sli import measure
    from harness.sli.examinations import examine
    from harness.sli.measured import Observations

    record = Record.open(run)
    used = plugins.judging(record.run.plugins)
    seen = Observations(record)  # reads the operations once, for audit, indicators and grade
    indicators, invariants = measure(record, seen), audit(record, seen.everything)
    faults, examinations = expectations.judge(record, lambda: seen.everything.feed), examine(record, seen)
    verdict = grade(record, indicators, invariants, faults, examinations, seen=seen)
    verdict = msgspec.structs.replace(
        verdict, coverage=coverage(record.run, record.faults.faults), plugins=tuple(one.version for one in used)
    )
    return Judged(record, with_causes(record, verdict, seen))


def _signed(verdict: Verdict) -> Verdict:
    from harness.record.seal import seal_verdict

    return seal_verdict(msgspec.structs.replace(verdict, judged_by=_judged_by(verdict.plugins)))


def _judged_by(used: Sequence[PluginVersion]) -> str:
    """Which sources judge here, those of these plugins included."""
    from harness.record.collecting import versions

    return " ".join((versions.judging(), *(f"+ {one.in_words} {one.sources}" for one in used)))


def _against_control(record: Record, verdict: Verdict) -> tuple[Judged | None, Verdict]:
    """The control of a paired run, and the verdict with the comparison or with the reason why there is none.

    Raises InputError when the control is that of another run.
    """
    from harness.paired import added, compare, is_paired, left_out
    from harness.record.seal import require_own_control

    if not is_paired(record):
        return None, verdict
    root = record.paths.control.root
    try:
        found = _alone(root)  # a control has no control of its own, whatever lies in its directory
    except GatecrashError as error:
        return None, added(verdict, left_out(root.name, _without_place(error, record)), {})
    require_own_control(record.paths, record.run, found.record.run)
    control = Judged(found.record, _signed(found.verdict))
    try:
        paired = compare(control.record, control.verdict, record, verdict, root.name)
    except GatecrashError as error:
        return None, added(verdict, left_out(root.name, _without_place(error, record)), {})
    return control, added(verdict, paired, control.record.digest())


def _without_place(error: GatecrashError, record: Record) -> str:
    """The error's text without the path of the run, so that the verdict does not depend on where the run lies."""
    return str(error).replace(f"{record.paths.root}/", "")
