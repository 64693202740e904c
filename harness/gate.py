"""The exit code of a run that is already judged: what a CI job asks for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import ExitCode, InputError
from harness.grade import exit_code
from harness.record.paths import RunPaths
from harness.record.verdict import VERDICT_SCHEMA, Decision, Verdict

_LETTERS: Final = "ABCDF"
_MEND: Final = "run `gatecrash report` on it again, or rehearse again"


class Decided(msgspec.Struct, frozen=True):
    """What the gate says of a run."""

    run_id: str
    verdict: Decision
    grade: str | None
    exit_code: ExitCode
    reason: str


def decide(run: Path, min_grade: str | None = None) -> Decided:
    """Read verdict.json in `run` and check that the record it judged is still the same.

    `min_grade` may ask for more than the scenario did, never for less. Raises InputError when the run is missing,
    corrupt or changed since it was judged.
    """
    paths = RunPaths(root=run)
    verdict = read_verdict(paths)
    _require_unchanged(paths, verdict)
    code = exit_code(verdict)
    decision, reason = verdict.verdict, verdict.reason
    if code == ExitCode.READY and min_grade and not _at_least(verdict.grade, min_grade):
        code, decision = ExitCode.NOT_READY, Decision.NOT_READY
        reason = f"grade {verdict.grade} is below the {min_grade} that was asked for"
    return Decided(verdict.run_id, decision, verdict.grade, code, reason)


def read_verdict(paths: RunPaths) -> Verdict:
    """verdict.json of a run. Raises InputError when it is missing or not a verdict."""
    if not paths.root.is_dir():
        raise InputError("no such run directory", file=str(paths.root), hint="give the directory of a finished run")
    try:
        verdict = msgspec.json.decode(paths.verdict.read_bytes(), type=Verdict)
    except FileNotFoundError as error:
        raise InputError("missing: the run was never judged", file=str(paths.verdict), hint=_MEND) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(paths.verdict), hint=_MEND) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no verdict: {error}", file=str(paths.verdict), hint=_MEND) from error
    if verdict.schema != VERDICT_SCHEMA:
        raise InputError(f"has the schema {verdict.schema!r}, expected {VERDICT_SCHEMA!r}", file=str(paths.verdict))
    return verdict


def _require_unchanged(paths: RunPaths, verdict: Verdict) -> None:
    if not verdict.record:
        raise InputError("names no record files", file=str(paths.verdict), hint=_MEND)
    for name, digest in verdict.record.items():
        try:
            with (paths.root / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            raise InputError(reason, file=str(paths.root / name), hint=_MEND) from error
        if found != digest:
            raise InputError("has changed since the verdict was given", file=str(paths.root / name), hint=_MEND)


def _at_least(grade: str | None, wanted: str) -> bool:
    return grade is not None and _LETTERS.index(grade) <= _LETTERS.index(wanted)
